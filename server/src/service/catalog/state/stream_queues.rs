//! Queues over streams in the catalog: which there are, and what may become of them.
//!
//! Invariant: whoever has a queue is there; queues go with their stream (`tests::stream_queues`). Ids are unique among streams and all queues, owners among all that
//! is in the log (`State::admit_stream_queue`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidemill_wire::{LaneId, OwnerId, QueueId, StreamId, Timestamp};

use super::super::entity::{Counters, Stream};
use super::super::error::Inconsistency;
use super::super::queue_error::{DeleteQueueError, TagQueueError};
use super::super::queue_rules::check_stream_queue;
use super::super::rules::check_tags;
use super::super::stream_queue_error::{CreateStreamQueueError, UpdateStreamQueueError};
use super::{State, TagChange};
use crate::service::capacity::Mode;
use crate::service::consumer::{CONSUMERS_MAX, ConsumerName};
use crate::service::stream_queue::{
    Start, StreamQueue, StreamQueueChange, StreamQueuePartition, StreamQueueSettings,
};

/// A queue over a stream that is to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewStreamQueue {
    /// Its name.
    pub name: ConsumerName,
    /// Whose records it gives.
    pub stream: StreamId,
    /// Where it begins.
    pub start: Start,
    /// How it works.
    pub settings: StreamQueueSettings,
    /// What its owners say about it, by key.
    pub tags: BTreeMap<String, String>,
}

/// The queues over streams that there are.
#[derive(Debug, Clone, Default)]
pub(super) struct StreamQueues {
    by_id: BTreeMap<QueueId, Arc<StreamQueue>>,
    ids: BTreeMap<ConsumerName, QueueId>,
    of_streams: BTreeSet<(StreamId, QueueId)>,
}

impl State {
    /// A catalog with the queues over streams that were stored. Those of a stream that is gone are left out: a server that knows no such queues has deleted it.
    pub(in super::super) fn with_stream_queues(
        mut self,
        queues: impl IntoIterator<Item = StreamQueue>,
    ) -> Result<Self, Inconsistency> {
        let mut owners = None;
        for queue in queues {
            let owners = owners.get_or_insert_with(|| {
                let shards = self.streams.values().flat_map(|stream| stream.shards.iter());
                let partitions = self.queues().flat_map(|queue| &queue.partitions);
                let partitions = partitions.flat_map(|partition| [partition.messages, partition.journal]);
                shards.map(|shard| shard.owner).chain(partitions).collect()
            });
            self.admit_stream_queue(&queue, owners)?;
            if self.names.contains_key(&queue.stream) {
                self.keep_stream_queue(Arc::new(queue));
            }
        }
        Ok(self)
    }

    /// Checks a stored queue against the streams and the queues before it.
    fn admit_stream_queue(
        &self,
        queue: &StreamQueue,
        owners: &mut BTreeSet<OwnerId>,
    ) -> Result<(), Inconsistency> {
        let refuse =
            |reason: String| Err(Inconsistency(format!("queue {} over a stream: {reason}", queue.name)));
        let is_taken = self.names.contains_key(&StreamId(queue.id.0)) || self.queue_of(queue.id).is_some();
        if is_taken || self.stream_queue_named(&queue.name).is_some() || self.stream_queue(queue.id).is_some()
        {
            return refuse("its name or id is there twice".to_owned());
        }
        let stream = self.names.get(&queue.stream).and_then(|name| self.streams.get(name));
        if let Some(next) = stream.map(Stream::next_shard).filter(|next| *next < queue.next_shard) {
            let begun = queue.next_shard;
            return refuse(format!("its stream was to open shard {begun} next, and is to open {next}"));
        }
        for id in [queue.id.0, queue.stream.get()] {
            if id >= self.counters.next_stream {
                return refuse(format!("the id {id}, its own or its stream's, has not been given out"));
            }
        }
        if let Err(error) = check_stream_queue(queue.settings) {
            return refuse(error.to_string());
        }
        let mut lanes = BTreeSet::new();
        for StreamQueuePartition { lane, journal } in queue.partitions.iter().copied() {
            if lane.get() >= self.node.lanes || !lanes.insert(lane) {
                let lanes = self.node.lanes;
                return refuse(format!("it has a part on lane {lane} of {lanes}, where it cannot be"));
            }
            if journal.get() >= self.counters.next_owner || !owners.insert(journal) {
                return refuse(format!("it has the owner {journal}, which is not its own"));
            }
        }
        if lanes.len() as u64 == u64::from(self.node.lanes) {
            Ok(())
        } else {
            refuse(format!("it has parts on {} of {} lanes", lanes.len(), self.node.lanes))
        }
    }

    /// The queue over a stream of this id.
    pub fn stream_queue(&self, id: QueueId) -> Option<&Arc<StreamQueue>> {
        self.stream_queues.by_id.get(&id)
    }

    fn stream_queue_named(&self, name: &ConsumerName) -> Option<&Arc<StreamQueue>> {
        self.stream_queue(*self.stream_queues.ids.get(name)?)
    }

