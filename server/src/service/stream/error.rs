//! What can go wrong, one enum per operation. Values only: they cross cores and are mapped by each protocol.

use tidemill_storage::error::{Damage, DiskError};
use tidemill_wire::batch::BuildError;
use tidemill_wire::{SequenceNumber, ShardIndex, StreamId};

use crate::service::consumer::ConsumerName;
use crate::service::quota::Wait;

/// Why records were not appended to a shard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// There is no such stream.
    #[error("stream {stream} does not exist")]
    UnknownStream {
        /// The id that was asked for.
        stream: StreamId,
    },
    /// The stream has no such shard.
    #[error("stream {stream} has no shard {shard}")]
    UnknownShard {
        /// The stream.
        stream: StreamId,
        /// The index that was asked for.
        shard: ShardIndex,
    },
    /// The shard takes no more records.
    #[error("shard {shard} of stream {stream} is closed")]
    ShardClosed {
        /// The stream.
        stream: StreamId,
        /// The shard.
        shard: ShardIndex,
    },
    /// The shard is being split or merged: in a moment it either takes records again or is closed.
    #[error("shard {shard} of stream {stream} is being split or merged")]
    ShardMoving {
        /// The stream.
        stream: StreamId,
        /// The shard.
        shard: ShardIndex,
    },
    /// The shard's write quota is used up.
    #[error("the write quota of shard {shard} is used up")]
    Throttled {
        /// The shard.
        shard: ShardIndex,
        /// How long to wait before the same append is admitted.
        wait: Wait,
    },
    /// The lane did not take it.
    #[error(transparent)]
    Lane(#[from] tidemill_storage::AppendError),
    /// The core that owns the shard is going down.
    #[error("the server is going down")]
    Closing,
}

/// Why a batch could not be divided among the shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The data column is compressed and its records belong to different shards.
    #[error(
        "a compressed batch with keys of different shards is not divided by the server: send one batch for each shard"
    )]
    Compressed,
    /// A part of the batch does not make a batch.
    #[error(transparent)]
    Part(#[from] BuildError),
}

/// Why it was not decided where shards end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HoldError {
    /// Their appends are not settled, or not flushed, in time.
    #[error("appends under way are not settled in time")]
    Late,
    /// What they hold could not be made durable.
    #[error(transparent)]
    Disk(DiskError),
    /// The stream was deleted.
    #[error("shard {shard} is gone")]
    Gone {
        /// The shard.
        shard: ShardIndex,
    },
}

/// Why a fetch has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// There is no such stream, or no longer.
    #[error("stream {stream} does not exist")]
    UnknownStream {
        /// The id that was asked for.
        stream: StreamId,
    },
    /// The stream has no such shard.
    #[error("stream {stream} has no shard {shard}")]
    UnknownShard {
        /// The stream.
        stream: StreamId,
        /// The index that was asked for.
        shard: ShardIndex,
    },
    /// The sequence number was not given out yet.
    #[error("sequence number {from} is beyond the end {end}")]
    BeyondEnd {
        /// The number asked for.
        from: SequenceNumber,
        /// The next number to be given out.
        end: SequenceNumber,
    },
    /// The shard's read quota is used up.
    #[error("the read quota of shard {shard} is used up")]
    Throttled {
        /// The shard.
        shard: ShardIndex,
        /// How long to wait before something may be read again.
        wait: Wait,
    },
    /// As many fetches wait for records as may.
    #[error("{limit} fetches wait for records on this core, which is the limit")]
    TooManyWaiting {
        /// How many may wait.
        limit: u64,
    },
    /// Stored bytes are wrong.
    #[error(transparent)]
    Damaged(Damage),
    /// The disk failed.
    #[error(transparent)]
    Disk(DiskError),
    /// The core that owns the shard is going down.
    #[error("the server is going down")]
    Closing,
}

/// Why a consumer's seat at a shard was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeatError {
    /// There is no such stream.
    #[error("stream {stream} does not exist")]
    UnknownStream {
        /// The id that was asked for.
        stream: StreamId,
    },
    /// The stream has no such shard.
    #[error("stream {stream} has no shard {shard}")]
    UnknownShard {
        /// The stream.
        stream: StreamId,
        /// The index that was asked for.
        shard: ShardIndex,
    },
    /// The stream has no such consumer, or no longer.
    #[error("consumer {consumer} does not exist")]
    UnknownConsumer {
        /// Its name.
        consumer: ConsumerName,
    },
    /// It was taken a moment ago.
    #[error("consumer {consumer} has begun to read the shard a moment ago")]
    Taken {
        /// The consumer.
        consumer: ConsumerName,
    },
    /// The core that owns the shard is going down.
    #[error("the server is going down")]
    Closing,
}

/// Why whoever sits in a seat reads no further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// The shard cannot be read.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The consumer is gone.
    #[error("consumer {consumer} does not exist")]
    UnknownConsumer {
        /// Its name.
        consumer: ConsumerName,
    },
    /// Somebody else sits there now.
    #[error("somebody else reads the shard for consumer {consumer} now")]
    TakenOver {
        /// The consumer.
        consumer: ConsumerName,
    },
}
