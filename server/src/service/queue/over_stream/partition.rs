//! The part of a queue for the shards of one lane: its ledger, made of its journal, and the way of each request through the log.
//!
//! Its events are in the same log as the records that they are about, and behind them, so what an event says of a record is never durable before the record is. Where a queue
//! begins in a shard follows from the queue and the shard, and is written down with the first event of the shard. Invariant: what was acknowledged never comes back, and
//! what was received comes back in its time, over crashes (`tests::seeds`).

mod gather;
mod receive;
mod settle;
mod tend;
mod turn;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::lock::Mutex;
use tidemill_storage::{AppendError, AppendSink, Env, Lane, Settled};
use tidemill_wire::{ShardIndex, Timestamp};

use super::Side;
use super::ledger::Ledger;
use super::source::{Place, Source};
use super::walk::Walk;
use crate::metrics::Counter;
use crate::service::queue::format_of_shard::encode_shard_event;
use crate::service::queue::log::{pack, unfetched};
use crate::service::queue::operation::{ReceiptError, ReceiveError, Unreadable};
use crate::service::queue::recorder::{Recorded, Recorder};
use crate::service::queue::shard_event::ShardEvent;
use crate::service::queue::state::KEPT_MAX;
use crate::service::queue::tail::Tail;
use crate::service::queue::waiters::Waiters;
use crate::service::stream_queue::{Start, StreamQueue};

pub use receive::Wanted;
use turn::Turns;

/// Shards whose records are read ahead at most; those that were read least lately make room.
const TAILS_MAX: usize = 8;

/// The part of a queue for the shards of one lane of this core.
pub struct StreamPartition<E: Env> {
    index: u16,
    definition: RefCell<Arc<StreamQueue>>,
    source: RefCell<Arc<Source>>,
    lane: Lane<E>,
    env: E,
    recorder: Recorder<E, Memory>,
    /// Who has it reads records, so that nobody reads them twice, and picks those that it has read.
    reading: Mutex<()>,
    sink: Rc<Sink<E>>,
    /// Records were wanted since it rested last.
    is_used: Cell<bool>,
    /// Counts receives, so that it is known what was read least lately.
    receives: Cell<usize>,
    turns: Turns,
    live_waiters: Waiters,
    dead_waiters: Waiters,
    tally: Tally,
    is_closed: Cell<bool>,
    /// Records of one part of a snapshot.
    part_records: Cell<usize>,
}

/// What was done with records since the start.
#[derive(Debug, Default)]
pub struct Tally {
    /// Records that were handed out.
    pub received: Counter,
    /// Records that were acknowledged.
    pub acknowledged: Counter,
    /// Receives that got nothing.
    pub empty_receives: Counter,
    /// Dead letters that were handed out.
    pub dead_received: Counter,
    /// Dead letters that were acknowledged.
    pub dead_acknowledged: Counter,
    /// Dead letters that were restored.
    pub restored: Counter,
    /// Times that records were read out of the log.
    pub reads: Counter,
}

/// How many records there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// To be received, about.
    pub visible: u64,
    /// Received and neither acknowledged nor back.
    pub in_flight: u64,
    /// Dead letters to be received.
    pub dead: u64,
    /// Dead letters that were received and are neither acknowledged nor back.
    pub dead_in_flight: u64,
}

/// What a partition keeps in memory.
struct Memory {
    ledger: Ledger,
    /// Where the queue begins in shards of which no event was written yet.
    starts: BTreeMap<ShardIndex, u64>,
    tails: BTreeMap<ShardIndex, Ahead>,
}

/// Records of a shard that are at hand.
struct Ahead {
    tail: Tail,
    /// The receive for which they were read last.
    read: usize,
}

/// Why a partition is not ready for a request.
enum Unready {
    Unreadable(Unreadable),
    Lane(AppendError),
}

impl From<Unreadable> for Unready {
    fn from(error: Unreadable) -> Self {
        Self::Unreadable(error)
    }
}

impl From<AppendError> for Unready {
    fn from(error: AppendError) -> Self {
        Self::Lane(error)
    }
}

impl From<Unready> for ReceiveError {
    fn from(error: Unready) -> Self {
        match error {
            Unready::Unreadable(error) => error.into(),
            Unready::Lane(error) => error.into(),
        }
    }
}

impl From<Unready> for ReceiptError {
    fn from(error: Unready) -> Self {
        match error {
            Unready::Unreadable(error) => error.into(),
            Unready::Lane(error) => error.into(),
        }
    }
}

impl<E: Env> StreamPartition<E> {
    /// A partition whose journal the lane has adopted. Nothing is read before the first request.
    ///
    /// # Panics
    /// If the queue has no such partition.
    pub fn new(
        env: E,
        lane: Lane<E>,
        definition: Arc<StreamQueue>,
        index: u16,
        source: Arc<Source>,
    ) -> Rc<Self> {
        let journal = definition.partitions[usize::from(index)].journal;
        Rc::new_cyclic(|partition| Self {
            index,
            definition: RefCell::new(definition),
            source: RefCell::new(source),
            recorder: Recorder::new(lane.clone(), journal),
            lane,
            env,
            reading: Mutex::default(),
            sink: Rc::new(Sink(Weak::clone(partition))),
            is_used: Cell::new(false),
            receives: Cell::new(0),
            turns: Turns::default(),
            live_waiters: Waiters::default(),
            dead_waiters: Waiters::default(),
            tally: Tally::default(),
            is_closed: Cell::new(false),
            part_records: Cell::new(KEPT_MAX),
        })
    }

