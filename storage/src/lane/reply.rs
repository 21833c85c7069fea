//! How those who append are told what became of their entries.
//!
//! Owns the two ways of being told: a future for each entry, and a sink for many. Promises that each entry is told once, those that
//! are in the log in their order, and that a sink hears of neighbours together.

use std::rc::Rc;

use futures_channel::oneshot;

use super::answer::Appended;
use crate::error::AppendError;

/// What became of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// What the entry was queued with.
    pub token: u64,
    /// Where it is, or why it is not in the log.
    pub outcome: Result<Appended, AppendError>,
}

/// Hears what became of entries. One sink may wait for any number of them.
pub trait AppendSink {
    /// Takes what is known now. It is called by the lane's tasks and by whoever closes the lane, never
    /// from within [`Lane::append_to`](super::Lane::append_to), and may itself append.
    fn settle(&self, settled: &[Settled]);
}

/// The way back to whoever queued an entry.
pub(super) enum Reply {
    Future(oneshot::Sender<Result<Appended, AppendError>>),
    Sink { sink: Rc<dyn AppendSink>, token: u64 },
}

/// Gives replies, those of one sink together. What was not given yet is given when it is dropped, so the lane's state must not be borrowed while it lives.
#[derive(Default)]
pub(super) struct Replies {
    sink: Option<Rc<dyn AppendSink>>,
    settled: Vec<Settled>,
}

impl Replies {
    pub(super) fn give(&mut self, reply: Reply, outcome: Result<Appended, AppendError>) {
        match reply {
            // Whoever asked may be gone.
            Reply::Future(reply) => drop(reply.send(outcome)),
            Reply::Sink { sink, token } => {
                let same =
                    |present: &Rc<dyn AppendSink>| std::ptr::addr_eq(Rc::as_ptr(present), Rc::as_ptr(&sink));
                if !self.sink.as_ref().is_some_and(same) {
                    self.flush();
                    self.sink = Some(sink);
                }
                self.settled.push(Settled { token, outcome });
            }
        }
    }

    fn flush(&mut self) {
        if let Some(sink) = self.sink.take() {
            sink.settle(&self.settled);
            self.settled.clear();
        }
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        self.flush();
    }
}
