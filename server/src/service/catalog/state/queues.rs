//! Queues in the catalog: which there are, and what may become of them.
//!
//! Invariant: ids are unique among streams and queues, owners among the shards of streams and the partitions of queues (`State::admit_queue`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidemill_wire::message::QueueChange;
use tidemill_wire::{OwnerId, StreamId, Timestamp};

use super::super::entity::Counters;
use super::super::error::Inconsistency;
use super::super::queue_error::{
    CreateQueueError, DeleteQueueError, QueueSettingsError, TagQueueError, UpdateQueueError,
};
use super::super::queue_rules::{check_settings, check_target, deal_partitions, difference, settle};
use super::super::rules::check_tags;
use super::{State, TagChange};
use crate::service::queue_definition::{Definition, Partition, QueueId, QueueName, QueueSettings, Scope};

/// A queue that is to be created. Its name says whether it is a FIFO queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewQueue {
    /// Its name.
    pub name: QueueName,
    /// What is not to be the default.
    pub settings: QueueChange,
    /// What its owners say about it, by key.
    pub tags: BTreeMap<String, String>,
}

/// What comes of the wish for a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreatedQueue {
    /// It is there, as it was wanted, and was so before.
    Present(Arc<Definition>),
    /// It is new.
    New(Arc<Definition>),
}

/// The queues that there are.
#[derive(Debug, Clone, Default)]
pub(super) struct Queues {
    by_id: BTreeMap<QueueId, Arc<Definition>>,
    ids: BTreeMap<QueueName, QueueId>,
}

impl State {
    /// A catalog with the queues that were stored.
    pub(in super::super) fn with_queues(
        mut self,
        queues: impl IntoIterator<Item = Definition>,
    ) -> Result<Self, Inconsistency> {
        let mut owners = None;
        for queue in queues {
            let owners = owners.get_or_insert_with(|| {
                let shards = self.streams.values().flat_map(|stream| stream.shards.iter());
                shards.map(|shard| shard.owner).collect()
            });
            self.admit_queue(&queue, owners)?;
            self.keep_queue(Arc::new(queue));
        }
        Ok(self)
    }

    /// Checks a stored queue against the streams and the queues before it.
    fn admit_queue(&self, queue: &Definition, owners: &mut BTreeSet<OwnerId>) -> Result<(), Inconsistency> {
        let refuse = |reason: String| Err(Inconsistency(format!("queue {}: {reason}", queue.name)));
        let is_stream = self.names.contains_key(&StreamId(queue.id.0));
        if is_stream || self.queue(&queue.name).is_some() || self.queue_of(queue.id).is_some() {
            return refuse("its name or id is there twice".to_owned());
        }
        if queue.id.0 >= self.counters.next_stream {
            return refuse(format!("its id {} has not been given out", queue.id));
        }
        if queue.settings.fifo.is_some() != queue.name.is_fifo() {
            return refuse("its name and its settings are not of the same kind".to_owned());
        }
        if let Err(error) = check_settings(&queue.name, &queue.settings) {
            return refuse(error.to_string());
        }
        if queue.partitions.is_empty() {
            return refuse("it has no partitions".to_owned());
        }
        let mut lanes = BTreeSet::new();
        for (position, partition) in queue.partitions.iter().enumerate() {
            let Partition { lane, messages, journal } = *partition;
            if lane.get() >= self.node.lanes || !lanes.insert(lane) {
                return refuse(format!(
                    "partition {position} is on lane {lane} of {}, where it cannot be",
                    self.node.lanes
                ));
            }
            for owner in [messages, journal] {
                if owner.get() >= self.counters.next_owner || !owners.insert(owner) {
                    return refuse(format!(
                        "partition {position} has the owner {owner}, which is not its own"
                    ));
                }
            }
        }
        Ok(())
    }

    /// The queue of this name.
    pub fn queue(&self, name: &QueueName) -> Option<&Arc<Definition>> {
        self.queue_of(*self.queues.ids.get(name)?)
    }

    /// The queue of this id.
    pub fn queue_of(&self, id: QueueId) -> Option<&Arc<Definition>> {
        self.queues.by_id.get(&id)
    }

    /// Every queue in the order of their ids.
    pub fn queues(&self) -> impl ExactSizeIterator<Item = &Arc<Definition>> {
        self.queues.by_id.values()
    }

