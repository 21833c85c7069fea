//! The fate of a batch, shared by the deliveries of all its records.
//!
//! One allocation serves a whole batch: a delivery is a pointer to it and the record's index. A record that moves to
//! another batch, because its shard was closed, is forwarded: the new batch's fate reports to the old one's.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use tidemill_wire::message::Appended;
use tidemill_wire::{SequenceNumber, ShardIndex};

use crate::{Receipt, SendError};

/// What became of one record.
pub(super) type RecordOutcome = Result<Receipt, SendError>;

/// The fate of one record, to be awaited, or dropped if it does not matter; the record is sent either way.
#[derive(Debug)]
pub struct Delivery {
    fate: Arc<Fate>,
    index: u32,
    /// The place of this delivery's waker.
    waker: Option<usize>,
}

/// What becomes of a batch's records.
#[derive(Debug, Default)]
pub(super) struct Fate {
    outcome: OnceLock<Outcome>,
    waiting: Mutex<Waiting>,
}

/// What became of them.
#[derive(Debug)]
pub(super) enum Outcome {
    /// All are stored, in order from the base.
    Stored(Appended),
    /// All ended alike.
    Failed(SendError),
    /// They were moved to other batches, and each has its own.
    Each(Vec<RecordOutcome>),
}

#[derive(Debug, Default)]
struct Waiting {
    wakers: Vec<Option<Waker>>,
    /// Records of this batch that came from others, by their index here.
    forwards: Vec<(u32, Forward)>,
    /// Outcomes of records that were moved on, by their index here.
    moved: Vec<Option<RecordOutcome>>,
    moved_left: usize,
}

/// A record's place in the batch that its delivery refers to.
#[derive(Clone, Debug)]
pub(super) struct Forward {
    pub(super) fate: Arc<Fate>,
    pub(super) index: u32,
}

impl Delivery {
    pub(super) fn new(fate: Arc<Fate>, index: u32) -> Self {
        Self { fate, index, waker: None }
    }
}

impl Future for Delivery {
    type Output = RecordOutcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<RecordOutcome> {
        let this = self.get_mut();
        match this.fate.poll(context, &mut this.waker) {
            Poll::Ready(outcome) => Poll::Ready(outcome.of(this.index)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Outcome {
    fn of(&self, index: u32) -> RecordOutcome {
        match self {
            Self::Stored(Appended { shard, base_sequence, append_time }) => {
                let sequence = SequenceNumber(base_sequence.0.saturating_add(u64::from(index)));
                Ok(Receipt { shard: *shard, sequence, append_time: *append_time })
            }
            Self::Failed(error) => Err(error.clone()),
            Self::Each(outcomes) => match outcomes.get(index as usize) {
                Some(outcome) => outcome.clone(),
                None => Err(SendError::Closed),
            },
        }
    }
}

impl Fate {
    /// Decides all records at once.
    pub(super) fn resolve(&self, outcome: Outcome) {
        let mut waiting = self.lock();
        let forwards = std::mem::take(&mut waiting.forwards);
        let wakers = std::mem::take(&mut waiting.wakers);
        let decided = self.outcome.set(outcome).is_ok();
        drop(waiting);
        assert!(decided, "a batch ends once");
        if let Some(outcome) = self.outcome.get() {
            for (index, forward) in forwards {
                forward.fate.resolve_moved(forward.index, outcome.of(index));
            }
        }
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Notes that record `index` of this batch came from another.
    pub(super) fn forward(&self, index: u32, to: Forward) {
        self.lock().forwards.push((index, to));
    }

    /// Makes room for the outcomes of `records` records that each go their own way from here.
    pub(super) fn scatter(&self, records: u32) {
        let mut waiting = self.lock();
        waiting.moved = (0..records).map(|_| None).collect();
        waiting.moved_left = records as usize;
    }

    /// Decides one record of a scattered batch; the last one ends the batch.
    pub(super) fn resolve_moved(&self, index: u32, outcome: RecordOutcome) {
        let mut waiting = self.lock();
        let Some(slot) = waiting.moved.get_mut(index as usize) else { return };
        if slot.replace(outcome).is_none() {
            waiting.moved_left -= 1;
        }
        if waiting.moved_left > 0 {
            return;
        }
        let outcomes = std::mem::take(&mut waiting.moved);
        drop(waiting);
        self.resolve(Outcome::Each(outcomes.into_iter().flatten().collect()));
    }

    /// Waits until the batch has ended.
    pub(super) async fn ended(&self) {
        let mut waker = None;
        std::future::poll_fn(|context| self.poll(context, &mut waker).map(|_| ())).await;
    }

    fn poll(&self, context: &mut Context<'_>, place: &mut Option<usize>) -> Poll<&Outcome> {
        if let Some(outcome) = self.outcome.get() {
            return Poll::Ready(outcome);
        }
        let mut waiting = self.lock();
        // The outcome is set under the lock, so that no waker comes too late.
        if let Some(outcome) = self.outcome.get() {
            return Poll::Ready(outcome);
        }
        match place.and_then(|place| waiting.wakers.get_mut(place)) {
            Some(Some(waker)) => waker.clone_from(context.waker()),
            _ => {
                *place = Some(waiting.wakers.len());
                waiting.wakers.push(Some(context.waker().clone()));
            }
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // No code that runs under the lock leaves it half changed.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outcome {
    /// The first error among the records.
    pub(super) fn error(&self) -> Option<SendError> {
        match self {
            Self::Stored(_) => None,
            Self::Failed(error) => Some(error.clone()),
            Self::Each(outcomes) => outcomes.iter().find_map(|outcome| outcome.as_ref().err().cloned()),
        }
    }
}

/// The outcome of records that were never in a stored batch.
pub(super) fn unknown_shard(shard: ShardIndex) -> RecordOutcome {
    Err(SendError::UnknownShard { shard })
}

#[cfg(test)]
mod tests;
