//! One shard's records on their way: the open batch, those that are full, and how many are under way.

use std::collections::VecDeque;
use std::sync::Arc;

use tidemill_wire::batch::BuildError;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::batch::{Bounds, Entering, OpenBatch, SealedBatch};
use super::delivery::Fate;
use super::record::Record;
use crate::retry::Retry;

/// A shard's queue.
#[derive(Debug)]
pub(super) struct ShardQueue {
    open: Option<OpenBatch>,
    ready: VecDeque<SealedBatch>,
    /// Fates of the batches that the worker has taken and not yet brought to an end.
    under_way: Vec<Arc<Fate>>,
    /// The shard map is in doubt: nothing is sent until it is known again.
    pub(super) is_paused: bool,
    /// A worker task serves this queue.
    pub(super) is_served: bool,
    /// Failures in a row to reach the shard.
    pub(super) retry: Retry,
    /// Wakes the worker.
    pub(super) wake: Arc<Notify>,
}

/// What a worker does next.
#[derive(Debug)]
pub(super) enum Next {
    /// Send this.
    Send(SealedBatch),
    /// Wait for the open batch to become due, or to be woken.
    WaitUntil(Instant),
    /// Wait to be woken.
    Wait,
}

impl ShardQueue {
    pub(super) fn new(retry: Retry) -> Self {
        Self {
            open: None,
            ready: VecDeque::new(),
            under_way: Vec::new(),
            is_paused: false,
            is_served: false,
            retry,
            wake: Arc::default(),
        }
    }

    /// Puts a record at the end. `due` is when it is to be sent if it opens a batch, `serial` that batch's name.
    pub(super) fn push(
        &mut self,
        entering: Entering<'_>,
        bounds: &Bounds,
        due: impl FnOnce() -> Instant,
        serial: u64,
    ) -> Result<(Arc<Fate>, u32), BuildError> {
        if !self.has_room_for(&entering.record, bounds) {
            self.seal();
        }
        let is_first = self.open.is_none();
        let timestamp = entering.record.timestamp;
        let open = self.open.get_or_insert_with(|| OpenBatch::new(timestamp, due(), serial));
        let place = open.push(entering)?;
        let is_full = open.is_full(bounds);
        if is_full {
            self.seal();
        }
        if is_first || is_full {
            self.wake.notify_one();
        }
        Ok(place)
    }

    /// The name of the batch that takes records.
    pub(super) fn open_serial(&self) -> Option<u64> {
        self.open.as_ref().map(|open| open.serial)
    }

    /// Whether the open batch, if there is one, takes the record.
    pub(super) fn has_room_for(&self, record: &Record<'_>, bounds: &Bounds) -> bool {
        self.open.as_ref().is_none_or(|open| open.takes(record, bounds))
    }

    /// What to send, at `now`.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        if self.is_paused {
            return Next::Wait;
        }
        if self.ready.is_empty() {
            match &self.open {
                Some(open) if open.due > now => return Next::WaitUntil(open.due),
                Some(_) => self.seal(),
                None => return Next::Wait,
            }
        }
        match self.ready.pop_front() {
            Some(batch) => {
                self.under_way.push(Arc::clone(&batch.fate));
                Next::Send(batch)
            }
            None => Next::Wait,
        }
    }

    /// Notes that a batch that was taken is under way no more.
    pub(super) fn landed(&mut self, fate: &Arc<Fate>) {
        self.under_way.retain(|candidate| !Arc::ptr_eq(candidate, fate));
    }

    /// Puts a batch that was taken back to where it was.
    pub(super) fn put_back(&mut self, batch: SealedBatch) {
        self.landed(&batch.fate);
        self.ready.push_front(batch);
    }

    pub(super) fn is_under_way(&self) -> bool {
        !self.under_way.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_none() && self.ready.is_empty() && self.under_way.is_empty()
    }

    /// Lets the open batch be sent without further lingering.
    pub(super) fn hurry(&mut self, now: Instant) {
        if let Some(open) = &mut self.open {
            open.due = open.due.min(now);
            self.wake.notify_one();
        }
    }

    /// Takes all batches that are not under way, in order.
    pub(super) fn drain(&mut self) -> Vec<SealedBatch> {
        self.seal();
        self.ready.drain(..).collect()
    }

    /// The fates of everything in the queue or under way.
    pub(super) fn fates(&self) -> impl Iterator<Item = &Arc<Fate>> {
        let ready = self.ready.iter().map(|batch| &batch.fate);
        self.under_way.iter().chain(ready).chain(self.open.iter().map(OpenBatch::fate))
    }

    fn seal(&mut self) {
        self.ready.extend(self.open.take().map(OpenBatch::seal));
    }
}

#[cfg(test)]
mod tests;
