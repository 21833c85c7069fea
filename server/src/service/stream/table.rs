//! The streams as one core knows them, and the shards whose lanes it holds.
//!
//! Every core knows every stream, so that it can say where a request belongs; only the owner of a lane has the lane's
//! shards with their quotas.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::rc::Rc;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tidemill_storage::{Bounds, Env, Lane, Signal};
use tidemill_wire::{LaneId, OwnerId, ShardIndex, StreamId, StreamName};

use super::definition::Definition;
use super::error::AppendError;
use super::seat::Seats;
use crate::service::meter::Meter;
use crate::service::quota::ShardQuota;
use crate::service::shard_definition::Shard;

/// The streams of one core.
pub struct Streams<E: Env> {
    pub(super) env: E,
    lanes: BTreeMap<LaneId, Lane<E>>,
    by_id: RefCell<HashMap<StreamId, Rc<Stream<E>>, FixedState>>,
    by_name: RefCell<BTreeMap<StreamName, Rc<Stream<E>>>>,
    /// Streams whose shards are being changed.
    pub(super) moving: RefCell<BTreeSet<StreamId>>,
    /// Told when a change of shards is over.
    pub(super) moved: Signal,
    /// Fetches that wait for records.
    pub(super) waiting: Rc<Cell<u64>>,
    pub(super) waiting_max: u64,
    /// Of registered consumers.
    pub(super) seats: Seats,
    /// The shard that was appended to last: most often the next one, too.
    recent: RefCell<Option<(StreamId, Rc<LocalShard<E>>)>>,
}

/// A stream and those of its shards that this core owns.
pub struct Stream<E: Env> {
    /// As every core has taken it in: what is routed by and shown.
    definition: Arc<Definition>,
    /// As this core has taken it in, which another one may not have done yet: what is served.
    newest: Arc<Definition>,
    /// By position in the newest definition.
    local: Vec<Option<Rc<LocalShard<E>>>>,
    turn: Cell<u32>,
}

/// A shard whose lane this core holds.
pub(super) struct LocalShard<E: Env> {
    pub(super) index: ShardIndex,
    pub(super) owner: OwnerId,
    pub(super) lane: Lane<E>,
    pub(super) gate: Cell<Gate>,
    /// Appends that the lane has not settled.
    pub(super) under_way: Cell<u64>,
    /// Told when the gate changes and when nothing is under way any more; made by the first who waits.
    changed: RefCell<Option<Rc<Signal>>>,
    pub(super) quota: RefCell<ShardQuota>,
    pub(super) meter: RefCell<Option<Rc<Meter>>>,
}

/// Whether a shard takes appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// It does.
    Open,
    /// Not now: whether it goes on or ends here is being decided.
    Held,
    /// It has ended.
    Closed,
    /// It has ended and its records are over: the stream has no such shard any more.
    Over,
}

impl Gate {
    fn of(shard: &Shard) -> Self {
        if shard.is_open() { Self::Open } else { Self::Closed }
    }
}

/// What a shard holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardBounds {
    /// The shard.
    pub shard: ShardIndex,
    /// Its bounds in the log.
    pub bounds: Bounds,
}

impl<E: Env> Streams<E> {
    /// A core without streams, with its open lanes. At most `waiting_max` fetches may wait for records.
    pub fn new(env: E, lanes: impl IntoIterator<Item = (LaneId, Lane<E>)>, waiting_max: u64) -> Self {
        Self {
            env,
            lanes: lanes.into_iter().collect(),
            by_id: RefCell::new(HashMap::with_hasher(FixedState::default())),
            by_name: RefCell::new(BTreeMap::new()),
            moving: RefCell::default(),
            moved: Signal::default(),
            waiting: Rc::new(Cell::new(0)),
            waiting_max,
            seats: Seats::default(),
            recent: RefCell::new(None),
        }
    }

    /// The lanes that this core holds.
    pub fn lanes(&self) -> impl Iterator<Item = (LaneId, &Lane<E>)> {
        self.lanes.iter().map(|(id, lane)| (*id, lane))
    }

