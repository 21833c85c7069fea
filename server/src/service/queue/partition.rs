//! A part of a queue in one lane: its state, made of its journal, and the way of each request through the log.
//!
//! Decisions are those of [`State`](super::state), written down by the [`Recorder`](super::recorder) before they are answered.

mod receive;
mod send;
mod settle;
mod tend;

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use futures_util::lock::Mutex;
use tidemill_storage::{AppendSink, Env, Lane, Settled};
use tidemill_wire::{SequenceNumber, Timestamp};

use super::dedup::{Deduplication, Room, WINDOW, key_of};
use super::definition::{self, Definition, QueueSettings, Scope};
use super::format::decode_message;
use super::journal::Event;
use super::log::{self, pack_event};
use super::operation::{Counts, Sent, Unreadable};
use super::recorder::{Recorded, Recorder};
use super::snapshot::Walk;
use super::state::{KEPT_MAX, State};
use super::tail::Tail;
use super::waiters::Waiters;
use crate::metrics::Counter;

pub use receive::{Batch, Want};

/// Bytes of the log that are read at once.
const READ_BYTES: usize = 256 << 10;
/// Deleted messages before their space is given back, so that the lane is not asked for each.
const TRIM_AFTER: u64 = 256;

/// A part of a queue in one lane of this core.
pub struct Partition<E: Env> {
    index: u16,
    place: definition::Partition,
    definition: RefCell<Arc<Definition>>,
    lane: Lane<E>,
    env: E,
    recorder: Recorder<E, Memory>,
    filling: Mutex<()>,
    sink: Rc<Sink<E>>,
    /// Messages were wanted since it rested last.
    is_used: Cell<bool>,
    waiters: Waiters,
    tally: Tally,
    /// For what is remembered of FIFO queues.
    room: Rc<Room>,
    is_closed: Cell<bool>,
    /// Messages of one part of a snapshot.
    part_messages: Cell<usize>,
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
    /// Messages below this were given back.
    trimmed: u64,
}

impl Memory {
    /// The oldest message that is needed.
    fn oldest(&self) -> u64 {
        self.state.oldest().min(self.known.oldest().unwrap_or(u64::MAX))
    }
}

impl<E: Env> Partition<E> {
    /// A partition whose owners the lane has adopted. Nothing is read before the first request. A FIFO queue remembers messages of the last minutes as far as there is room.
    ///
    /// # Panics
    /// If the queue has no such partition.
    pub fn new(env: E, lane: Lane<E>, definition: Arc<Definition>, index: u16, room: Rc<Room>) -> Rc<Self> {
        let place = definition.partitions[usize::from(index)];
        Rc::new_cyclic(|partition| Self {
            sink: Rc::new(Sink(Weak::clone(partition))),
            index,
            place,
            definition: RefCell::new(definition),
            recorder: Recorder::new(lane.clone(), place.journal),
            lane,
            env,
            filling: Mutex::default(),
            is_used: Cell::new(false),
            waiters: Waiters::default(),
            tally: Tally::default(),
            room,
            is_closed: Cell::new(false),
            part_messages: Cell::new(KEPT_MAX),
        })
    }

    /// Takes in new settings of the queue.
    pub fn change(&self, definition: &Arc<Definition>) {
        let before = self.definition.replace(Arc::clone(definition));
        let of_heads = |settings: &QueueSettings| (settings.delay_s, settings.retention_s);
        let scope = |settings: &QueueSettings| settings.fifo.map(|fifo| fifo.scope);
        let mut memory = self.recorder.memory.borrow_mut();
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
        self.recorder.load(async || self.make().await).await
    }

    async fn make(&self) -> Result<Memory, Unreadable> {
        let definition = self.definition();
        let mut state = self.recorder.replay(|| State::new(definition.is_fifo())).await?;
        // A snapshot that was cut short is never gone on with.
        state.pending = None;
        let known = match definition.settings.fifo {
            Some(fifo) => self.load_known(fifo.scope).await?,
            None => Deduplication::new(Rc::clone(&self.room)),
        };
        let tail = Tail::new(state.cursor());
        Ok(Memory { state, tail, known, trimmed: 0 })
    }

    /// Reads which messages were sent in the last minutes.
    async fn load_known(&self, scope: Scope) -> Result<Deduplication, Unreadable> {
        let owner = self.place.messages;
        let window_ms = u64::try_from(WINDOW.as_millis()).unwrap_or(u64::MAX);
        let since = Timestamp(self.lane.now().0.saturating_sub(window_ms));
        let found = self.lane.sequence_at(owner, since).await;
        let mut from = found.map_err(|error| log::unfetched(owner, 0, error))?;
        let mut known = Deduplication::new(Rc::clone(&self.room));
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
    fn write(self: &Rc<Self>, memory: &Memory, event: &Event) -> Recorded {
        let sink = Rc::<Sink<E>>::clone(&self.sink);
        let recorded = self.recorder.write(sink, pack_event(event), memory.oldest());
        if self.recorder.begin_parts() {
            self.env.spawn(Rc::clone(self).write_snapshot());
        }
        recorded
    }

    /// Writes down the whole state in parts, so that others get their turn between them.
    async fn write_snapshot(self: Rc<Self>) {
        let mut walk = Walk::new(self.part_messages.get());
        self.recorder.write_parts(|memory| walk.next(&memory.state).as_ref().map(pack_event)).await;
    }

    /// Forgets what time is over for, and lets go of what was read ahead if nobody has wanted messages since the last time: it keeps segments and blocks of the lane,
    /// and memory, from others.
    pub fn rest(&self) {
        let is_used = self.is_used.replace(false);
        if let Some(memory) = &mut *self.recorder.memory.borrow_mut() {
            let now = self.lane.now();
            memory.known.forget(now);
            memory.state.attempts.forget(now);
            if !is_used {
                memory.tail = Tail::new(memory.state.cursor());
            }
        }
    }

    /// Gives back the space of messages that are not needed, as events that are durable say.
    fn trim(&self, oldest: u64) {
        if let Some(memory) = &mut *self.recorder.memory.borrow_mut()
            && oldest >= memory.trimmed + TRIM_AFTER
        {
            memory.trimmed = oldest;
            self.lane.trim(self.place.messages, SequenceNumber(oldest));
        }
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
            let mut memory = self.recorder.memory.borrow_mut();
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
            partition.recorder.take_in(settled, |oldest| partition.trim(oldest));
            partition.waiters.poke();
        }
    }
}

#[cfg(test)]
mod tests;
