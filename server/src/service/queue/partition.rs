//! A part of a queue in one lane: its state, made of its journal, and the way of each request through the log.
//!
//! A decision is taken and its event queued in one step between two awaits, so events lie in the journal in the order of the decisions; answers go when the event is
//! durable. Invariant: what is in memory is what the journal says or will say; when an event cannot be written the memory is dropped and made anew from the journal
//! (`tests::what_was_not_written_did_not_happen`).

mod receive;
mod send;
mod settle;
mod tend;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use futures_channel::oneshot;
use futures_util::lock::Mutex;
use tidemill_storage::{AppendError, AppendSink, Env, FetchError, Lane, Settled, Signal, until};
use tidemill_wire::message::Ack;
use tidemill_wire::{SequenceNumber, Timestamp};

use super::dedup::{Deduplication, WINDOW, key_of};
use super::definition::{self, Definition, QueueSettings, Scope};
use super::format::{decode_event, decode_message};
use super::journal::Event;
use super::log::{self, pack_event};
use super::operation::{Counts, Sent, Unreadable};
use super::state::{Pick, State};
use super::tail::Tail;
use super::waiters::Waiters;
use crate::metrics::Counter;

pub use receive::{Batch, Want};

/// Bytes of the log that are read at once.
const READ_BYTES: usize = 256 << 10;
/// Bytes of an event at most: one tells no more messages than a read brings.
const EVENT_BYTES_MAX: usize = 512 << 10;
/// Bytes of events since the last snapshot, at least, before the next is taken.
const SNAPSHOT_AFTER_BYTES: u64 = 1 << 20;
/// A snapshot is taken after so many times its own bytes of events.
const SNAPSHOT_TIMES: u64 = 8;
/// Events that a start reads first: about as many as come between two snapshots.
const REPLAY_EVENTS: u64 = 16_384;
/// Deleted messages before their space is given back, so that the lane is not asked for each.
const TRIM_AFTER: u64 = 256;

/// A part of a queue in one lane of this core.
pub struct Partition<E: Env> {
    index: u16,
    place: definition::Partition,
    definition: RefCell<Arc<Definition>>,
    lane: Lane<E>,
    env: E,
    /// Nothing before the first request, and after an event could not be written.
    memory: RefCell<Option<Memory>>,
    loading: Mutex<()>,
    filling: Mutex<()>,
    /// Events and messages of a FIFO queue that are being written.
    under_way: Cell<u64>,
    /// Told when none is.
    settled: Signal,
    sink: Rc<Sink<E>>,
    /// Events that are being written, by their tokens.
    pending: RefCell<BTreeMap<u64, Pending>>,
    next_token: Cell<u64>,
    /// Counts the memories: an event that was decided in one before is not to be believed.
    epoch: Cell<u64>,
    /// Why the last memory was dropped.
    failure: RefCell<Option<AppendError>>,
    /// The memory is to be dropped as soon as it is not in use.
    is_distrusted: Cell<bool>,
    /// Messages were wanted since it rested last.
    is_used: Cell<bool>,
    waiters: Waiters,
    tally: Tally,
    is_closed: Cell<bool>,
    /// Bytes of events since the last snapshot, at least, before the next is taken.
    snapshot_after_bytes: Cell<u64>,
    /// Events that a start reads first.
    replay_events: Cell<u64>,
}

/// What was done with messages since the start.
#[derive(Debug, Default)]
pub struct Tally {
    /// Messages that were taken.
    pub sent: Counter,
    /// Messages that were handed out.
    pub received: Counter,
    /// Messages that were deleted.
    pub deleted: Counter,
    /// Receives that got nothing.
    pub empty_receives: Counter,
}

/// What a partition keeps in memory.
struct Memory {
    state: State,
    tail: Tail,
    known: Deduplication,
    /// What the attempts of the last minutes got.
    attempts: BTreeMap<String, Attempt>,
    /// Bytes of events since the last snapshot.
    journal_bytes: u64,
    /// Bytes of the last snapshot.
    snapshot_bytes: u64,
    /// Messages below this were given back.
    trimmed: u64,
}

/// An event that is being written.
struct Pending {
    /// Of which memory it is.
    epoch: u64,
    /// The oldest message that is needed once it is durable.
    oldest: u64,
    tell: oneshot::Sender<Result<(), AppendError>>,
}