    /// Takes in new settings of the queue.
    pub fn change(&self, definition: &Arc<StreamQueue>) {
        self.definition.replace(Arc::clone(definition));
        self.poke();
    }

    /// Takes in that the stream has changed.
    pub fn follow(&self, source: &Arc<Source>) {
        let before = self.source.replace(Arc::clone(source));
        if let Some(memory) = &mut *self.recorder.memory.borrow_mut() {
            let is_there = |shard| source.shards.iter().any(|place| place.shard == shard);
            memory.ledger.retain(is_there);
            memory.starts.retain(|shard, _| is_there(*shard));
            memory.tails.retain(|shard, _| is_there(*shard));
            if before.retention_ms != source.retention_ms {
                memory.tails.clear();
            }
        }
        self.poke();
    }

    /// Ends those who wait: the queue was deleted.
    pub fn close(&self) {
        self.is_closed.set(true);
        self.live_waiters.clear();
        self.dead_waiters.clear();
    }

    /// What was done with records since the start.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Begins with the records that come from here on, now that the queue is new and is to begin so. Answers when that is durable.
    pub async fn begin(&self) -> Result<(), ReceiveError> {
        let definition = self.definition();
        if definition.start != Start::Newest {
            return Ok(());
        }
        let recorded: Vec<Recorded> = loop {
            self.ready().await?;
            self.recorder.admits()?;
            let places = self.places();
            let mut memory = self.recorder.memory.borrow_mut();
            let Some(memory) = &mut *memory else { continue };
            let mut recorded = Vec::new();
            for place in places.into_iter().filter(|place| place.shard < definition.next_shard) {
                let Ok(bounds) = self.lane.bounds(place.owner) else { continue };
                if memory.starts.remove(&place.shard).is_none() {
                    continue;
                }
                let event = memory.ledger.begin(place.shard, bounds.next.get());
                memory.tails.remove(&place.shard);
                recorded.push(self.write(memory, &event));
            }
            break recorded;
        };
        for recorded in recorded {
            recorded.await?;
        }
        Ok(())
    }

    fn definition(&self) -> Arc<StreamQueue> {
        Arc::clone(&self.definition.borrow())
    }

    /// The shards of its lane.
    fn places(&self) -> Vec<Place> {
        let lane = self.definition.borrow().partitions[usize::from(self.index)].lane;
        self.source.borrow().shards.iter().filter(|place| place.lane == lane).copied().collect()
    }

    /// Makes the memory of the journal, if there is none, and takes in shards that are new.
    async fn ready(&self) -> Result<(), Unready> {
        self.recorder.load(async || self.make().await).await?;
        let is_new = |place: &Place| {
            let memory = self.recorder.memory.borrow();
            memory.as_ref().is_some_and(|memory| !memory.ledger.knows(place.shard))
        };
        let new: Vec<Place> = self.places().into_iter().filter(is_new).collect();
        for place in new {
            let start = match self.start_of(&place).await {
                Ok(Some(start)) => start,
                Ok(None) => continue,
                // Nobody has anything of it yet, and others go on.
                Err(error) => {
                    tracing::error!(shard = %place.shard, %error, "where a queue begins in a shard cannot be read");
                    continue;
                }
            };
            if let Some(memory) = &mut *self.recorder.memory.borrow_mut()
                && !memory.ledger.knows(place.shard)
            {
                memory.ledger.begin(place.shard, start);
                memory.starts.insert(place.shard, start);
            }
        }
        Ok(())
    }

    async fn make(&self) -> Result<Memory, Unreadable> {
        let mut ledger = self.recorder.replay(Ledger::default).await?;
        ledger.forget_pending();
        let places = self.places();
        ledger.retain(|shard| places.iter().any(|place| place.shard == shard));
        Ok(Memory { ledger, starts: BTreeMap::new(), tails: BTreeMap::new() })
    }

    /// Where the queue begins in a shard of which nothing was written down: in one that was opened later with the first record, whatever became of the clock. Nothing if the shard has gone meanwhile.
    async fn start_of(&self, place: &Place) -> Result<Option<u64>, Unreadable> {
        let definition = self.definition();
        if place.shard >= definition.next_shard {
            return Ok(Some(0));
        }
        let since = match definition.start {
            Start::Oldest => return Ok(Some(0)),
            Start::Newest => definition.created,
            Start::At(time) => time,
        };
        match self.lane.sequence_at(place.owner, since).await {
            Ok(sequence) => Ok(Some(sequence.get())),
            Err(tidemill_storage::FetchError::UnknownOwner(_)) => Ok(None),
            Err(error) => Err(unfetched(place.owner, 0, error)),
        }
    }

