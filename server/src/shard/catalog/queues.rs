//! Queues on the catalog's thread: what is asked of it, and what all cores are told.

use std::error::Error;
use std::sync::Arc;

use super::{Answer, CatalogError, CatalogHandle, Command, Worker};
use crate::service::catalog::{
    Catalog, CreateQueueError, CreatedQueue, DeleteQueueError, NewQueue, QueueChange, TagChange,
    TagQueueError, UpdateQueueError,
};
use crate::service::queue::{Definition, QueueId};
use crate::shard::request::Letter;

/// Why a queue was not created.
pub type QueueCreateError = CatalogError<CreateQueueError>;
/// Why a queue was not changed.
pub type QueueUpdateError = CatalogError<UpdateQueueError>;
/// Why a queue's tags were not changed.
pub type QueueTagError = CatalogError<TagQueueError>;
/// Why a queue was not deleted.
pub type QueueDeleteError = CatalogError<DeleteQueueError>;

pub(super) enum QueueCommand {
    Create {
        new: NewQueue,
        answer: Answer<Arc<Definition>, CreateQueueError>,
    },
    Update {
        queue: QueueId,
        change: QueueChange,
        answer: Answer<Arc<Definition>, UpdateQueueError>,
    },
    ReplacePolicy {
        queue: QueueId,
        before: Option<String>,
        after: Option<String>,
        answer: Answer<Option<Arc<Definition>>, UpdateQueueError>,
    },
    Tag {
        queue: QueueId,
        change: TagChange,
        answer: Answer<Arc<Definition>, TagQueueError>,
    },
    Delete {
        queue: QueueId,
        answer: Answer<(), DeleteQueueError>,
    },
}

impl CatalogHandle {
    /// Creates a queue; every core knows it when this answers. One that is there and is as it was wanted is the answer as it is.
    pub async fn create_queue(&self, new: NewQueue) -> Result<Arc<Definition>, QueueCreateError> {
        self.ask(|answer| Command::Queue(QueueCommand::Create { new, answer })).await
    }

    /// Changes a queue's settings; every core knows when this answers.
    pub async fn update_queue(
        &self,
        queue: QueueId,
        change: QueueChange,
    ) -> Result<Arc<Definition>, QueueUpdateError> {
        self.ask(|answer| Command::Queue(QueueCommand::Update { queue, change, answer })).await
    }

    /// Puts a policy in place of another, of which it was made; every core knows when this answers. Nothing if the queue has another one since.
    pub async fn replace_policy(
        &self,
        queue: QueueId,
        before: Option<String>,
        after: Option<String>,
    ) -> Result<Option<Arc<Definition>>, QueueUpdateError> {
        self.ask(|answer| Command::Queue(QueueCommand::ReplacePolicy { queue, before, after, answer })).await
    }

    /// Changes a queue's tags; every core knows when this answers.
    pub async fn tag_queue(
        &self,
        queue: QueueId,
        change: TagChange,
    ) -> Result<Arc<Definition>, QueueTagError> {
        self.ask(|answer| Command::Queue(QueueCommand::Tag { queue, change, answer })).await
    }

    /// Deletes a queue; every core has forgotten it when this answers.
    pub async fn delete_queue(&self, queue: QueueId) -> Result<(), QueueDeleteError> {
        self.ask(|answer| Command::Queue(QueueCommand::Delete { queue, answer })).await
    }
}

impl<C: Catalog> Worker<C> {
    pub(super) fn begin_queue(&mut self, command: QueueCommand) {
        // Whoever asked may have gone; the change stands all the same.
        match command {
            QueueCommand::Create { new, answer } => drop(answer.send(self.create_queue(new))),
            QueueCommand::Update { queue, change, answer } => {
                drop(answer.send(self.update_queue(queue, change)));
            }
            QueueCommand::ReplacePolicy { queue, before, after, answer } => {
                drop(answer.send(self.replace_policy(queue, before.as_deref(), after)));
            }
            QueueCommand::Tag { queue, change, answer } => drop(answer.send(self.tag_queue(queue, change))),
            QueueCommand::Delete { queue, answer } => drop(answer.send(self.delete_queue(queue))),
        }
    }

    fn create_queue(&mut self, new: NewQueue) -> Result<Arc<Definition>, QueueCreateError> {
        if let Some(seconds) = self.held_names.seconds_left(&new.name, self.clock.monotonic()) {
            return Err(CatalogError::Refused(CreateQueueError::DeletedRecently { name: new.name, seconds }));
        }
        let created = self.catalog.create_queue(new, self.clock.now()).map_err(CatalogError::Refused)?;
        let queue = match created {
            CreatedQueue::Present(queue) => return Ok(queue),
            CreatedQueue::New(queue) => queue,
        };
        tracing::info!(queue = %queue.name, id = %queue.id, partitions = queue.partitions.len(), "queue created");
        self.publish_queue(&queue)?;
        self.tell_all(|done| Letter::NameQueue { queue: queue.id, done })?;
        Ok(queue)
    }

    fn update_queue(
        &mut self,
        queue: QueueId,
        change: QueueChange,
    ) -> Result<Arc<Definition>, QueueUpdateError> {
        let updated =
            self.catalog.update_queue(queue, change, self.clock.now()).map_err(CatalogError::Refused)?;
        tracing::info!(queue = %updated.name, id = %updated.id, "queue changed");
        self.publish_queue(&updated)?;
        Ok(updated)
    }

    /// Only this thread changes queues, so nothing comes between the look and the change.
    fn replace_policy(
        &mut self,
        queue: QueueId,
        before: Option<&str>,
        after: Option<String>,
    ) -> Result<Option<Arc<Definition>>, QueueUpdateError> {
        let present = self.catalog.state().queue_of(queue);
        let present = present.ok_or(CatalogError::Refused(UpdateQueueError::Unknown { queue }))?;
        if present.settings.policy.as_deref() != before {
            return Ok(None);
        }
        let change = QueueChange { policy: Some(after), ..QueueChange::default() };
        self.update_queue(queue, change).map(Some)
    }

    fn tag_queue(&mut self, queue: QueueId, change: TagChange) -> Result<Arc<Definition>, QueueTagError> {
        let tagged = self.catalog.tag_queue(queue, change).map_err(CatalogError::Refused)?;
        tracing::info!(queue = %tagged.name, id = %tagged.id, tags = tagged.tags.len(), "tags of a queue changed");
        self.publish_queue(&tagged)?;
        Ok(tagged)
    }

    fn delete_queue(&mut self, queue: QueueId) -> Result<(), QueueDeleteError> {
        let deleted = self.catalog.delete_queue(queue).map_err(CatalogError::Refused)?;
        tracing::info!(queue = %deleted.name, id = %deleted.id, "queue deleted");
        self.held_names.hold(deleted.name.clone(), self.clock.monotonic());
        self.tell_all(|done| Letter::ForgetQueue { queue, done })
    }

    fn publish_queue<E: Error + 'static>(&self, queue: &Arc<Definition>) -> Result<(), CatalogError<E>> {
        self.tell_all(|done| Letter::TakeInQueue { definition: Arc::clone(queue), done })
    }
}

#[cfg(test)]
mod tests;