    /// Every queue over a stream, in the order of their ids.
    pub fn stream_queues(&self) -> impl ExactSizeIterator<Item = &Arc<StreamQueue>> {
        self.stream_queues.by_id.values()
    }

    /// The queues over one stream.
    pub fn stream_queues_of(&self, stream: StreamId) -> impl Iterator<Item = &Arc<StreamQueue>> {
        let ids = self.stream_queues.of_streams.range((stream, QueueId(0))..=(stream, QueueId(u64::MAX)));
        ids.filter_map(|(_, id)| self.stream_queue(*id))
    }

    /// Those who have a share of the bound on a stream's consumers: registered ones and queues.
    pub(super) fn readers(&self, stream: StreamId) -> usize {
        let consumers = self.consumers.get(&stream).map_or(0, BTreeMap::len);
        consumers + self.stream_queues_of(stream).count()
    }

    /// The counters with a queue's ids given out.
    pub(super) fn counters_with_stream_queue(&self, queue: &StreamQueue) -> Counters {
        let Counters { next_stream, next_owner } = self.counters;
        let owners = queue.partitions.iter().map(|partition| partition.journal.get() + 1);
        Counters {
            next_stream: next_stream.max(queue.id.0 + 1),
            next_owner: owners.fold(next_owner, u64::max),
        }
    }

    /// A new queue over a stream as it would be.
    pub(in super::super) fn plan_create_stream_queue(
        &self,
        new: NewStreamQueue,
        now: Timestamp,
    ) -> Result<Arc<StreamQueue>, CreateStreamQueueError> {
        let NewStreamQueue { name, stream, start, settings, tags } = new;
        let present = self.names.get(&stream).and_then(|name| self.streams.get(name));
        let next_shard = present.ok_or(CreateStreamQueueError::UnknownStream { stream })?.next_shard();
        if self.stream_queue_named(&name).is_some() {
            return Err(CreateStreamQueueError::Exists { name });
        }
        if self.capacity(stream).mode != Mode::OnDemand {
            return Err(CreateStreamQueueError::Provisioned { stream });
        }
        if self.readers(stream) >= CONSUMERS_MAX {
            return Err(CreateStreamQueueError::TooManyReaders { limit: CONSUMERS_MAX });
        }
        let limit = self.limits.queues;
        if u32::try_from(self.stream_queues.by_id.len()).is_ok_and(|queues| queues >= limit) {
            return Err(CreateStreamQueueError::TooManyQueues { limit });
        }
        check_stream_queue(settings)?;
        check_tags(&tags)?;
        let owners = self.counters.next_owner..;
        let partitions = (0..self.node.lanes)
            .zip(owners)
            .map(|(lane, owner)| StreamQueuePartition { lane: LaneId(lane), journal: OwnerId(owner) });
        Ok(Arc::new(StreamQueue {
            id: QueueId(self.counters.next_stream),
            name,
            stream,
            created: now,
            start,
            next_shard,
            settings,
            tags,
            partitions: partitions.collect(),
        }))
    }

    /// A queue over a stream as it would be with other settings.
    pub(in super::super) fn plan_update_stream_queue(
        &self,
        id: QueueId,
        change: StreamQueueChange,
    ) -> Result<Arc<StreamQueue>, UpdateStreamQueueError> {
        let present = self.stream_queue(id).ok_or(UpdateStreamQueueError::Unknown { queue: id })?;
        let settings = change.apply(present.settings);
        check_stream_queue(settings)?;
        Ok(Arc::new(StreamQueue { settings, ..StreamQueue::clone(present) }))
    }

    /// A queue over a stream as it would be with other tags.
    pub(in super::super) fn plan_stream_queue_tags(
        &self,
        id: QueueId,
        change: TagChange,
    ) -> Result<Arc<StreamQueue>, TagQueueError> {
        let present = self.stream_queue(id).ok_or(TagQueueError::Unknown { queue: id })?;
        let mut queue = StreamQueue::clone(present);
        change.apply(&mut queue.tags)?;
        Ok(Arc::new(queue))
    }

    /// The queue over a stream that would be removed.
    pub(in super::super) fn plan_delete_stream_queue(
        &self,
        id: QueueId,
    ) -> Result<Arc<StreamQueue>, DeleteQueueError> {
        self.stream_queue(id).cloned().ok_or(DeleteQueueError::Unknown { queue: id })
    }

    pub(super) fn keep_stream_queue(&mut self, queue: Arc<StreamQueue>) {
        self.stream_queues.ids.insert(queue.name.clone(), queue.id);
        self.stream_queues.of_streams.insert((queue.stream, queue.id));
        self.stream_queues.by_id.insert(queue.id, queue);
    }

    pub(super) fn drop_stream_queue(&mut self, id: QueueId) {
        if let Some(queue) = self.stream_queues.by_id.remove(&id) {
            self.stream_queues.ids.remove(&queue.name);
            self.stream_queues.of_streams.remove(&(queue.stream, id));
        }
    }

    pub(super) fn drop_stream_queues_of(&mut self, stream: StreamId) {
        let over: Vec<QueueId> = self.stream_queues_of(stream).map(|queue| queue.id).collect();
        over.into_iter().for_each(|queue| self.drop_stream_queue(queue));
    }
}