/// What an attempt to receive got.
struct Attempt {
    at: Timestamp,
    picked: Vec<Pick>,
}

impl Memory {
    /// The oldest message that is needed.
    fn oldest(&self) -> u64 {
        self.state.oldest().min(self.known.oldest().unwrap_or(u64::MAX))
    }
}

impl<E: Env> Partition<E> {
    /// A partition whose owners the lane has adopted. Nothing is read before the first request.
    ///
    /// # Panics
    /// If the queue has no such partition.
    pub fn new(env: E, lane: Lane<E>, definition: Arc<Definition>, index: u16) -> Rc<Self> {
        let place = definition.partitions[usize::from(index)];
        Rc::new_cyclic(|partition| Self {
            sink: Rc::new(Sink(Weak::clone(partition))),
            index,
            place,
            definition: RefCell::new(definition),
            lane,
            env,
            memory: RefCell::default(),
            loading: Mutex::default(),
            filling: Mutex::default(),
            under_way: Cell::new(0),
            settled: Signal::default(),
            pending: RefCell::default(),
            next_token: Cell::new(0),
            epoch: Cell::new(0),
            failure: RefCell::default(),
            is_distrusted: Cell::new(false),
            is_used: Cell::new(false),
            waiters: Waiters::default(),
            tally: Tally::default(),
            is_closed: Cell::new(false),
            snapshot_after_bytes: Cell::new(SNAPSHOT_AFTER_BYTES),
            replay_events: Cell::new(REPLAY_EVENTS),
        })
    }

    /// Takes in new settings of the queue.
    pub fn change(&self, definition: &Arc<Definition>) {
        let before = self.definition.replace(Arc::clone(definition));
        let of_heads = |settings: &QueueSettings| (settings.delay_s, settings.retention_s);
        let scope = |settings: &QueueSettings| settings.fifo.map(|fifo| fifo.scope);
        let mut memory = self.memory.borrow_mut();
        if scope(&before.settings) != scope(&definition.settings) {
            // What was sent before has to be told by other keys.
            drop(memory.take());
        } else if let Some(memory) = &mut *memory
            && of_heads(&before.settings) != of_heads(&definition.settings)
        {
            memory.tail = Tail::new(memory.state.cursor());
        }
        drop(memory);
        self.waiters.poke();
    }

    /// Ends those who wait: the queue was deleted.
    pub fn close(&self) {
        self.is_closed.set(true);
        self.waiters.clear();
    }

    /// What was done with messages since the start.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The time by which it goes.
    pub fn now(&self) -> Timestamp {
        self.lane.now()
    }

    fn definition(&self) -> Arc<Definition> {
        Arc::clone(&self.definition.borrow())
    }

    /// Makes the memory of the journal, if there is none.
    async fn load(&self) -> Result<(), Unreadable> {
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
        until(&self.settled, || (self.under_way.get() == 0).then_some(())).await;
        let definition = self.definition();
        let (state, journal_bytes) = self.replay(definition.is_fifo()).await?;
        let known = match definition.settings.fifo {
            Some(fifo) => self.load_known(fifo.scope).await?,
            None => Deduplication::default(),
        };
        let tail = Tail::new(state.cursor());
        let memory = Memory {
            state,
            tail,
            known,
            attempts: BTreeMap::new(),
            journal_bytes,
            snapshot_bytes: 0,
            trimmed: 0,
        };
        self.memory.replace(Some(memory));
        Ok(())
    }

    /// Makes the state of the journal: of its end, if that has a snapshot. What was given back before may be there again after a start, and be very much.
    async fn replay(&self, is_fifo: bool) -> Result<(State, u64), Unreadable> {
        let bounds = self.lane.bounds(self.place.journal).map_err(|_| Unreadable::Deleted)?;
        let mut events = self.replay_events.get();
        loop {
            let from = bounds.next.get().saturating_sub(events).max(bounds.oldest.get());
            let (state, bytes) = self.replay_from(is_fifo, from).await?;
            if state.is_of_snapshot() || from == 0 {
                return Ok((state, bytes));
            }
            if from == bounds.oldest.get() {
                let reason = "the journal before it is gone, and no snapshot follows";
                return Err(log::foreign(self.place.journal, from, &reason));
            }
            events = events.saturating_mul(4);
        }
    }

