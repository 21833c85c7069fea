//! The catalog: which streams and queues exist, how they are kept, and which lane owns each of their shards and partitions.
//!
//! Decisions are pure and live in [`State`], one for both implementations: [`RedbCatalog`] keeps the catalog
//! in a file and [`MemoryCatalog`] in memory only, for tests and simulations. The whole catalog is in memory in either,
//! so reading it never blocks; a change is decided, made durable in one transaction, and then applied.
//!
//! A catalog belongs to one thread at a time: it is `Send`, changes take `&mut self`, and a change to a
//! `RedbCatalog` blocks for a flush, so it must not run on an executor.

mod encoding;
mod entity;
mod error;
#[cfg(test)]
mod fuzz;
mod held;
mod memory;
mod queue_error;
mod queue_rules;
mod redb;
mod redb_queues;
mod reshard;
mod rules;
mod state;
mod stream_queue_error;

use std::sync::Arc;

pub use tidemill_wire::message::QueueChange;
use tidemill_wire::message::Settings;
use tidemill_wire::{OwnerId, StreamId, StreamName, Timestamp};

pub use self::redb::RedbCatalog;
pub use encoding::DecodeError;
pub use entity::{Node, NodeId, Stream, StreamKey};
pub use error::{
    ChangeCapacityError, CreateStreamError, DeleteStreamError, DeregisterConsumerError, PolicyError,
    RecordSizeError, RegisterConsumerError, ReshardError, SettingsError, StoreError, TagConsumerError,
    TagStreamError, TagsError, UpdateStreamError,
};
pub use held::HeldNames;
pub use memory::MemoryCatalog;
pub use queue_error::{
    CreateQueueError, DeleteQueueError, QueueAttribute, QueueSettingsError, TagQueueError, UpdateQueueError,
};
pub use queue_rules::{ALLOWED_MAX, QUEUE_POLICY_BYTES_MAX};
pub use reshard::{Ends, Reshard, ShardChange};
pub use rules::{
    Limits, RATE_MAX, RETENTION_AGE_MAX, RETENTION_AGE_MIN, RETENTION_BYTES_MIN, StreamDefaults,
    TAG_BYTES_MAX, TAGS_MAX,
};
pub use state::{
    Aside, Change, CreatedQueue, NewConsumer, NewQueue, NewStream, NewStreamQueue, OnConsumers,
    POLICY_BYTES_MAX, Page, PolicyHolder, RECORD_KIB_MAX, RECORD_KIB_MIN, State, TagChange,
};
pub use stream_queue_error::{CreateStreamQueueError, UpdateStreamQueueError};

use crate::service::capacity::CapacityChange;
use crate::service::commitment::Commitment;
use crate::service::consumer::{Consumer, ConsumerName};
use crate::service::queue_definition::{Definition as Queue, QueueId};
pub use crate::service::shard_definition::{Shard, ShardEnd};
use crate::service::stream_queue::{StreamQueue, StreamQueueChange};

/// The catalog of a node.
pub trait Catalog: Send {
    /// Everything that the catalog holds.
    fn state(&self) -> &State;

    /// Makes a change durable and then applies it.
    ///
    /// # Errors
    /// When it could not be made durable; the state is as before.
    fn commit(&mut self, change: Change) -> Result<(), StoreError>;

    /// The node that the data directory belongs to.
    fn node(&self) -> Node {
        self.state().node()
    }

    /// The stream of this name.
    fn stream(&self, name: &StreamName) -> Option<&Stream> {
        self.state().stream(name)
    }

    /// The stream of this id.
    fn stream_of(&self, id: StreamId) -> Option<&Stream> {
        self.state().stream_of(id)
    }

