//! The catalog in memory: plans changes without making them, and applies those that have been made durable.
//!
//! Invariant: a plan holds as long as nothing is applied between it and its application; the catalog has one
//! owner, who does one after the other. Ids come from counters that only grow and are stored in the
//! transaction that uses them (`tests::ids_are_never_given_twice`).

mod capacities;
mod consumers;
mod policies;
mod queues;
mod record_sizes;
mod stream_queues;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use tidemill_storage::Retention;
use tidemill_wire::message::Settings;
use tidemill_wire::routing::RoutingTable;
use tidemill_wire::{LaneId, OwnerId, StreamId, StreamName, Timestamp};

pub use self::consumers::NewConsumer;
pub use self::policies::{POLICY_BYTES_MAX, PolicyHolder};
pub use self::queues::{CreatedQueue, NewQueue};
pub use self::record_sizes::{RECORD_KIB_MAX, RECORD_KIB_MIN};
pub use self::stream_queues::NewStreamQueue;
use super::entity::{Counters, Node, Stream, StreamKey};
use super::error::{
    CreateStreamError, DeleteStreamError, Inconsistency, ReshardError, TagStreamError, UpdateStreamError,
};
use super::reshard::{Reshard, ShardChange, expire, plan};
use super::rules::{
    Limits, RETENTION_AGE_FOREVER, StreamDefaults, check_tags, deal, settle, settle_calls, settle_keys,
};
use crate::service::capacity::Capacity;
use crate::service::commitment::Commitment;
use crate::service::consumer::{Consumer, Consumers};
use crate::service::queue_definition::{Definition as Queue, QueueId};
use crate::service::stream_queue::StreamQueue;

/// No counter comes near this in the life of a node, so whoever reads a greater one reads damage.
const COUNTER_MAX: u64 = 1 << 62;

/// A stream that is to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewStream {
    /// Its name.
    pub name: StreamName,
    /// How many shards divide its keys.
    pub shards: u32,
    /// What is not to be the default.
    pub settings: Settings,
    /// What its owners say about it, by key.
    pub tags: BTreeMap<String, String>,
    /// What is kept beside it.
    pub aside: Aside,
}

/// What is kept beside a stream, in tables of its own, for the protocols that know of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Aside {
    /// KiB that a record may have, if the stream has a bound of its own.
    pub record_kib: Option<u32>,
    /// What it may take and give.
    pub capacity: Capacity,
}

/// What is to become of a stream's tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagChange {
    /// These are set, whatever they were.
    Set(BTreeMap<String, String>),
    /// These go, if they are there.
    Remove(Vec<String>),
}

/// A change that has been planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The stream is new, and its ids are used up; this is kept beside it.
    Create(Stream, Aside),
    /// The stream of this id is now like this.
    Update(Stream),
    /// The stream of this id is now like this, and so is its capacity.
    Settle(Stream, Capacity),
    /// The stream is gone.
    Delete(Stream),
    /// Ids up to this one are not given out: something else has them.
    Skip(OwnerId),
    /// The consumer is new, or is now like this.
    Register(Consumer),
    /// The consumer is gone.
    Deregister(Consumer),
    /// The holder has this policy, or none.
    Policy(PolicyHolder, Option<String>),
    /// The account's commitment is now like this.
    Commit(Commitment),
    /// The records of the stream may have so many KiB.
    RecordSize(StreamId, u32),
    /// The queue is new, and its ids are used up, or it is now like this.
    Queue(Arc<Queue>),
    /// The queue is gone.
    DeleteQueue(QueueId),
    /// The queue over a stream is new, and its ids are used up, or it is now like this.
    StreamQueue(Arc<StreamQueue>),
    /// The queue over a stream is gone.
    DeleteStreamQueue(QueueId),
}

/// What becomes of the consumers and queues of a stream that is to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConsumers {
    /// They keep it from being deleted.
    Refuse,
    /// Consumers go with it, and queues keep it from being deleted.
    Deregister,
    /// All of them go with it.
    Dismiss,
}

/// A part of the list of streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<'a> {
    /// In the order of their names.
    pub streams: Vec<&'a Stream>,
    /// Whether there are others after the last one.
    pub more: bool,
}

/// Everything that the catalog holds.
#[derive(Debug, Clone)]
pub struct State {
    node: Node,
    limits: Limits,
    defaults: StreamDefaults,
    counters: Counters,
    streams: BTreeMap<StreamName, Stream>,
    names: BTreeMap<StreamId, StreamName>,
    /// Of the streams that have any.
    consumers: BTreeMap<StreamId, Consumers>,
    /// Of the streams and consumers that have one.
    policies: BTreeMap<PolicyHolder, String>,
    /// KiB of a record, of the streams that have a bound of their own.
    record_sizes: BTreeMap<StreamId, u32>,
    /// Of the streams that have another one than the default.
    capacities: BTreeMap<StreamId, Capacity>,
    commitment: Commitment,
    queues: queues::Queues,
    stream_queues: stream_queues::StreamQueues,
    /// Open shards and partitions of each lane.
    load: Vec<u64>,
}