    /// What the events from a number on give, and the bytes of those since the last snapshot.
    async fn replay_from(&self, is_fifo: bool, mut from: u64) -> Result<(State, u64), Unreadable> {
        let (mut state, mut bytes) = (State::new(is_fifo), 0);
        loop {
            let stretch = log::read(&self.lane, self.place.journal, from, READ_BYTES).await?;
            for record in &stretch.records {
                let event = decode_event(&record.data);
                let event =
                    event.map_err(|error| log::foreign(self.place.journal, record.sequence, &error))?;
                bytes = if matches!(event, Event::Snapshot { .. }) { 0 } else { bytes };
                bytes += record.data.len() as u64;
                state.apply(&event);
            }
            if stretch.records.is_empty() {
                return Ok((state, bytes));
            }
            from = stretch.next;
        }
    }

    /// Reads which messages were sent in the last minutes.
    async fn load_known(&self, scope: Scope) -> Result<Deduplication, Unreadable> {
        let owner = self.place.messages;
        let window_ms = u64::try_from(WINDOW.as_millis()).unwrap_or(u64::MAX);
        let since = Timestamp(self.lane.now().0.saturating_sub(window_ms));
        let mut from = self.lane.sequence_at(owner, since).await.map_err(|error| match error {
            FetchError::Damaged(damage) => damage.into(),
            FetchError::Disk(error) => error.into(),
            FetchError::UnknownOwner(_) => Unreadable::Deleted,
            error @ FetchError::BeyondEnd { .. } => log::foreign(owner, 0, &error),
        })?;
        let mut known = Deduplication::default();
        loop {
            let stretch = log::read(&self.lane, owner, from.get(), READ_BYTES).await?;
            for record in &stretch.records {
                let message = decode_message(&record.key, &record.data);
                let message = message.map_err(|error| log::foreign(owner, record.sequence, &error))?;
                if let Some(key) = key_of(&message, scope) {
                    known.remember(key, message.sent, Sent { id: message.id, sequence: record.sequence });
                }
            }
            if stretch.records.is_empty() {
                return Ok(known);
            }
            from = SequenceNumber(stretch.next);
        }
    }

    /// Queues an event that the memory already has. What fails takes the memory with it.
    fn write(
        self: &Rc<Self>,
        memory: &mut Memory,
        event: &Event,
    ) -> impl Future<Output = Result<(), AppendError>> + use<E> {
        let payload = pack_event(event);
        memory.journal_bytes += payload.len() as u64;
        let oldest = memory.oldest();
        let (token, sink) = (self.next_token.get(), Rc::<Sink<E>>::clone(&self.sink));
        self.next_token.set(token + 1);
        let (tell, told) = oneshot::channel();
        match self.lane.append_to(sink, token, self.place.journal, payload, 1, Ack::Durable) {
            Ok(()) => {
                self.begin();
                let pending = Pending { epoch: self.epoch.get(), oldest, tell };
                self.pending.borrow_mut().insert(token, pending);
            }
            // It was admitted a moment ago; should it be refused all the same, the memory is ahead of the journal.
            Err(error) => {
                self.distrust(&error);
                self.is_distrusted.set(true);
                let _ = tell.send(Err(error));
            }
        }
        self.snapshot_if_due(memory);
        async move { told.await.unwrap_or(Err(AppendError::Closed)) }
    }

    /// Believes nothing that is in memory: an event could not be written. What was decided since is refused, too.
    fn distrust(&self, error: &AppendError) {
        self.epoch.set(self.epoch.get() + 1);
        self.failure.replace(Some(error.clone()));
    }

    /// Forgets what time is over for, and lets go of what was read ahead if nobody has wanted messages since the last time: it keeps segments and blocks of the lane,
    /// and memory, from others.
    pub fn rest(&self) {
        let is_used = self.is_used.replace(false);
        if let Some(memory) = &mut *self.memory.borrow_mut() {
            memory.known.forget(self.lane.now());
            if !is_used {
                memory.tail = Tail::new(memory.state.cursor());
            }
        }
    }

    fn begin(&self) {
        self.under_way.set(self.under_way.get() + 1);
    }

