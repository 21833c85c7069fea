//! What can go wrong with queues over streams, where it differs from other queues.

use thiserror::Error;
use tidemill_wire::{QueueId, StreamId};

use super::error::{StoreError, TagsError};
use super::queue_error::QueueSettingsError;
use crate::service::consumer::ConsumerName;

/// Why a queue over a stream was not created.
#[derive(Debug, Error)]
pub enum CreateStreamQueueError {
    /// There is no such stream.
    #[error("stream {stream} does not exist")]
    UnknownStream {
        /// The id.
        stream: StreamId,
    },
    /// The name is taken.
    #[error("queue {name} exists already")]
    Exists {
        /// The name.
        name: ConsumerName,
    },
    /// The owners of the stream decide how many shards it has, and such streams have no queues.
    #[error("stream {stream} is provisioned, queues are for streams on demand")]
    Provisioned {
        /// The stream.
        stream: StreamId,
    },
    /// The stream has as many consumers and queues as it may.
    #[error("the stream has {limit} consumers and queues, which is the limit")]
    TooManyReaders {
        /// The most there may be.
        limit: usize,
    },
    /// There are as many queues over streams as there may be.
    #[error("there are {limit} queues over streams, which is the limit")]
    TooManyQueues {
        /// The most there may be.
        limit: u32,
    },
    /// A queue cannot have these settings.
    #[error(transparent)]
    Settings(#[from] QueueSettingsError),
    /// Its tags cannot be kept.
    #[error(transparent)]
    Tags(#[from] TagsError),
    /// The change could not be made durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a queue over a stream was not changed.
#[derive(Debug, Error)]
pub enum UpdateStreamQueueError {
    /// There is no such queue any more.
    #[error("queue {queue} does not exist")]
    Unknown {
        /// The id.
        queue: QueueId,
    },
    /// A queue cannot have these settings.
    #[error(transparent)]
    Settings(#[from] QueueSettingsError),
    /// The change could not be made durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}
