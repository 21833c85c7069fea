//! Answers of one connection on their way out, in the order in which they were given.
//!
//! Small answers are collected and leave in one write. Fetched entries leave straight from the log's map. Invariant: nothing is put in between the
//! header of an answer and its entries, for both are put in together.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;

use bytes::{Bytes, BytesMut};
use tidemill_wire::RequestId;
use tidemill_wire::message::{Appended, Encoder, Response};

use super::limits::{ANSWER_BYTES, COPY_BYTES_MAX, OUTBOX_BYTES_MAX};
use crate::metrics::CoreMetrics;
use crate::net::Socket;
use crate::shard::{Event, Signal};

/// The answers of one connection.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: RefCell<State>,
    /// Something is there to be written, or nothing more will come.
    filled: Signal,
    /// There is room again, or there will be none.
    pub(super) drained: Signal,
    /// Nothing can be written any more, or everything has been.
    pub(super) closed: Event,
}

#[derive(Debug, Default)]
struct State {
    /// The end of the queue, where small answers are put together.
    small: BytesMut,
    queue: VecDeque<Bytes>,
    /// Bytes that are not written yet.
    bytes: usize,
    /// No more answers will come.
    finished: bool,
}

impl State {
    /// Has memory for small answers, and tells how many bytes of them there are.
    fn make_room(&mut self) -> usize {
        let bytes = self.small.len();
        if self.small.capacity() == bytes {
            self.small.reserve(ANSWER_BYTES);
        }
        bytes
    }
}

impl Outbox {
    /// Puts in an answer with the entries behind it. What comes after the end is dropped.
    pub(super) fn put(&self, encoder: &mut Encoder, response: &Response, entries: Vec<Bytes>) {
        if self.closed.has_happened() {
            return;
        }
        let state = &mut *self.state.borrow_mut();
        let body_bytes = entries.iter().map(Bytes::len).sum();
        let before = state.make_room();
        encoder.response(&mut state.small, response, body_bytes);
        state.bytes += state.small.len() - before + body_bytes;
        for run in entries {
            if run.len() <= COPY_BYTES_MAX {
                state.small.extend_from_slice(&run);
            } else {
                state.queue.push_back(state.small.split().freeze());
                state.queue.push_back(run);
            }
        }
        self.filled.notify();
    }

    /// Puts in the answer to an append.
    pub(super) fn put_appended(&self, encoder: &mut Encoder, id: RequestId, appended: Appended) {
        if self.closed.has_happened() {
            return;
        }
        let state = &mut *self.state.borrow_mut();
        let before = state.make_room();
        encoder.appended(&mut state.small, id, appended);
        state.bytes += state.small.len() - before;
        self.filled.notify();
    }

    /// Whether the peer has taken enough for more answers to be prepared.
    pub(super) fn has_room(&self) -> bool {
        self.state.borrow().bytes < OUTBOX_BYTES_MAX || self.closed.has_happened()
    }

    /// Whether everything was written.
    pub(super) fn is_empty(&self) -> bool {
        self.state.borrow().bytes == 0
    }

    /// Resolves when there is room, or nobody any more who would need it.
    pub(super) async fn room(&self) {
        self.drained.until(|| self.has_room().then_some(())).await;
    }

    /// No more answers will come; what is there is still written.
    pub(super) fn finish(&self) {
        self.state.borrow_mut().finished = true;
        self.filled.notify();
    }

    /// Writes until everything is written after the end, or the socket fails.
    pub(super) async fn write_to(&self, socket: &Socket, metrics: &CoreMetrics) -> io::Result<()> {
        while let Some(batch) = self.filled.until(|| self.take()).await {
            for bytes in batch {
                let written = socket.write_all(&bytes).await;
                if let Err(error) = written {
                    self.close();
                    return Err(error);
                }
                metrics.sent_bytes.add(bytes.len() as u64);
                self.state.borrow_mut().bytes -= bytes.len();
                self.drained.notify();
            }
        }
        self.close();
        Ok(())
    }

    /// Everything that waits; `None` inside when there is and will be nothing.
    fn take(&self) -> Option<Option<VecDeque<Bytes>>> {
        let state = &mut *self.state.borrow_mut();
        if !state.small.is_empty() {
            let small = state.small.split().freeze();
            state.queue.push_back(small);
        }
        if !state.queue.is_empty() {
            return Some(Some(std::mem::take(&mut state.queue)));
        }
        state.finished.then_some(None)
    }

    fn close(&self) {
        self.closed.happen();
        let dropped = {
            let state = &mut *self.state.borrow_mut();
            state.bytes = 0;
            (std::mem::take(&mut state.queue), std::mem::take(&mut state.small))
        };
        drop(dropped);
        self.drained.notify();
    }
}