impl State {
    /// A catalog without streams.
    pub(super) fn new(node: Node, limits: Limits, defaults: StreamDefaults) -> Self {
        Self {
            node,
            limits,
            defaults,
            counters: Counters { next_stream: 1, next_owner: 1 },
            streams: BTreeMap::new(),
            names: BTreeMap::new(),
            consumers: BTreeMap::new(),
            policies: BTreeMap::new(),
            record_sizes: BTreeMap::new(),
            queues: queues::Queues::default(),
            stream_queues: stream_queues::StreamQueues::default(),
            capacities: BTreeMap::new(),
            commitment: Commitment::default(),
            load: vec![0; usize::try_from(node.lanes).expect("lanes are counted in 32 bits")],
        }
    }

    /// A catalog with what was stored.
    pub(super) fn restore(
        mut self,
        counters: Counters,
        streams: impl IntoIterator<Item = Stream>,
    ) -> Result<Self, Inconsistency> {
        if counters.next_stream > COUNTER_MAX || counters.next_owner > COUNTER_MAX {
            return Err(Inconsistency(format!("counters {counters:?} are beyond {COUNTER_MAX}")));
        }
        self.counters = counters;
        let mut owners = BTreeSet::new();
        for stream in streams {
            self.admit(&stream, &mut owners)?;
            self.insert(stream);
        }
        Ok(self)
    }

    /// Checks a stored stream against those before it.
    fn admit(&self, stream: &Stream, owners: &mut BTreeSet<OwnerId>) -> Result<(), Inconsistency> {
        let refuse = |reason: String| Err(Inconsistency(format!("stream {}: {reason}", stream.name)));
        if self.streams.contains_key(&stream.name) || self.names.contains_key(&stream.id) {
            return refuse("its name or id is there twice".to_owned());
        }
        if stream.id.get() >= self.counters.next_stream {
            return refuse(format!("its id {} has not been given out", stream.id));
        }
        for shard in stream.shards.iter() {
            if shard.lane.get() >= self.node.lanes {
                return refuse(format!(
                    "shard {} is on lane {} of {}",
                    shard.index, shard.lane, self.node.lanes
                ));
            }
            if [shard.parent, shard.adjacent_parent].into_iter().flatten().any(|parent| parent >= shard.index)
            {
                return refuse(format!("shard {} is older than its parents", shard.index));
            }
            if shard.owner.get() >= self.counters.next_owner || !owners.insert(shard.owner) {
                return refuse(format!(
                    "shard {} has the owner {}, which is not its own",
                    shard.index, shard.owner
                ));
            }
        }
        if !stream.shards.is_sorted_by(|a, b| a.index < b.index) {
            return refuse("its shards are out of order".to_owned());
        }
        let open =
            stream.shards.iter().filter(|shard| shard.is_open()).map(|shard| (shard.range, shard.index));
        RoutingTable::new(open).map_or_else(|error| refuse(error.to_string()), |_| Ok(()))
    }

    /// The node that the data directory belongs to.
    pub fn node(&self) -> Node {
        self.node
    }

    /// The stream of this name.
    pub fn stream(&self, name: &StreamName) -> Option<&Stream> {
        self.streams.get(name)
    }

    /// The stream of this id.
    pub fn stream_of(&self, id: StreamId) -> Option<&Stream> {
        self.streams.get(self.names.get(&id)?)
    }

    /// The name of the stream that is meant, if it has it.
    ///
    /// # Errors
    /// The name, when nobody has it, or another stream.
    pub fn meant(&self, key: StreamKey) -> Result<StreamName, StreamName> {
        let StreamKey { name, id } = key;
        let is_meant = self.streams.get(&name).is_some_and(|found| id.is_none_or(|id| found.id == id));
        if is_meant { Ok(name) } else { Err(name) }
    }

    /// Whether a consumer is the one that was looked at, and not one that has got its name since.
    pub fn is_registered(&self, consumer: &Consumer) -> bool {
        self.consumer(consumer.stream, &consumer.name).is_some_and(|found| found.created == consumer.created)
    }

    /// Every stream in the order of their names.
    pub fn streams(&self) -> impl ExactSizeIterator<Item = &Stream> {
        self.streams.values()
    }