    /// The stream of this id.
    pub fn get(&self, id: StreamId) -> Option<Rc<Stream<E>>> {
        self.by_id.borrow().get(&id).cloned()
    }

    /// The stream of this name.
    pub fn named(&self, name: &StreamName) -> Option<Rc<Stream<E>>> {
        self.by_name.borrow().get(name).cloned()
    }

    /// Whether this core holds the shard's lane; `false` if that takes a longer look.
    pub fn is_recent(&self, stream: StreamId, shard: ShardIndex) -> bool {
        matches!(&*self.recent.borrow(), Some((of, recent)) if (*of, recent.index) == (stream, shard))
    }

    /// A shard whose lane this core holds.
    pub(super) fn local(
        &self,
        stream: StreamId,
        shard: ShardIndex,
    ) -> Result<Rc<LocalShard<E>>, AppendError> {
        if let Some((of, recent)) = &*self.recent.borrow()
            && (*of, recent.index) == (stream, shard)
        {
            return Ok(Rc::clone(recent));
        }
        let known = self.get(stream).ok_or(AppendError::UnknownStream { stream })?;
        let local = known.local(shard).ok_or(AppendError::UnknownShard { stream, shard })?;
        self.recent.replace(Some((stream, Rc::clone(&local))));
        Ok(local)
    }

    /// Has each stream looked at, in the order of their names.
    pub(super) fn each(&self, mut look: impl FnMut(&Stream<E>)) {
        self.by_name.borrow().values().for_each(|stream| look(stream));
    }

    /// How many streams there are.
    pub fn count(&self) -> usize {
        self.by_id.borrow().len()
    }

    /// Up to `limit` streams in order of their names, beginning after `after`, and whether there are more.
    pub fn list(&self, after: Option<&StreamName>, limit: usize) -> (Vec<Arc<Definition>>, bool) {
        let by_name = self.by_name.borrow();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = by_name.range::<StreamName, _>((from, Bound::Unbounded));
        let page = rest.by_ref().take(limit).map(|(_, stream)| Arc::clone(&stream.definition)).collect();
        (page, rest.next().is_some())
    }

    /// Takes in a stream that is new or has changed. Its shards on this core's lanes take appends from here on; those that were
    /// there keep what they have used of their quotas, and those that are there no more are forgotten. Nobody finds it by its name, or is told of its new shards, before it is
    /// [named](Self::name): a client learns the id of a new stream by its name, and every core has to know the stream and its shards by then.
    pub fn take_in(&self, definition: &Arc<Definition>) {
        self.recent.take();
        let before = self.get(definition.id);
        let local = definition.shards().iter().map(|shard| {
            let lane = self.lanes.get(&shard.lane)?;
            lane.adopt(shard.owner, definition.retention);
            lane.compact_keys(shard.owner, definition.key_compaction);
            let known = before.as_ref().and_then(|stream| stream.local(shard.index));
            let local = known.unwrap_or_else(|| {
                Rc::new(LocalShard {
                    index: shard.index,
                    owner: shard.owner,
                    lane: lane.clone(),
                    gate: Cell::new(Gate::of(shard)),
                    under_way: Cell::new(0),
                    changed: RefCell::default(),
                    quota: RefCell::new(ShardQuota::new(definition.quota)),
                    meter: RefCell::default(),
                })
            });
            // What is held waits until every core knows.
            if local.gate.get() != Gate::Held {
                local.gate.set(Gate::of(shard));
            }
            let mut quota = local.quota.borrow_mut();
            quota.change(self.now_ns(), definition.quota);
            quota.change_calls(self.now_ns(), definition.capacity.read_calls_per_second);
            drop(quota);
            local.measure(definition.capacity, shard.range);
            Some(local)
        });
        let local = local.collect();
        let turn = Cell::new(before.as_ref().map_or(0, |stream| stream.turn.get()));
        self.seats.change(self.now_ns(), definition);
        if let Some(before) = &before {
            let is_gone = |shard: &&Rc<LocalShard<E>>| definition.position(shard.index).is_none();
            for shard in before.local.iter().flatten().filter(is_gone) {
                shard.gate.set(Gate::Over);
                shard.lane.forget(shard.owner);
            }
        }
        let shown = before.map_or_else(|| Arc::clone(definition), |stream| Arc::clone(&stream.definition));
        let stream = Rc::new(Stream { definition: shown, newest: Arc::clone(definition), local, turn });
        self.by_id.borrow_mut().insert(definition.id, stream);
    }

