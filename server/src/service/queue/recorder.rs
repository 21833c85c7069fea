//! The way of a partition's events into its journal, and what is made of them in memory.
//!
//! A decision is taken and its event queued in one step between two awaits, so events lie in the journal in the order of the decisions; whoever asked is told when the event
//! is durable. Invariant: what is in memory is what the journal says or will say; when an event cannot be written the memory is dropped and made anew from the journal
//! (`partition::tests::what_was_not_written_did_not_happen`). Leaves out what events say.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::lock::Mutex;
use tidemill_storage::{AppendError, AppendSink, Env, Lane, Settled, Signal, until};
use tidemill_wire::OwnerId;
use tidemill_wire::message::Ack;

use super::format::FormatError;
use super::log::{self, Written};
use super::operation::Unreadable;

/// Bytes of the journal that are read at once.
const READ_BYTES: usize = 256 << 10;
/// Bytes of an event at most: one tells no more than a read brings.
const EVENT_BYTES_MAX: usize = 512 << 10;
/// Bytes of events since the last snapshot, at least, before the next is taken.
const SNAPSHOT_AFTER_BYTES: u64 = 1 << 20;
/// A snapshot is taken after so many times its own bytes of events.
const SNAPSHOT_TIMES: u64 = 8;
/// Events that a start reads first: about as many as come between two snapshots.
const REPLAY_EVENTS: u64 = 16_384;

/// What the events of a journal are applied to.
pub(super) trait Replayed {
    /// Applies an event; `true` if a snapshot begins with it.
    fn take(&mut self, event: &Written) -> Result<bool, FormatError>;

    /// Whether events before those that were applied do not matter.
    fn is_whole(&self) -> bool;
}

/// A journal's writer and the memory that is made of it.
pub(super) struct Recorder<E: Env, M> {
    lane: Lane<E>,
    journal: OwnerId,
    /// Nothing before the first request, and after an event could not be written.
    pub(super) memory: RefCell<Option<M>>,
    loading: Mutex<()>,
    under_way: Rc<UnderWay>,
    /// Events that are being written, by their tokens.
    pending: RefCell<BTreeMap<u64, Pending>>,
    next_token: Cell<u64>,
    /// Counts the memories: an event that was decided in one before is not to be believed.
    epoch: Cell<u64>,
    /// Why the last memory was dropped.
    failure: RefCell<Option<AppendError>>,
    /// The memory is to be dropped as soon as it is not in use.
    is_distrusted: Cell<bool>,
    /// Bytes of events since the last snapshot.
    journal_bytes: Cell<u64>,
    /// Bytes of the last snapshot.
    snapshot_bytes: Cell<u64>,
    /// A snapshot in parts is being written.
    is_in_parts: Cell<bool>,
    /// Bytes of events since the last snapshot, at least, before the next is taken.
    pub(super) snapshot_after_bytes: Cell<u64>,
    /// Events that a start reads first.
    pub(super) replay_events: Cell<u64>,
}

/// What is being written, counted.
#[derive(Default)]
struct UnderWay {
    count: Cell<u64>,
    /// Told when nothing is.
    settled: Signal,
}

/// Something that is being written; dropped, it no longer is.
pub(super) struct Work(Rc<UnderWay>);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        if self.0.count.get() == 0 {
            self.0.settled.notify();
        }
    }
}

/// An event that is being written.
struct Pending {
    /// Of which memory it is.
    epoch: u64,
    /// The oldest message that is needed once it is durable.
    oldest: u64,
    tell: oneshot::Sender<Result<(), AppendError>>,
    work: Work,
}

/// Resolves when an event is durable, or cannot be.
pub(super) struct Recorded(oneshot::Receiver<Result<(), AppendError>>);

impl Future for Recorded {
    type Output = Result<(), AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|told| told.unwrap_or(Err(AppendError::Closed)))
    }
}

impl<E: Env, M> Recorder<E, M> {
    /// A writer without a memory, of a journal that the lane has adopted.
    pub(super) fn new(lane: Lane<E>, journal: OwnerId) -> Self {
        Self {
            lane,
            journal,
            memory: RefCell::new(None),
            loading: Mutex::default(),
            under_way: Rc::default(),
            pending: RefCell::default(),
            next_token: Cell::new(0),
            epoch: Cell::new(0),
            failure: RefCell::default(),
            is_distrusted: Cell::new(false),
            journal_bytes: Cell::new(0),
            snapshot_bytes: Cell::new(0),
            is_in_parts: Cell::new(false),
            snapshot_after_bytes: Cell::new(SNAPSHOT_AFTER_BYTES),
            replay_events: Cell::new(REPLAY_EVENTS),
        }
    }

    /// Makes the memory, if there is none.
    pub(super) async fn load(
        &self,
        make: impl AsyncFnOnce() -> Result<M, Unreadable>,
    ) -> Result<(), Unreadable> {
        if self.is_distrusted.take() {
            drop(self.memory.take());
        }
        if self.memory.borrow().is_some() {
            return Ok(());
        }
        let _loading = self.loading.lock().await;
        if self.memory.borrow().is_some() {
            return Ok(());
        }
        // What is under way would be missed.
        until(&self.under_way.settled, || (self.under_way.count.get() == 0).then_some(())).await;
        let memory = make().await?;
        self.memory.replace(Some(memory));
        Ok(())
    }

