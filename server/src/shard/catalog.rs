//! The catalog's own thread: it blocks for flushes, which an executor must not.
//!
//! One change after the other is made durable and then told to all cores, so every core sees the changes in one order, and whoever
//! asked is answered when all of them know.

mod capacity;
mod queues;
mod stream_queues;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures_channel::oneshot;
use tidemill_storage::failpoint::{self, Step};
use tidemill_wire::message::Settings;
use tidemill_wire::routing::RoutingError;
use tidemill_wire::{QueueId, ShardIndex, StreamId, StreamName};

pub use self::capacity::{CapacityFailure, CommitmentFailure};
use self::queues::QueueCommand;
pub use self::queues::{QueueCreateError, QueueDeleteError, QueueTagError, QueueUpdateError};
use self::stream_queues::StreamQueueCommand;
pub use self::stream_queues::{StreamQueueCreateError, StreamQueueUpdateError};
use super::clock::Clock;
use super::limits::{CATALOG_COMMANDS_MAX, HELD_NAMES_MAX};
use super::mailbox::Post;
use super::request::Letter;
use super::stream_queues::StreamQueueNews;
use crate::service::catalog::{
    Catalog, CreateStreamError, DeleteStreamError, DeregisterConsumerError, Ends, HeldNames, NewConsumer,
    NewStream, OnConsumers, PolicyError, PolicyHolder, RecordSizeError, RegisterConsumerError, ReshardError,
    ShardChange, State, StoreError, Stream, StreamKey, TagChange, TagConsumerError, TagStreamError,
    UpdateStreamError,
};
use crate::service::consumer::Consumer;
use crate::service::stream::{Attributes, Definition, HeldEnd, HoldError};

/// Why a change of a stream did not come about.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError<E: Error + 'static> {
    /// The catalog refused it.
    #[error(transparent)]
    Refused(E),
    /// The catalog holds a stream whose shards do not cover its keys.
    #[error("the catalog's stream is not whole: {0}")]
    Broken(RoutingError),
    /// The server is going down.
    #[error("the server is going down")]
    Closing,
}

/// Why a stream was not created.
pub type CreateError = CatalogError<CreateStreamError>;
/// Why a stream was not changed.
pub type UpdateError = CatalogError<UpdateStreamError>;
/// Why a stream's tags were not changed.
pub type TagError = CatalogError<TagStreamError>;
/// Why a stream's shards were not changed.
pub type ReshardFailure = CatalogError<ReshardError>;
/// Why closed shards were not dropped.
pub(super) type ExpiryError = CatalogError<StoreError>;
/// Why a stream was not deleted.
pub type DeleteError = CatalogError<DeleteStreamError>;
/// Why a consumer was not registered.
pub type RegisterError = CatalogError<RegisterConsumerError>;
/// Why a consumer's tags were not changed.
pub type ConsumerTagError = CatalogError<TagConsumerError>;
/// Why a consumer was not deregistered.
pub type DeregisterError = CatalogError<DeregisterConsumerError>;
/// Why a policy was not set, removed or read.
pub type PolicyChangeError = CatalogError<PolicyError>;
/// Why the size of a stream's records was not changed.
pub type RecordSizeChangeError = CatalogError<RecordSizeError>;

type Answer<T, E> = oneshot::Sender<Result<T, CatalogError<E>>>;

enum Command {
    Create { new: NewStream, answer: Answer<Arc<Definition>, CreateStreamError> },
    Update { key: StreamKey, settings: Settings, answer: Answer<Arc<Definition>, UpdateStreamError> },
    Tag { key: StreamKey, change: TagChange, answer: Answer<Arc<Definition>, TagStreamError> },
    Reshard { key: StreamKey, change: ShardChange, answer: Answer<Arc<Definition>, ReshardError> },
    ExpireShards { answer: Answer<(), StoreError> },
    Delete { key: StreamKey, on_consumers: OnConsumers, answer: Answer<(), DeleteStreamError> },
    Register { new: NewConsumer, answer: Answer<Consumer, RegisterConsumerError> },
    TagConsumer { consumer: Consumer, change: TagChange, answer: Answer<(), TagConsumerError> },
    SetPolicy { holder: PolicyHolder, policy: Option<String>, answer: Answer<(), PolicyError> },
    Capacity(capacity::Ask),
    SetRecordSize { stream: StreamId, kib: u32, answer: Answer<(), RecordSizeError> },
    Policy { holder: PolicyHolder, answer: Answer<Option<String>, PolicyError> },
    Deregister { consumer: Consumer, answer: Answer<(), DeregisterConsumerError> },
    Queue(QueueCommand),
    StreamQueue(StreamQueueCommand),
}