    /// Up to `limit` streams in the order of their names, beginning after `after`.
    fn list_streams(&self, after: Option<&StreamName>, limit: usize) -> Page<'_> {
        self.state().list(after, limit)
    }

    /// Every stream in the order of their names.
    fn streams(&self) -> Box<dyn Iterator<Item = &Stream> + '_> {
        Box::new(self.state().streams())
    }

    /// Creates a stream, its shards dealt out to the lanes from the least loaded one on.
    ///
    /// # Errors
    /// When the name is taken, a number is out of its range, or the change could not be made durable.
    fn create_stream(&mut self, new: NewStream, now: Timestamp) -> Result<Stream, CreateStreamError> {
        let (stream, aside) = self.state().plan_create(new, now)?;
        self.commit(Change::Create(stream.clone(), aside))?;
        Ok(stream)
    }

    /// Changes the settings that are given and leaves the others.
    ///
    /// # Errors
    /// When there is no such stream, a number is out of its range, or the change could not be made durable.
    fn update_stream(&mut self, name: &StreamName, settings: Settings) -> Result<Stream, UpdateStreamError> {
        let (stream, capacity) = self.state().plan_update(name, settings)?;
        self.commit(Change::Settle(stream.clone(), capacity))?;
        Ok(stream)
    }

    /// Changes a stream's tags.
    ///
    /// # Errors
    /// When there is no such stream, the tags cannot be kept, or the change could not be made durable.
    fn tag_stream(&mut self, name: &StreamName, change: TagChange) -> Result<Stream, TagStreamError> {
        let stream = self.state().plan_tags(name, change)?;
        self.commit(Change::Update(stream.clone()))?;
        Ok(stream)
    }

    /// What a change of a stream's shards would do. Nothing is changed by that: the ends of the shards that it closes are decided elsewhere.
    ///
    /// # Errors
    /// When there is no such stream or shard, or the shards cannot be changed so.
    fn plan_reshard(&self, name: &StreamName, change: ShardChange) -> Result<Reshard, ReshardError> {
        self.state().plan_reshard(name, change)
    }

    /// Closes shards at their ends and opens those that go on from there, in one change. Nothing else may have changed the stream since this was planned.
    ///
    /// # Errors
    /// When the change could not be made durable.
    fn reshard(&mut self, reshard: Reshard, ends: &Ends) -> Result<Stream, StoreError> {
        let stream = reshard.into_stream(ends);
        self.commit(Change::Update(stream.clone()))?;
        Ok(stream)
    }

    /// Drops closed shards whose records are all over, and returns the streams that had some.
    ///
    /// # Errors
    /// When a change could not be made durable; those before it stand.
    fn expire_shards(&mut self, now: Timestamp) -> Result<Vec<Stream>, StoreError> {
        let expired = self.state().plan_expiry(now);
        for stream in &expired {
            self.commit(Change::Update(stream.clone()))?;
        }
        Ok(expired)
    }

    /// Sees to it that no stream gets an owner up to this one, for the log holds entries of it that are not the stream's, nor an id that a stream with
    /// such an owner may have had.
    ///
    /// # Errors
    /// When the change could not be made durable.
    fn skip_owners(&mut self, up_to: OwnerId) -> Result<(), StoreError> {
        self.commit(Change::Skip(up_to))
    }

    /// Registers a consumer of a stream.
    ///
    /// # Errors
    /// When there is no such stream, the name is taken, there are too many, or the change could not be made durable.
    fn register_consumer(
        &mut self,
        new: NewConsumer,
        now: Timestamp,
    ) -> Result<Consumer, RegisterConsumerError> {
        let consumer = self.state().plan_register(new, now)?;
        self.commit(Change::Register(consumer.clone()))?;
        Ok(consumer)
    }

    /// Changes a consumer's tags.
    ///
    /// # Errors
    /// When there is no such consumer, the tags cannot be kept, or the change could not be made durable.
    fn tag_consumer(
        &mut self,
        stream: StreamId,
        name: &ConsumerName,
        change: TagChange,
    ) -> Result<Consumer, TagConsumerError> {
        let consumer = self.state().plan_consumer_tags(stream, name, change)?;
        self.commit(Change::Register(consumer.clone()))?;
        Ok(consumer)
    }

    /// Removes a consumer and returns what it was.
    ///
    /// # Errors
    /// When there is no such consumer, or the change could not be made durable.
    fn deregister_consumer(
        &mut self,
        stream: StreamId,
        name: &ConsumerName,
    ) -> Result<Consumer, DeregisterConsumerError> {
        let consumer = self.state().plan_deregister(stream, name)?;
        self.commit(Change::Deregister(consumer.clone()))?;
        Ok(consumer)
    }

    /// Gives a stream or consumer a policy, or takes it.
    ///
    /// # Errors
    /// When there is no such holder, or no policy to be taken, it is too long, or the change could not be made durable.
    fn set_policy(&mut self, holder: PolicyHolder, policy: Option<String>) -> Result<(), PolicyError> {
        self.state().plan_policy(&holder, policy.as_deref())?;
        Ok(self.commit(Change::Policy(holder, policy))?)
    }

    /// Changes a stream's capacity.
    ///
    /// # Errors
    /// When there is no such stream, it cannot have the capacity, or the change could not be made durable.
    fn change_capacity(
        &mut self,
        name: &StreamName,
        change: CapacityChange,
        now: Timestamp,
    ) -> Result<Stream, ChangeCapacityError> {
        let (stream, capacity) = self.state().plan_capacity(name, change, now)?;
        if capacity != self.state().capacity(stream.id) {
            self.commit(Change::Settle(stream.clone(), capacity))?;
        }
        Ok(stream)
    }

    /// Has the account commit itself, or end its commitment as soon as it may.
    ///
    /// # Errors
    /// When the change could not be made durable.
    fn change_commitment(&mut self, is_wanted: bool, now: Timestamp) -> Result<Commitment, StoreError> {
        let commitment = self.state().commitment().changed(is_wanted, now);
        self.commit(Change::Commit(commitment))?;
        Ok(commitment)
    }

    /// Says how large a stream's records may be.
    ///
    /// # Errors
    /// When there is no such stream, the size is out of its range, or the change could not be made durable.
    fn set_record_size(&mut self, stream: StreamId, kib: u32) -> Result<(), RecordSizeError> {
        self.state().plan_record_size(stream, kib)?;
        Ok(self.commit(Change::RecordSize(stream, kib))?)
    }

    /// Removes a stream, and its consumers and queues if they may go, and returns what it was, so that its owners can be forgotten.
    ///
    /// # Errors
    /// When there is no such stream, its consumers or queues keep it, or the change could not be made durable.
    fn delete_stream(
        &mut self,
        name: &StreamName,
        on_consumers: OnConsumers,
    ) -> Result<Stream, DeleteStreamError> {
        let stream = self.state().plan_delete(name, on_consumers)?;
        self.commit(Change::Delete(stream.clone()))?;
        Ok(stream)
    }

    /// Creates a queue, its partitions dealt out to the lanes from the least loaded one on. One that is there and is as it was wanted is returned as it is.
    ///
    /// # Errors
    /// When the name is taken by another, the settings or tags cannot be kept, or the change could not be made durable.
    fn create_queue(&mut self, new: NewQueue, now: Timestamp) -> Result<CreatedQueue, CreateQueueError> {
        let created = self.state().plan_create_queue(new, now)?;
        if let CreatedQueue::New(queue) = &created {
            self.commit(Change::Queue(Arc::clone(queue)))?;
        }
        Ok(created)
    }

    /// Changes the settings of a queue that are given and leaves the others.
    ///
    /// # Errors
    /// When there is no such queue, it cannot have such settings, or the change could not be made durable.
    fn update_queue(
        &mut self,
        id: QueueId,
        change: QueueChange,
        now: Timestamp,
    ) -> Result<Arc<Queue>, UpdateQueueError> {
        let queue = self.state().plan_update_queue(id, change, now)?;
        self.commit(Change::Queue(Arc::clone(&queue)))?;
        Ok(queue)
    }

    /// Changes a queue's tags.
    ///
    /// # Errors
    /// When there is no such queue, the tags cannot be kept, or the change could not be made durable.
    fn tag_queue(&mut self, id: QueueId, change: TagChange) -> Result<Arc<Queue>, TagQueueError> {
        let queue = self.state().plan_queue_tags(id, change)?;
        self.commit(Change::Queue(Arc::clone(&queue)))?;
        Ok(queue)
    }

    /// Removes a queue and returns what it was, so that its owners can be forgotten.
    ///
    /// # Errors
    /// When there is no such queue, or the change could not be made durable.
    fn delete_queue(&mut self, id: QueueId) -> Result<Arc<Queue>, DeleteQueueError> {
        let queue = self.state().plan_delete_queue(id)?;
        self.commit(Change::DeleteQueue(id))?;
        Ok(queue)
    }

    /// Creates a queue over a stream, with a partition in every lane.
    ///
    /// # Errors
    /// When the name is taken, the stream is not there or cannot have it, the settings or tags cannot be kept, or the change could not be made durable.
    fn create_stream_queue(
        &mut self,
        new: NewStreamQueue,
        now: Timestamp,
    ) -> Result<Arc<StreamQueue>, CreateStreamQueueError> {
        let queue = self.state().plan_create_stream_queue(new, now)?;
        self.commit(Change::StreamQueue(Arc::clone(&queue)))?;
        Ok(queue)
    }

    /// Changes the settings of a queue over a stream that are given and leaves the others.
    ///
    /// # Errors
    /// When there is no such queue, it cannot have such settings, or the change could not be made durable.
    fn update_stream_queue(
        &mut self,
        id: QueueId,
        change: StreamQueueChange,
    ) -> Result<Arc<StreamQueue>, UpdateStreamQueueError> {
        let queue = self.state().plan_update_stream_queue(id, change)?;
        self.commit(Change::StreamQueue(Arc::clone(&queue)))?;
        Ok(queue)
    }

    /// Changes the tags of a queue over a stream.
    ///
    /// # Errors
    /// When there is no such queue, the tags cannot be kept, or the change could not be made durable.
    fn tag_stream_queue(
        &mut self,
        id: QueueId,
        change: TagChange,
    ) -> Result<Arc<StreamQueue>, TagQueueError> {
        let queue = self.state().plan_stream_queue_tags(id, change)?;
        self.commit(Change::StreamQueue(Arc::clone(&queue)))?;
        Ok(queue)
    }

    /// Removes a queue over a stream and returns what it was, so that its owners can be forgotten.
    ///
    /// # Errors
    /// When there is no such queue, or the change could not be made durable.
    fn delete_stream_queue(&mut self, id: QueueId) -> Result<Arc<StreamQueue>, DeleteQueueError> {
        let queue = self.state().plan_delete_stream_queue(id)?;
        self.commit(Change::DeleteStreamQueue(id))?;
        Ok(queue)
    }
}

#[cfg(test)]
mod tests;