    /// Lets a stream that was taken in be found by its name, as it is now: every core has taken it in.
    pub fn name(&self, id: StreamId) {
        let Some(stream) = self.get(id) else { return };
        let newest = Arc::clone(&stream.newest);
        let (local, turn) = (stream.local.clone(), stream.turn.clone());
        let stream = Rc::new(Stream { definition: Arc::clone(&newest), newest, local, turn });
        self.by_id.borrow_mut().insert(id, Rc::clone(&stream));
        self.by_name.borrow_mut().insert(stream.definition.name.clone(), stream);
    }

    /// Drops a stream that was deleted. Those who wait for its records are told.
    pub fn forget(&self, id: StreamId) {
        self.recent.take();
        let Some(stream) = self.by_id.borrow_mut().remove(&id) else { return };
        let mut by_name = self.by_name.borrow_mut();
        // The name may already belong to a newer stream.
        if by_name.get(&stream.definition.name).is_some_and(|named| named.definition.id == id) {
            by_name.remove(&stream.definition.name);
        }
        drop(by_name);
        self.seats.forget(id);
        for shard in stream.local.iter().flatten() {
            shard.lane.forget(shard.owner);
        }
        self.end_move(id);
    }

    /// What this core's shards of a stream hold.
    pub fn bounds(&self, id: StreamId) -> Vec<ShardBounds> {
        let Some(stream) = self.get(id) else { return Vec::new() };
        let local = stream.local.iter().flatten();
        local
            .filter_map(|shard| {
                Some(ShardBounds { shard: shard.index, bounds: shard.lane.bounds(shard.owner).ok()? })
            })
            .collect()
    }

    /// Fetches that wait for records.
    pub fn waiting(&self) -> u64 {
        self.waiting.get()
    }

    /// Nanoseconds of the environment's clock.
    pub(super) fn now_ns(&self) -> u64 {
        now_ns(&self.env)
    }
}

/// Nanoseconds of the environment's clock, which counts from some start and so stays below 2^64 for centuries.
pub(super) fn now_ns<E: Env>(env: &E) -> u64 {
    u64::try_from(env.monotonic().as_nanos()).unwrap_or(u64::MAX)
}

impl<E: Env> Stream<E> {
    /// How it is defined, as every core knows.
    pub fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    /// How it is defined, as this core has taken it in: what it serves by.
    pub(super) fn served(&self) -> &Arc<Definition> {
        &self.newest
    }

    /// The lane of a shard. A core that has taken in less may not know the shard yet.
    pub fn lane_of(&self, shard: ShardIndex) -> Option<LaneId> {
        self.newest.shard(shard).map(|shard| shard.lane)
    }

    /// A number that grows with each call, for records without a key.
    pub fn next_turn(&self) -> u32 {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        turn
    }

    pub(super) fn local(&self, index: ShardIndex) -> Option<Rc<LocalShard<E>>> {
        self.local.get(self.newest.position(index)?)?.clone()
    }

    /// The shards whose lanes this core holds.
    pub(super) fn locals(&self) -> impl Iterator<Item = &Rc<LocalShard<E>>> {
        self.local.iter().flatten()
    }

    /// Whether a shard takes appends by the newest definition.
    pub(super) fn gate_of(&self, shard: ShardIndex) -> Gate {
        self.newest.shard(shard).map_or(Gate::Closed, Gate::of)
    }
}

impl<E: Env> LocalShard<E> {
    /// Told when the gate changes and when nothing is under way any more.
    pub(super) fn changed(&self) -> Rc<Signal> {
        Rc::clone(self.changed.borrow_mut().get_or_insert_default())
    }

    /// Tells those who wait for a change.
    pub(super) fn tell(&self) {
        let signal = self.changed.borrow().clone();
        if let Some(signal) = signal {
            signal.notify();
        }
    }
}