/// The way to the catalog's thread. Clones are the same.
#[derive(Clone, Debug)]
pub struct CatalogHandle {
    commands: Sender<Command>,
}

/// The catalog's thread, not yet started: cores need the way to it before it needs the way to them.
#[derive(Debug)]
pub struct CatalogThread {
    commands: Receiver<Command>,
}

impl CatalogHandle {
    /// Creates a stream; every core knows it when this answers.
    pub async fn create(&self, new: NewStream) -> Result<Arc<Definition>, CreateError> {
        self.ask(|answer| Command::Create { new, answer }).await
    }

    /// Changes a stream's settings; every core knows when this answers.
    pub async fn update(&self, key: StreamKey, settings: Settings) -> Result<Arc<Definition>, UpdateError> {
        self.ask(|answer| Command::Update { key, settings, answer }).await
    }

    /// Changes a stream's tags; every core knows when this answers.
    pub async fn tag(&self, key: StreamKey, change: TagChange) -> Result<Arc<Definition>, TagError> {
        self.ask(|answer| Command::Tag { key, change, answer }).await
    }

    /// Changes a stream's shards; every core knows when this answers, and those that were closed tell so. Streams are changed one after the other.
    pub async fn reshard(
        &self,
        key: StreamKey,
        change: ShardChange,
    ) -> Result<Arc<Definition>, ReshardFailure> {
        self.ask(|answer| Command::Reshard { key, change, answer }).await
    }

    /// Drops closed shards whose records are all over.
    pub(super) async fn expire_shards(&self) -> Result<(), ExpiryError> {
        self.ask(|answer| Command::ExpireShards { answer }).await
    }

    /// Deletes a stream; every core has forgotten it when this answers.
    pub async fn delete(&self, key: StreamKey, on_consumers: OnConsumers) -> Result<(), DeleteError> {
        self.ask(|answer| Command::Delete { key, on_consumers, answer }).await
    }

    /// Registers a consumer; every core knows it when this answers.
    pub async fn register(&self, new: NewConsumer) -> Result<Consumer, RegisterError> {
        self.ask(|answer| Command::Register { new, answer }).await
    }

    /// Changes a consumer's tags; every core knows when this answers.
    pub async fn tag_consumer(&self, consumer: Consumer, change: TagChange) -> Result<(), ConsumerTagError> {
        self.ask(|answer| Command::TagConsumer { consumer, change, answer }).await
    }

    /// Deregisters a consumer; every core has forgotten it when this answers.
    pub async fn deregister(&self, consumer: Consumer) -> Result<(), DeregisterError> {
        self.ask(|answer| Command::Deregister { consumer, answer }).await
    }

    /// Gives a stream or consumer a policy, or takes it.
    pub async fn set_policy(
        &self,
        holder: PolicyHolder,
        policy: Option<String>,
    ) -> Result<(), PolicyChangeError> {
        self.ask(|answer| Command::SetPolicy { holder, policy, answer }).await
    }

    /// Says how large a stream's records may be; every core knows when this answers.
    pub async fn set_record_size(&self, stream: StreamId, kib: u32) -> Result<(), RecordSizeChangeError> {
        self.ask(|answer| Command::SetRecordSize { stream, kib, answer }).await
    }

    /// The policy of a stream or consumer. No core needs it for its work, so the catalog is asked.
    pub async fn policy(&self, holder: PolicyHolder) -> Result<Option<String>, PolicyChangeError> {
        self.ask(|answer| Command::Policy { holder, answer }).await
    }

    /// Ends the thread when it has done what was asked before.
    pub fn close(&self) {
        self.commands.close();
    }

    async fn ask<T, E: Error + 'static>(
        &self,
        command: impl FnOnce(Answer<T, E>) -> Command,
    ) -> Result<T, CatalogError<E>> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| CatalogError::Closing)?;
        answered.await.unwrap_or(Err(CatalogError::Closing))
    }
}