    /// Up to `limit` streams in the order of their names, beginning after `after`.
    pub fn list(&self, after: Option<&StreamName>, limit: usize) -> Page<'_> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest =
            self.streams.range::<StreamName, _>((from, Bound::Unbounded)).map(|(_, stream)| stream);
        Page { streams: rest.by_ref().take(limit).collect(), more: rest.next().is_some() }
    }

    /// Owners from here on have never been given out; those below belong to a stream or queue that is there or was deleted.
    pub fn next_owner(&self) -> OwnerId {
        OwnerId(self.counters.next_owner)
    }

    /// The next ids.
    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    /// The counters as they are after a change.
    pub(super) fn counters_after(&self, change: &Change) -> Counters {
        let Counters { next_stream, next_owner } = self.counters;
        match change {
            Change::Create(stream, _) | Change::Update(stream) | Change::Settle(stream, _) => {
                let owners = stream.shards.iter().map(|shard| shard.owner.get() + 1);
                Counters {
                    next_stream: next_stream.max(stream.id.get() + 1),
                    next_owner: owners.fold(next_owner, u64::max),
                }
            }
            // An id that is never reached cannot be given out.
            Change::Skip(owner) if (next_owner..COUNTER_MAX).contains(&owner.get()) => {
                let skipped = owner.get() + 1 - next_owner;
                // Each stream and queue has an owner at least, so no more of them than owners are unknown. Their clients may still use their ids.
                let next_stream = (next_stream + skipped).min(COUNTER_MAX);
                Counters { next_stream, next_owner: next_owner + skipped }
            }
            Change::Queue(queue) => self.counters_with(queue),
            Change::StreamQueue(queue) => self.counters_with_stream_queue(queue),
            Change::Delete(_)
            | Change::DeleteQueue(_)
            | Change::DeleteStreamQueue(_)
            | Change::Skip(_)
            | Change::Register(_)
            | Change::Deregister(_)
            | Change::Policy(..)
            | Change::Commit(_)
            | Change::RecordSize(..) => self.counters,
        }
    }

    /// A new stream as it would be, and what is kept beside it.
    pub(super) fn plan_create(
        &self,
        new: NewStream,
        now: Timestamp,
    ) -> Result<(Stream, Aside), CreateStreamError> {
        if self.streams.contains_key(&new.name) {
            return Err(CreateStreamError::Exists { name: new.name });
        }
        let limit = self.limits.shards_per_stream;
        if !(1..=limit).contains(&new.shards) {
            return Err(CreateStreamError::Shards { value: new.shards, limit });
        }
        if u32::try_from(self.streams.len()).is_ok_and(|streams| streams >= self.limits.streams) {
            return Err(CreateStreamError::TooManyStreams { limit: self.limits.streams });
        }
        check_tags(&new.tags)?;
        if let Some(kib) = new.aside.record_kib.filter(|kib| !(RECORD_KIB_MIN..=RECORD_KIB_MAX).contains(kib))
        {
            return Err(CreateStreamError::RecordSize { kib });
        }
        self.check_capacity(new.aside.capacity, now)?;
        let key_compaction = settle_keys(None, new.settings.key_compaction)?;
        if key_compaction.is_some() && !self.limits.is_compacting {
            return Err(CreateStreamError::CompactionOff);
        }
        let mut defaults = self.defaults;
        if key_compaction.is_some() {
            // What says that the last record of each key is kept does not mean for a day.
            defaults.retention = Retention { age: RETENTION_AGE_FOREVER, bytes: None };
        }
        let (retention, quota) = settle(defaults, key_compaction.is_some(), new.settings)?;
        let mut aside = new.aside;
        aside.capacity.read_calls_per_second = settle_calls(defaults.read_calls_per_second, new.settings)?;
        let stream = Stream {
            id: StreamId(self.counters.next_stream),
            name: new.name,
            created: now,
            retention,
            quota,
            key_compaction,
            map_version: 1,
            tags: new.tags,
            shards: deal(new.shards, OwnerId(self.counters.next_owner), &self.load, now),
        };
        Ok((stream, aside))
    }

    /// A stream and its capacity as they would be with other settings.
    pub(super) fn plan_update(
        &self,
        name: &StreamName,
        settings: Settings,
    ) -> Result<(Stream, Capacity), UpdateStreamError> {
        let present =
            self.streams.get(name).ok_or_else(|| UpdateStreamError::Unknown { name: name.clone() })?;
        let key_compaction = settle_keys(present.key_compaction, settings.key_compaction)?;
        if settings.key_compaction.is_some() && key_compaction.is_some() && !self.limits.is_compacting {
            return Err(UpdateStreamError::CompactionOff);
        }
        let capacity = self.capacity(present.id);
        let read_calls_per_second = capacity.read_calls_per_second;
        let before =
            StreamDefaults { retention: present.retention, quota: present.quota, read_calls_per_second };
        let (retention, quota) = settle(before, key_compaction.is_some(), settings)?;
        let read_calls_per_second = settle_calls(read_calls_per_second, settings)?;
        let stream = Stream { retention, quota, key_compaction, ..present.clone() };
        Ok((stream, Capacity { read_calls_per_second, ..capacity }))
    }

    /// A stream as it would be with other tags.
    pub(super) fn plan_tags(&self, name: &StreamName, change: TagChange) -> Result<Stream, TagStreamError> {
        let present = self.streams.get(name);
        let mut stream = present.cloned().ok_or_else(|| TagStreamError::Unknown { name: name.clone() })?;
        change.apply(&mut stream.tags)?;
        Ok(stream)
    }

    /// What a change of a stream's shards would do, before its shards' ends are known.
    pub(super) fn plan_reshard(
        &self,
        name: &StreamName,
        change: ShardChange,
    ) -> Result<Reshard, ReshardError> {
        let present = self.streams.get(name).ok_or_else(|| ReshardError::Unknown { name: name.clone() })?;
        plan(present, change, self.limits, OwnerId(self.counters.next_owner), &self.load)
    }

    /// The streams that have closed shards whose records are all over, as they would be without those shards.
    pub(super) fn plan_expiry(&self, now: Timestamp) -> Vec<Stream> {
        self.streams.values().filter_map(|stream| expire(stream, now)).collect()
    }

    /// The stream that would be removed.
    pub(super) fn plan_delete(
        &self,
        name: &StreamName,
        on_consumers: OnConsumers,
    ) -> Result<Stream, DeleteStreamError> {
        let present =
            self.streams.get(name).ok_or_else(|| DeleteStreamError::Unknown { name: name.clone() })?;
        let queues = self.stream_queues_of(present.id).count();
        match (on_consumers, self.consumers.get(&present.id)) {
            (OnConsumers::Refuse | OnConsumers::Deregister, _) if queues > 0 => {
                Err(DeleteStreamError::HasQueues { name: name.clone(), queues })
            }
            (OnConsumers::Refuse, Some(consumers)) => {
                Err(DeleteStreamError::HasConsumers { name: name.clone(), consumers: consumers.len() })
            }
            _ => Ok(present.clone()),
        }
    }

    /// Applies a change that is durable.
    pub(super) fn apply(&mut self, change: Change) {
        self.counters = self.counters_after(&change);
        match change {
            Change::Create(stream, aside) => {
                self.record_sizes.extend(aside.record_kib.map(|kib| (stream.id, kib)));
                self.set_capacity(stream.id, aside.capacity);
                self.insert(stream);
            }
            Change::Update(stream) => {
                self.remove(&stream.name);
                self.insert(stream);
            }
            Change::Settle(stream, capacity) => {
                self.set_capacity(stream.id, capacity);
                self.remove(&stream.name);
                self.insert(stream);
            }
            Change::Delete(stream) => {
                self.remove(&stream.name);
                self.capacities.remove(&stream.id);
                self.consumers.remove(&stream.id);
                self.record_sizes.remove(&stream.id);
                self.drop_stream_queues_of(stream.id);
                self.policies.retain(|holder, _| holder.stream != stream.id);
            }
            Change::Skip(_) => {}
            Change::Register(consumer) => self.keep(consumer),
            Change::Deregister(consumer) => {
                self.policies.remove(&PolicyHolder::of(&consumer));
                self.let_go(&consumer);
            }
            Change::Commit(commitment) => self.commitment = commitment,
            Change::Policy(holder, policy) => self.set_policy(holder, policy),
            Change::RecordSize(stream, kib) => drop(self.record_sizes.insert(stream, kib)),
            Change::Queue(queue) => self.keep_queue(queue),
            Change::DeleteQueue(queue) => self.drop_queue(queue),
            Change::StreamQueue(queue) => self.keep_stream_queue(queue),
            Change::DeleteStreamQueue(queue) => self.drop_stream_queue(queue),
        }
    }

    fn insert(&mut self, stream: Stream) {
        for shard in stream.shards.iter().filter(|shard| shard.is_open()) {
            *self.load_of(shard.lane) += 1;
        }
        self.names.insert(stream.id, stream.name.clone());
        self.streams.insert(stream.name.clone(), stream);
    }

    fn remove(&mut self, name: &StreamName) {
        let Some(stream) = self.streams.remove(name) else { return };
        self.names.remove(&stream.id);
        for shard in stream.shards.iter().filter(|shard| shard.is_open()) {
            *self.load_of(shard.lane) -= 1;
        }
    }

    fn load_of(&mut self, lane: LaneId) -> &mut u64 {
        let lane = usize::try_from(lane.get()).expect("lanes are counted in 32 bits");
        self.load
            .get_mut(lane)
            .expect("what is dealt to lanes, and checked when it is read, is on those there are")
    }
}

#[cfg(test)]
mod tests;