    fn end(&self) {
        self.under_way.set(self.under_way.get() - 1);
        if self.under_way.get() == 0 {
            self.settled.notify();
        }
    }

    /// Gives back the space of messages that are not needed, as events that are durable say.
    fn trim(&self, oldest: u64) {
        if let Some(memory) = &mut *self.memory.borrow_mut()
            && oldest >= memory.trimmed + TRIM_AFTER
        {
            memory.trimmed = oldest;
            self.lane.trim(self.place.messages, SequenceNumber(oldest));
        }
    }

    /// Writes down the whole state when so much has come since the last time, and gives back the journal before it.
    fn snapshot_if_due(self: &Rc<Self>, memory: &mut Memory) {
        if memory.journal_bytes < self.snapshot_after_bytes.get().max(SNAPSHOT_TIMES * memory.snapshot_bytes)
        {
            return;
        }
        let parts: Vec<_> = memory.state.snapshot().iter().map(pack_event).collect();
        memory.snapshot_bytes = parts.iter().map(|part| part.len() as u64).sum();
        memory.journal_bytes = 0;
        let appends: Vec<_> = parts
            .into_iter()
            .map(|part| self.lane.append(self.place.journal, part, 1, Ack::Durable))
            .collect();
        self.begin();
        let partition = Rc::clone(self);
        self.env.spawn(async move {
            let mut first = None;
            let mut is_whole = true;
            for append in appends {
                match append.await {
                    Ok(appended) => first = first.or(Some(appended.base_sequence)),
                    Err(_) => is_whole = false,
                }
            }
            if is_whole && let Some(first) = first {
                partition.lane.trim(partition.place.journal, first);
            }
            partition.end();
        });
    }

    /// How many messages there are.
    pub async fn count(&self) -> Result<Counts, Unreadable> {
        self.load().await?;
        let definition = self.definition();
        let now = self.lane.now();
        let delay_ms = u64::from(definition.settings.delay_s) * 1_000;
        let due = if delay_ms == 0 {
            None
        } else {
            let since = Timestamp(now.0.saturating_sub(delay_ms));
            self.lane.sequence_at(self.place.messages, since).await.ok()
        };
        let bounds = self.lane.bounds(self.place.messages).map_err(|_| Unreadable::Deleted)?;
        let (mut counts, oldest) = {
            let mut memory = self.memory.borrow_mut();
            let Some(memory) = &mut *memory else { return Ok(Counts::default()) };
            memory.state.advance(now);
            let (cursor, next) = (memory.state.cursor().max(bounds.oldest.get()), bounds.next.get());
            let waiting = next.saturating_sub(cursor);
            let delayed = due.map_or(0, |due| next.saturating_sub(due.get().max(cursor)));
            let counts = Counts {
                visible: memory.state.ready() + waiting - delayed.min(waiting),
                in_flight: memory.state.in_flight(),
                delayed: memory.state.delayed() + delayed.min(waiting),
                oldest: None,
            };
            (counts, memory.state.oldest().max(bounds.oldest.get()))
        };
        if counts.visible + counts.in_flight + counts.delayed > 0 {
            let stretch = log::read(&self.lane, self.place.messages, oldest, 1).await?;
            let first = stretch.records.first();
            let message = first.and_then(|record| decode_message(&record.key, &record.data).ok());
            counts.oldest = message.map(|message| message.sent);
        }
        Ok(counts)
    }
}

/// Hears what became of a partition's events. The lane has it, and the partition has the lane, so it does not keep the partition.
struct Sink<E: Env>(Weak<Partition<E>>);

impl<E: Env> AppendSink for Sink<E> {
    fn settle(&self, settled: &[Settled]) {
        if let Some(partition) = self.0.upgrade() {
            partition.take_in(settled);
        }
    }
}

impl<E: Env> Partition<E> {
    fn take_in(&self, settled: &[Settled]) {
        for Settled { token, outcome } in settled {
            let Some(Pending { epoch, oldest, tell }) = self.pending.borrow_mut().remove(token) else {
                continue;
            };
            let outcome = match outcome {
                Ok(_) if epoch == self.epoch.get() => {
                    self.trim(oldest);
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
            self.end();
        }
        self.waiters.poke();
    }
}

#[cfg(test)]
mod tests;