impl CatalogThread {
    /// A thread to be started, and the way to it.
    #[must_use]
    pub fn new() -> (Self, CatalogHandle) {
        let (sender, commands) = async_channel::bounded(CATALOG_COMMANDS_MAX);
        (Self { commands }, CatalogHandle { commands: sender })
    }

    /// Runs until the way to it is closed. The name of a deleted queue is held for some time.
    pub fn start(
        self,
        catalog: impl Catalog + 'static,
        clock: Clock,
        post: Post,
        name_hold: Duration,
    ) -> std::io::Result<JoinHandle<()>> {
        let thread = std::thread::Builder::new().name("tidemill-catalog".to_owned());
        let held_names = HeldNames::new(name_hold, HELD_NAMES_MAX);
        thread.spawn(move || Worker { catalog, clock, post, held_names }.run(&self.commands))
    }
}

struct Worker<C: Catalog> {
    catalog: C,
    clock: Clock,
    post: Post,
    held_names: HeldNames,
}

impl<C: Catalog> Worker<C> {
    fn run(mut self, commands: &Receiver<Command>) {
        while let Ok(command) = commands.recv_blocking() {
            // Whoever asked may have gone; the change stands all the same.
            match command {
                Command::Create { new, answer } => drop(answer.send(self.create(new))),
                Command::Update { key, settings, answer } => {
                    drop(answer.send(self.update(key, settings)));
                }
                Command::Tag { key, change, answer } => drop(answer.send(self.tag(key, change))),
                Command::Reshard { key, change, answer } => drop(answer.send(self.reshard(key, change))),
                Command::ExpireShards { answer } => drop(answer.send(self.expire_shards())),
                Command::Delete { key, on_consumers, answer } => {
                    drop(answer.send(self.delete(key, on_consumers)));
                }
                Command::Register { new, answer } => drop(answer.send(self.register(new))),
                Command::TagConsumer { consumer, change, answer } => {
                    drop(answer.send(self.tag_consumer(consumer, change)));
                }
                Command::Deregister { consumer, answer } => drop(answer.send(self.deregister(consumer))),
                Command::SetPolicy { holder, policy, answer } => {
                    let set = self.catalog.set_policy(holder, policy);
                    drop(answer.send(set.map_err(CatalogError::Refused)));
                }
                Command::Capacity(ask) => self.capacity(ask),
                Command::SetRecordSize { stream, kib, answer } => {
                    drop(answer.send(self.set_record_size(stream, kib)));
                }
                Command::Queue(command) => self.begin_queue(command),
                Command::StreamQueue(command) => self.begin_stream_queue(command),
                Command::Policy { holder, answer } => {
                    let policy = self.catalog.state().policy(&holder).map(str::to_owned);
                    drop(answer.send(Ok(policy)));
                }
            }
        }
    }

    fn create(&mut self, new: NewStream) -> Result<Arc<Definition>, CreateError> {
        let created = self.catalog.create_stream(new, self.clock.now()).map_err(CatalogError::Refused)?;
        tracing::info!(stream = %created.name, id = %created.id, shards = created.shards.len(), "stream created");
        self.publish(&created)
    }

    fn update(&mut self, key: StreamKey, settings: Settings) -> Result<Arc<Definition>, UpdateError> {
        let name = self.meant(key, |name| UpdateStreamError::Unknown { name })?;
        let updated = self.catalog.update_stream(&name, settings).map_err(CatalogError::Refused)?;
        tracing::info!(stream = %updated.name, id = %updated.id, "stream changed");
        self.publish(&updated)
    }

    fn tag(&mut self, key: StreamKey, change: TagChange) -> Result<Arc<Definition>, TagError> {
        let name = self.meant(key, |name| TagStreamError::Unknown { name })?;
        let tagged = self.catalog.tag_stream(&name, change).map_err(CatalogError::Refused)?;
        tracing::info!(stream = %tagged.name, id = %tagged.id, tags = tagged.tags.len(), "tags changed");
        self.publish(&tagged)
    }

    fn register(&mut self, new: NewConsumer) -> Result<Consumer, RegisterError> {
        let registered =
            self.catalog.register_consumer(new, self.clock.now()).map_err(CatalogError::Refused)?;
        tracing::info!(stream = %registered.stream, consumer = %registered.name, "consumer registered");
        self.publish_of(registered.stream)?;
        Ok(registered)
    }

