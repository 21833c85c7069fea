//! Queues over streams on the catalog's thread: what is asked of it, and what all cores are told.

use std::error::Error;
use std::sync::Arc;

use tidemill_wire::QueueId;

use super::{Answer, CatalogError, CatalogHandle, Command, QueueDeleteError, QueueTagError, Worker};
use crate::service::catalog::{
    Catalog, CreateStreamQueueError, DeleteQueueError, NewStreamQueue, TagChange, TagQueueError,
    UpdateStreamQueueError,
};
use crate::service::stream_queue::{StreamQueue, StreamQueueChange};
use crate::shard::request::Letter;
use crate::shard::stream_queues::StreamQueueNews;

/// Why a queue over a stream was not created.
pub type StreamQueueCreateError = CatalogError<CreateStreamQueueError>;
/// Why a queue over a stream was not changed.
pub type StreamQueueUpdateError = CatalogError<UpdateStreamQueueError>;

pub(super) enum StreamQueueCommand {
    Create {
        new: NewStreamQueue,
        answer: Answer<Arc<StreamQueue>, CreateStreamQueueError>,
    },
    Update {
        queue: QueueId,
        change: StreamQueueChange,
        answer: Answer<Arc<StreamQueue>, UpdateStreamQueueError>,
    },
    Tag {
        queue: QueueId,
        change: TagChange,
        answer: Answer<(), TagQueueError>,
    },
    Delete {
        queue: QueueId,
        answer: Answer<(), DeleteQueueError>,
    },
}

impl CatalogHandle {
    /// Creates a queue over a stream; every core knows it when this answers.
    pub async fn create_stream_queue(
        &self,
        new: NewStreamQueue,
    ) -> Result<Arc<StreamQueue>, StreamQueueCreateError> {
        self.ask(|answer| Command::StreamQueue(StreamQueueCommand::Create { new, answer })).await
    }

    /// Changes the settings of a queue over a stream; every core knows when this answers.
    pub async fn update_stream_queue(
        &self,
        queue: QueueId,
        change: StreamQueueChange,
    ) -> Result<Arc<StreamQueue>, StreamQueueUpdateError> {
        self.ask(|answer| Command::StreamQueue(StreamQueueCommand::Update { queue, change, answer })).await
    }

    /// Changes the tags of a queue over a stream; every core knows when this answers.
    pub async fn tag_stream_queue(&self, queue: QueueId, change: TagChange) -> Result<(), QueueTagError> {
        self.ask(|answer| Command::StreamQueue(StreamQueueCommand::Tag { queue, change, answer })).await
    }

    /// Deletes a queue over a stream; every core has forgotten it when this answers.
    pub async fn delete_stream_queue(&self, queue: QueueId) -> Result<(), QueueDeleteError> {
        self.ask(|answer| Command::StreamQueue(StreamQueueCommand::Delete { queue, answer })).await
    }
}

impl<C: Catalog> Worker<C> {
    pub(super) fn begin_stream_queue(&mut self, command: StreamQueueCommand) {
        // Whoever asked may have gone; the change stands all the same.
        match command {
            StreamQueueCommand::Create { new, answer } => drop(answer.send(self.create_stream_queue(new))),
            StreamQueueCommand::Update { queue, change, answer } => {
                drop(answer.send(self.update_stream_queue(queue, change)));
            }
            StreamQueueCommand::Tag { queue, change, answer } => {
                drop(answer.send(self.tag_stream_queue(queue, change)));
            }
            StreamQueueCommand::Delete { queue, answer } => {
                drop(answer.send(self.delete_stream_queue(queue)));
            }
        }
    }

    fn create_stream_queue(
        &mut self,
        new: NewStreamQueue,
    ) -> Result<Arc<StreamQueue>, StreamQueueCreateError> {
        let created = self.catalog.create_stream_queue(new, self.clock.now());
        let created = created.map_err(CatalogError::Refused)?;
        tracing::info!(queue = %created.name, id = %created.id, stream = %created.stream, "queue over a stream created");
        self.tell_of(&StreamQueueNews::TakeIn(Arc::clone(&created)))?;
        self.tell_of(&StreamQueueNews::Name(created.id))?;
        Ok(created)
    }

    fn update_stream_queue(
        &mut self,
        queue: QueueId,
        change: StreamQueueChange,
    ) -> Result<Arc<StreamQueue>, StreamQueueUpdateError> {
        let updated = self.catalog.update_stream_queue(queue, change).map_err(CatalogError::Refused)?;
        tracing::info!(queue = %updated.name, id = %updated.id, "queue over a stream changed");
        self.tell_of(&StreamQueueNews::TakeIn(Arc::clone(&updated)))?;
        Ok(updated)
    }

    fn tag_stream_queue(&mut self, queue: QueueId, change: TagChange) -> Result<(), QueueTagError> {
        let tagged = self.catalog.tag_stream_queue(queue, change).map_err(CatalogError::Refused)?;
        tracing::info!(queue = %tagged.name, id = %tagged.id, "tags of a queue over a stream changed");
        self.tell_of(&StreamQueueNews::TakeIn(tagged))
    }

    fn delete_stream_queue(&mut self, queue: QueueId) -> Result<(), QueueDeleteError> {
        let deleted = self.catalog.delete_stream_queue(queue).map_err(CatalogError::Refused)?;
        tracing::info!(queue = %deleted.name, id = %deleted.id, "queue over a stream deleted");
        self.tell_of(&StreamQueueNews::Forget(queue))
    }

    /// Tells every core of a queue over a stream, and waits until each has taken that in.
    pub(super) fn tell_of<E: Error + 'static>(&self, news: &StreamQueueNews) -> Result<(), CatalogError<E>> {
        self.tell_all(|done| Letter::StreamQueue { news: news.clone(), done })
    }
}