    /// The counters with a queue's ids given out.
    pub(super) fn counters_with(&self, queue: &Definition) -> Counters {
        let Counters { next_stream, next_owner } = self.counters;
        let owners =
            queue.partitions.iter().map(|partition| partition.messages.max(partition.journal).get() + 1);
        Counters {
            next_stream: next_stream.max(queue.id.0 + 1),
            next_owner: owners.fold(next_owner, u64::max),
        }
    }

    /// A new queue as it would be, or the one that is there.
    pub(in super::super) fn plan_create_queue(
        &self,
        new: NewQueue,
        now: Timestamp,
    ) -> Result<CreatedQueue, CreateQueueError> {
        let NewQueue { name, settings, tags } = new;
        if let Some(present) = self.queue(&name) {
            return match difference(&settings, &tags, present) {
                Some(differs) => Err(CreateQueueError::Exists { name, differs }),
                None => Ok(CreatedQueue::Present(Arc::clone(present))),
            };
        }
        let limit = self.limits.queues;
        if u32::try_from(self.queues.by_id.len()).is_ok_and(|queues| queues >= limit) {
            return Err(CreateQueueError::TooManyQueues { limit });
        }
        check_tags(&tags)?;
        let settings = settle(&name, QueueSettings::default_of(&name), settings)?;
        check_settings(&name, &settings)?;
        if let Some(redrive) = &settings.redrive {
            check_target(&name, redrive, self.queue(&redrive.target).map(Arc::as_ref))?;
        }
        let first_owner = OwnerId(self.counters.next_owner);
        let partitions = deal_partitions(&settings, self.limits, first_owner, &self.load);
        let id = QueueId(self.counters.next_stream);
        let queue = Definition { id, name, created: now, modified: now, settings, tags, partitions };
        Ok(CreatedQueue::New(Arc::new(queue)))
    }

    /// A queue as it would be with other settings.
    pub(in super::super) fn plan_update_queue(
        &self,
        id: QueueId,
        change: QueueChange,
        now: Timestamp,
    ) -> Result<Arc<Definition>, UpdateQueueError> {
        let present = self.queue_of(id).ok_or(UpdateQueueError::Unknown { queue: id })?;
        let is_redrive_said = change.redrive.is_some();
        let settings = settle(&present.name, present.settings.clone(), change)?;
        check_settings(&present.name, &settings)?;
        let partitions = present.partitions.len();
        if partitions > 1 && settings.fifo.is_some_and(|fifo| fifo.scope == Scope::Queue) {
            return Err(QueueSettingsError::ScopeOfPartitions { partitions }.into());
        }
        // One that was set before need not be there any more.
        if let Some(redrive) = settings.redrive.as_ref().filter(|_| is_redrive_said) {
            check_target(&present.name, redrive, self.queue(&redrive.target).map(Arc::as_ref))?;
        }
        Ok(Arc::new(Definition { settings, modified: now, ..Definition::clone(present) }))
    }

    /// A queue as it would be with other tags.
    pub(in super::super) fn plan_queue_tags(
        &self,
        id: QueueId,
        change: TagChange,
    ) -> Result<Arc<Definition>, TagQueueError> {
        let present = self.queue_of(id).ok_or(TagQueueError::Unknown { queue: id })?;
        let mut queue = Definition::clone(present);
        change.apply(&mut queue.tags)?;
        Ok(Arc::new(queue))
    }

    /// The queue that would be removed.
    pub(in super::super) fn plan_delete_queue(
        &self,
        id: QueueId,
    ) -> Result<Arc<Definition>, DeleteQueueError> {
        self.queue_of(id).cloned().ok_or(DeleteQueueError::Unknown { queue: id })
    }

    /// Takes in a queue that is new or has changed; its partitions are never changed.
    pub(super) fn keep_queue(&mut self, queue: Arc<Definition>) {
        self.drop_queue(queue.id);
        for partition in &queue.partitions {
            *self.load_of(partition.lane) += 1;
        }
        self.queues.ids.insert(queue.name.clone(), queue.id);
        self.queues.by_id.insert(queue.id, queue);
    }

    pub(super) fn drop_queue(&mut self, id: QueueId) {
        let Some(queue) = self.queues.by_id.remove(&id) else { return };
        self.queues.ids.remove(&queue.name);
        for partition in &queue.partitions {
            *self.load_of(partition.lane) -= 1;
        }
    }
}

#[cfg(test)]
mod tests;