    /// The name of the stream that is meant, which stays its own until the next command.
    fn meant<E: Error + 'static>(
        &self,
        key: StreamKey,
        unknown: impl Fn(StreamName) -> E,
    ) -> Result<StreamName, CatalogError<E>> {
        self.catalog.state().meant(key).map_err(|name| CatalogError::Refused(unknown(name)))
    }

    fn tag_consumer(&mut self, consumer: Consumer, change: TagChange) -> Result<(), ConsumerTagError> {
        if !self.catalog.state().is_registered(&consumer) {
            return Err(CatalogError::Refused(TagConsumerError::Unknown { name: consumer.name }));
        }
        let Consumer { stream, name, .. } = consumer;
        self.catalog.tag_consumer(stream, &name, change).map_err(CatalogError::Refused)?;
        tracing::info!(%stream, consumer = %name, "tags of a consumer changed");
        self.publish_of(stream)
    }

    fn deregister(&mut self, consumer: Consumer) -> Result<(), DeregisterError> {
        if !self.catalog.state().is_registered(&consumer) {
            return Err(CatalogError::Refused(DeregisterConsumerError::Unknown { name: consumer.name }));
        }
        let Consumer { stream, name, .. } = consumer;
        self.catalog.deregister_consumer(stream, &name).map_err(CatalogError::Refused)?;
        tracing::info!(%stream, consumer = %name, "consumer deregistered");
        self.publish_of(stream)
    }

    fn set_record_size(&mut self, stream: StreamId, kib: u32) -> Result<(), RecordSizeChangeError> {
        self.catalog.set_record_size(stream, kib).map_err(CatalogError::Refused)?;
        tracing::info!(%stream, kib, "size of records changed");
        self.publish_of(stream)
    }

    /// Has the shards that end held, writes down where they end, tells all cores, and lets go. What fails before it is written leaves the shards as they were; when writing
    /// fails nobody knows what a restart will find, so they stay held until then.
    fn reshard(&mut self, key: StreamKey, change: ShardChange) -> Result<Arc<Definition>, ReshardFailure> {
        self.expire_shards().map_err(|error| match error {
            CatalogError::Refused(store) => CatalogError::Refused(ReshardError::Store(store)),
            CatalogError::Broken(routing) => CatalogError::Broken(routing),
            CatalogError::Closing => CatalogError::Closing,
        })?;
        let name = self.meant(key, |name| ReshardError::Unknown { name })?;
        let planned = self.catalog.plan_reshard(&name, change).map_err(CatalogError::Refused)?;
        let id = planned.stream();
        if planned.parents().is_empty() {
            let present = self.catalog.stream_of(id).expect("it was planned for");
            return define(self.catalog.state(), present).map(Arc::new).map_err(CatalogError::Broken);
        }
        let ends = match self.hold(id, planned.parents())? {
            Ok(ends) => ends,
            Err(error) => {
                self.tell_all(|done| Letter::Release { stream: id, done })?;
                let reason = error.to_string();
                return Err(CatalogError::Refused(ReshardError::Undecided { reason }));
            }
        };
        let changed = self.catalog.reshard(planned, &ends).map_err(|error| {
            tracing::error!(stream = %name, %error, "shards are held until the server is restarted");
            CatalogError::Refused(ReshardError::Store(error))
        })?;
        let (open, all) =
            (changed.shards.iter().filter(|shard| shard.is_open()).count(), changed.shards.len());
        tracing::info!(stream = %changed.name, id = %changed.id, open, all, ?change, "shards changed");
        let definition = self.publish(&changed)?;
        self.tell_all(|done| Letter::Release { stream: id, done })?;
        Ok(definition)
    }

    /// Has every core hold its shards, and gathers where they end.
    fn hold(
        &self,
        stream: StreamId,
        shards: &[ShardIndex],
    ) -> Result<Result<Ends, HoldError>, ReshardFailure> {
        let passage = failpoint::enter(Step::Tell, Path::new("cores"));
        let cores = self.post.cores();
        let (reply, told) = async_channel::bounded(cores as usize);
        let shards: Arc<[ShardIndex]> = shards.into();
        for core in 0..cores {
            let letter = Letter::Hold { stream, shards: Arc::clone(&shards), reply: reply.clone() };
            self.post.send_blocking(core, letter).map_err(|_| CatalogError::Closing)?;
        }
        drop(reply);
        let mut ends = Ends { at: self.clock.now(), ends: BTreeMap::new() };
        for _ in 0..cores {
            let held = match told.recv_blocking().map_err(|_| CatalogError::Closing)? {
                Ok(held) => held,
                Err(error) => return Ok(Err(error)),
            };
            for HeldEnd { shard, next, last_append } in held {
                ends.at = ends.at.max(last_append.unwrap_or_default());
                ends.ends.insert(shard, next);
            }
        }
        passage.leave();
        let missing = shards.iter().find(|shard| !ends.ends.contains_key(*shard));
        Ok(missing.map_or(Ok(ends), |shard| Err(HoldError::Gone { shard: *shard })))
    }

    fn expire_shards(&mut self) -> Result<(), ExpiryError> {
        let expired = self.catalog.expire_shards(self.clock.now()).map_err(CatalogError::Refused)?;
        for stream in expired {
            tracing::info!(stream = %stream.name, id = %stream.id, left = stream.shards.len(), "closed shards are over");
            self.publish(&stream)?;
        }
        Ok(())
    }

    fn delete(&mut self, key: StreamKey, on_consumers: OnConsumers) -> Result<(), DeleteError> {
        let name = self.meant(key, |name| DeleteStreamError::Unknown { name })?;
        let state = self.catalog.state();
        let over = state.stream(&name).into_iter().flat_map(|stream| state.stream_queues_of(stream.id));
        let over: Vec<QueueId> = over.map(|queue| queue.id).collect();
        let deleted = self.catalog.delete_stream(&name, on_consumers).map_err(CatalogError::Refused)?;
        tracing::info!(stream = %deleted.name, id = %deleted.id, queues = over.len(), "stream deleted");
        for queue in over {
            self.tell_of(&StreamQueueNews::Forget(queue))?;
        }
        self.tell_all(|done| Letter::Forget { stream: deleted.id, done })
    }

    fn publish<E: Error + 'static>(&self, stream: &Stream) -> Result<Arc<Definition>, CatalogError<E>> {
        let definition = Arc::new(define(self.catalog.state(), stream).map_err(CatalogError::Broken)?);
        self.tell_all(|done| Letter::TakeIn { definition: Arc::clone(&definition), done })?;
        self.tell_all(|done| Letter::Name { stream: stream.id, done })?;
        Ok(definition)
    }

    /// Tells every core of a stream whose consumers have changed.
    fn publish_of<E: Error + 'static>(&self, stream: StreamId) -> Result<(), CatalogError<E>> {
        match self.catalog.stream_of(stream) {
            Some(stream) => self.publish(stream).map(drop),
            None => Ok(()),
        }
    }

    /// Tells every core and waits until each has taken it in.
    fn tell_all<E: Error + 'static>(
        &self,
        letter: impl Fn(Sender<()>) -> Letter,
    ) -> Result<(), CatalogError<E>> {
        let passage = failpoint::enter(Step::Tell, Path::new("cores"));
        let (done, known) = async_channel::bounded(self.post.cores() as usize);
        for core in 0..self.post.cores() {
            self.post.send_blocking(core, letter(done.clone())).map_err(|_| CatalogError::Closing)?;
        }
        drop(done);
        for _ in 0..self.post.cores() {
            known.recv_blocking().map_err(|_| CatalogError::Closing)?;
        }
        passage.leave();
        Ok(())
    }
}

/// A stream of the catalog as the cores hold it.
pub fn define(state: &State, stream: &Stream) -> Result<Definition, RoutingError> {
    let attributes = Attributes {
        id: stream.id,
        name: stream.name.clone(),
        created: stream.created,
        retention: stream.retention,
        quota: stream.quota,
        key_compaction: stream.key_compaction,
        map_version: stream.map_version,
        tags: stream.tags.clone(),
        consumers: state.consumers(stream.id).cloned().unwrap_or_default(),
        record_kib: state.record_kib(stream.id),
        capacity: state.capacity(stream.id),
    };
    Definition::new(attributes, Arc::clone(&stream.shards))
}