    /// Queues an event that the memory already has, behind the one that says where the queue begins in the shard.
    fn write(&self, memory: &mut Memory, event: &ShardEvent) -> Recorded {
        if let ShardEvent::Of { shard, .. } = event
            && let Some(start) = memory.starts.remove(shard).filter(|start| *start > 0)
        {
            let begun = Ledger::begun(*shard, start);
            // What follows it is durable only if this is, too.
            drop(self.recorder.write(self.sink(), packed(&begun), 0));
        }
        let recorded = self.recorder.write(self.sink(), packed(event), 0);
        if let Some(partition) = self.sink.0.upgrade()
            && self.recorder.begin_parts()
        {
            self.env.spawn(partition.write_snapshot());
        }
        recorded
    }

    /// Writes down all that is known in parts, so that others get their turn between them.
    async fn write_snapshot(self: Rc<Self>) {
        let mut walk = Walk::new(self.part_records.get());
        self.recorder.write_parts(|memory| walk.next(&memory.ledger).as_ref().map(packed)).await;
    }

    fn sink(&self) -> Rc<dyn AppendSink> {
        Rc::<Sink<E>>::clone(&self.sink)
    }

    fn waiters(&self, side: Side) -> &Waiters {
        match side {
            Side::Live => &self.live_waiters,
            Side::Dead => &self.dead_waiters,
        }
    }

    fn poke(&self) {
        self.live_waiters.poke();
        self.dead_waiters.poke();
    }

    /// Lets go of what was read ahead if nobody has wanted records since the last time: it keeps segments and blocks of the lane, and memory, from others.
    pub fn rest(&self) {
        if !self.is_used.replace(false)
            && let Some(memory) = &mut *self.recorder.memory.borrow_mut()
        {
            memory.tails.clear();
        }
    }

    /// How many records there are.
    pub async fn count(&self) -> Result<Counted, ReceiveError> {
        self.ready().await?;
        let now = self.lane.now();
        let places = self.places();
        let mut memory = self.recorder.memory.borrow_mut();
        let Some(memory) = &mut *memory else { return Ok(Counted::default()) };
        memory.ledger.advance(now);
        let waiting = |place: &Place| {
            let bounds = self.lane.bounds(place.owner).ok()?;
            let cursor = memory.ledger.cursor(place.shard)?.max(bounds.oldest.get());
            Some(bounds.next.get().saturating_sub(cursor))
        };
        Ok(Counted {
            visible: memory.ledger.ready(Side::Live) + places.iter().filter_map(waiting).sum::<u64>(),
            in_flight: memory.ledger.in_flight(Side::Live),
            dead: memory.ledger.ready(Side::Dead),
            dead_in_flight: memory.ledger.in_flight(Side::Dead),
        })
    }
}

impl Memory {
    /// Of too many shards that have something at hand, one makes room for another.
    fn make_room(&mut self, shard: ShardIndex) {
        let is_other = |other: &ShardIndex, ahead: &Ahead| *other != shard && !ahead.tail.heads().is_empty();
        let others = || self.tails.iter().filter(|(other, ahead)| is_other(other, ahead));
        if others().count() >= TAILS_MAX
            && let Some(oldest) = others().min_by_key(|(_, ahead)| ahead.read).map(|(other, _)| *other)
        {
            self.tails.remove(&oldest);
        }
    }

    /// Records of a shard that no receive has looked at, about, with that end.
    fn behind(&self, shard: ShardIndex, end: u64) -> u64 {
        let cursor = self.ledger.cursor(shard).unwrap_or(0);
        let Some(Ahead { tail, .. }) = self.tails.get(&shard) else { return end.saturating_sub(cursor) };
        let at_hand = tail.heads().len() - tail.heads().partition_point(|head| head.sequence < cursor);
        end.saturating_sub(tail.next().max(cursor)) + at_hand as u64
    }

    /// What is at hand of a shard, from its cursor on.
    fn ahead(&mut self, shard: ShardIndex, read: usize) -> &mut Tail {
        let cursor = self.ledger.cursor(shard).unwrap_or(0);
        let ahead = self.tails.entry(shard).or_insert_with(|| Ahead { tail: Tail::new(cursor), read });
        ahead.read = read;
        ahead.tail.pass(cursor);
        &mut ahead.tail
    }
}

fn packed(event: &ShardEvent) -> Bytes {
    pack(&encode_shard_event(event))
}

/// The time so much later.
fn later(now: Timestamp, duration: std::time::Duration) -> Timestamp {
    Timestamp(now.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
}

/// Hears what became of a partition's events. The lane has it, and the partition has the lane, so it does not keep the partition.
struct Sink<E: Env>(Weak<StreamPartition<E>>);

impl<E: Env> AppendSink for Sink<E> {
    fn settle(&self, settled: &[Settled]) {
        if let Some(partition) = self.0.upgrade() {
            partition.recorder.take_in(settled, |_| {});
            partition.poke();
        }
    }
}

#[cfg(test)]
mod tests;