    /// What the journal gives: its end alone, if that has a snapshot. What was given back before may be there again after a start, and be very much.
    pub(super) async fn replay<S: Replayed>(&self, new: impl Fn() -> S) -> Result<S, Unreadable> {
        let bounds = self.lane.bounds(self.journal).map_err(|_| Unreadable::Deleted)?;
        let mut events = self.replay_events.get();
        loop {
            let from = bounds.next.get().saturating_sub(events).max(bounds.oldest.get());
            let (state, bytes) = self.replay_from(new(), from).await?;
            if state.is_whole() || from == 0 {
                self.journal_bytes.set(bytes);
                self.snapshot_bytes.set(0);
                return Ok(state);
            }
            if from == bounds.oldest.get() {
                let reason = "the journal before it is gone, and no snapshot follows";
                return Err(log::foreign(self.journal, from, &reason));
            }
            events = events.saturating_mul(4);
        }
    }

    /// What the events from a number on give, and the bytes of those since the last snapshot.
    async fn replay_from<S: Replayed>(&self, mut state: S, mut from: u64) -> Result<(S, u64), Unreadable> {
        let mut bytes = 0;
        loop {
            let stretch = log::read(&self.lane, self.journal, from, READ_BYTES).await?;
            for record in &stretch.records {
                let begins = state.take(record);
                let begins = begins.map_err(|error| log::foreign(self.journal, record.sequence, &error))?;
                bytes = if begins { 0 } else { bytes };
                bytes += record.data.len() as u64;
            }
            if stretch.records.is_empty() {
                return Ok((state, bytes));
            }
            from = stretch.next;
        }
    }

    /// Refuses what the lane would refuse, before anything is decided.
    pub(super) fn admits(&self) -> Result<(), AppendError> {
        self.lane.admits(self.journal, EVENT_BYTES_MAX)
    }

    /// Queues an event that the memory already has. What fails takes the memory with it. `oldest` is told to [`take_in`](Self::take_in) when the event is durable.
    pub(super) fn write(&self, sink: Rc<dyn AppendSink>, payload: Bytes, oldest: u64) -> Recorded {
        self.journal_bytes.set(self.journal_bytes.get() + payload.len() as u64);
        let token = self.next_token.get();
        self.next_token.set(token + 1);
        let (tell, told) = oneshot::channel();
        match self.lane.append_to(sink, token, self.journal, payload, 1, Ack::Durable) {
            Ok(()) => {
                let pending = Pending { epoch: self.epoch.get(), oldest, tell, work: self.begin() };
                self.pending.borrow_mut().insert(token, pending);
            }
            // It was admitted a moment ago; should it be refused all the same, the memory is ahead of the journal.
            Err(error) => {
                self.distrust(&error);
                self.is_distrusted.set(true);
                let _ = tell.send(Err(error));
            }
        }
        Recorded(told)
    }

    /// Whether a snapshot is to be written now, because it is worth it and none is being written: then it is as good as begun.
    pub(super) fn begin_parts(&self) -> bool {
        let due = self.snapshot_after_bytes.get().max(SNAPSHOT_TIMES * self.snapshot_bytes.get());
        let is_due = self.journal_bytes.get() >= due && !self.is_in_parts.get();
        if is_due {
            self.is_in_parts.set(true);
        }
        is_due
    }

    /// Writes down the whole state part by part, the next when the one before is durable, and gives back the journal before the first. `part` makes each of the memory
    /// as it is then. Ends early when something could not be written: what there is of the snapshot counts for nothing.
    pub(super) async fn write_parts(&self, mut part: impl FnMut(&M) -> Option<Bytes>) {
        // A new memory waits for it.
        let _work = self.begin();
        let (epoch, mut first, mut bytes) = (self.epoch.get(), None, 0);
        let is_whole = loop {
            let append = {
                let memory = self.memory.borrow();
                let is_believed = self.epoch.get() == epoch && !self.is_distrusted.get();
                let Some(memory) = memory.as_ref().filter(|_| is_believed) else { break false };
                let Some(payload) = part(memory) else { break true };
                if first.is_none() {
                    self.journal_bytes.set(0);
                }
                bytes += payload.len() as u64;
                self.lane.append(self.journal, payload, 1, Ack::Durable)
            };
            match append.await {
                Ok(appended) => first = first.or(Some(appended.base_sequence)),
                Err(_) => break false,
            }
        };
        self.is_in_parts.set(false);
        if is_whole && let Some(first) = first {
            self.snapshot_bytes.set(bytes);
            self.lane.trim(self.journal, first);
        }
    }

    /// Takes in what became of events. `durable` is told the oldest message that is needed after each that is durable and believed.
    pub(super) fn take_in(&self, settled: &[Settled], durable: impl Fn(u64)) {
        for Settled { token, outcome } in settled {
            let Some(Pending { epoch, oldest, tell, work }) = self.pending.borrow_mut().remove(token) else {
                continue;
            };
            let outcome = match outcome {
                Ok(_) if epoch == self.epoch.get() => {
                    durable(oldest);
                    Ok(())
                }
                Ok(_) => Err(self.failure.borrow().clone().unwrap_or(AppendError::Closed)),
                Err(error) => {
                    if epoch == self.epoch.get() {
                        self.distrust(error);
                        drop(self.memory.take());
                    }
                    Err(error.clone())
                }
            };
            // Whoever asked may have gone.
            let _ = tell.send(outcome);
            drop(work);
        }
    }

    /// Believes nothing that is in memory: an event could not be written. What was decided since is refused, too.
    fn distrust(&self, error: &AppendError) {
        self.epoch.set(self.epoch.get() + 1);
        self.failure.replace(Some(error.clone()));
    }

    /// Something is being written that the memory has to wait for.
    pub(super) fn begin(&self) -> Work {
        self.under_way.count.set(self.under_way.count.get() + 1);
        Work(Rc::clone(&self.under_way))
    }

    /// Whether something is being written.
    pub(super) fn is_writing(&self) -> bool {
        self.under_way.count.get() > 0
    }
}
