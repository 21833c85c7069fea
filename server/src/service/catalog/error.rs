//! What can go wrong, one enum per operation.

use std::path::PathBuf;

use thiserror::Error;
use tidemill_wire::routing::{HashKey, HashKeyRange};
use tidemill_wire::{ShardIndex, StreamId, StreamName};

use super::encoding::DecodeError;
use super::rules::{TAG_BYTES_MAX, TAGS_MAX};
use super::state::{POLICY_BYTES_MAX, RECORD_KIB_MAX, RECORD_KIB_MIN};
use crate::service::capacity::CapacityError;
use crate::service::consumer::ConsumerName;

/// A setting of a stream is out of its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{setting} = {value} is out of range: expected {min} to {max}{}", if *or_zero { ", or 0 for no limit" } else { "" })]
pub struct SettingsError {
    /// Which.
    pub setting: &'static str,
    /// What was asked for.
    pub value: u64,
    /// Least value.
    pub min: u64,
    /// Greatest value.
    pub max: u64,
    /// Whether 0 is allowed too.
    pub or_zero: bool,
}

/// Tags that cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TagsError {
    /// There would be too many.
    #[error("there would be {found} tags, the limit is {TAGS_MAX}")]
    TooMany {
        /// How many.
        found: usize,
    },
    /// A key or a value is too long.
    #[error("a tag has {found} bytes in its key or value, the limit is {TAG_BYTES_MAX}")]
    TooLong {
        /// Its bytes.
        found: usize,
    },
}

/// All streams together would have more open shards than they may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("there would be {found} open shards in all, the limit is {limit}")]
pub struct TooManyShards {
    /// How many there would be.
    pub found: u64,
    /// The most there may be.
    pub limit: u32,
}

/// Why a stream was not created.
#[derive(Debug, Error)]
pub enum CreateStreamError {
    /// The name is taken.
    #[error("stream {name} exists already")]
    Exists {
        /// The name.
        name: StreamName,
    },
    /// A stream cannot have so many or so few shards.
    #[error("{value} shards are out of range: expected 1 to {limit}")]
    Shards {
        /// What was asked for.
        value: u32,
        /// The most there may be.
        limit: u32,
    },
    /// There are as many streams as there may be.
    #[error("there are {limit} streams, which is the limit")]
    TooManyStreams {
        /// The most there may be.
        limit: u32,
    },
    /// All streams together would have too many shards.
    #[error(transparent)]
    Account(#[from] TooManyShards),
    /// A setting is out of its range.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Its tags cannot be kept.
    #[error(transparent)]
    Tags(#[from] TagsError),
    /// Its records cannot be so large, or so small.
    #[error("records of {kib} KiB are out of range: expected {RECORD_KIB_MIN} to {RECORD_KIB_MAX}")]
    RecordSize {
        /// What was asked for.
        kib: u32,
    },
    /// It cannot have its capacity.
    #[error(transparent)]
    Capacity(#[from] CapacityError),
    /// Streams are compacted by key only where anything is compacted.
    #[error("key compaction needs compaction: storage.compaction_bytes_per_second is 0")]
    CompactionOff,
    /// The change could not be made durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a stream was not changed.
#[derive(Debug, Error)]
pub enum UpdateStreamError {
    /// There is no such stream.
    #[error("stream {name} does not exist")]
    Unknown {
        /// The name.
        name: StreamName,
    },
    /// A setting is out of its range.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Streams are compacted by key only where anything is compacted.
    #[error("key compaction needs compaction: storage.compaction_bytes_per_second is 0")]
    CompactionOff,
    /// The change could not be made durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a stream's tags were not changed.
#[derive(Debug, Error)]
pub enum TagStreamError {
    /// There is no such stream.
    #[error("stream {name} does not exist")]
    Unknown {
        /// The name.
        name: StreamName,
    },
    /// They cannot be kept.
    #[error(transparent)]
    Tags(#[from] TagsError),
    /// The change could not be made durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a stream's capacity was not changed.
#[derive(Debug, Error)]
pub enum ChangeCapacityError {
    /// There is no such stream.
    #[error("stream {name} does not exist")]
    Unknown {
        /// The name.
        name: StreamName,
    },
    /// It cannot be what it is to be.
    #[error(transparent)]
    Capacity(#[from] CapacityError),
    /// It has queues, which are for streams on demand.
    #[error("stream {name} has {queues} queues, and stays on demand while it has")]
    HasQueues {
        /// The name.
        name: StreamName,
        /// How many.
        queues: usize,
    },
    /// The change could not be made durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a stream was not deleted.
#[derive(Debug, Error)]
pub enum DeleteStreamError {
    /// There is no such stream.
    #[error("stream {name} does not exist")]
    Unknown {
        /// The name.
        name: StreamName,
    },
    /// It has consumers, and whoever deletes it has not said that they may go.
    #[error("stream {name} has {consumers} registered consumers")]
    HasConsumers {
        /// The name.
        name: StreamName,
        /// How many.
        consumers: usize,
    },
    /// It has queues, and whoever deletes it has not said that they may go.
    #[error("stream {name} has {queues} queues")]
    HasQueues {
        /// The name.
        name: StreamName,
        /// How many.
        queues: usize,
    },
    /// The change could not be made durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a consumer was not registered.
#[derive(Debug, Error)]
pub enum RegisterConsumerError {
    /// There is no such stream.
    #[error("stream {stream} does not exist")]
    UnknownStream {
        /// The id.
        stream: StreamId,
    },
    /// The name is taken.
    #[error("consumer {name} exists already")]
    Exists {
        /// The name.
        name: ConsumerName,
    },
    /// The stream has as many consumers as it may.
    #[error("the stream has {limit} consumers and queues, which is the limit")]
    TooMany {
        /// The most there may be.
        limit: usize,
    },
    /// Its tags cannot be kept.
    #[error(transparent)]
    Tags(#[from] TagsError),
    /// The change could not be made durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a consumer's tags were not changed.
#[derive(Debug, Error)]
pub enum TagConsumerError {
    /// There is no such consumer, or no such stream.
    #[error("consumer {name} does not exist")]
    Unknown {
        /// The name.
        name: ConsumerName,
    },
    /// They cannot be kept.
    #[error(transparent)]
    Tags(#[from] TagsError),
    /// The change could not be made durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a consumer was not deregistered.
#[derive(Debug, Error)]
pub enum DeregisterConsumerError {
    /// There is no such consumer, or no such stream.
    #[error("consumer {name} does not exist")]
    Unknown {
        /// The name.
        name: ConsumerName,
    },
    /// The change could not be made durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a policy was not set or removed.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// There is no such stream or consumer.
    #[error("whoever is to have the policy does not exist")]
    Unknown,
    /// There is none to be removed.
    #[error("there is no policy")]
    None,
    /// It is too long to be kept.
    #[error("the policy has {found} bytes, the limit is {POLICY_BYTES_MAX}")]
    TooLong {
        /// Its bytes.
        found: usize,
    },
    /// The change could not be made durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the size of a stream's records was not changed.
#[derive(Debug, Error)]
pub enum RecordSizeError {
    /// There is no such stream.
    #[error("stream {stream} does not exist")]
    Unknown {
        /// The id.
        stream: StreamId,
    },
    /// No stream may have it.
    #[error("records of {kib} KiB are out of range: expected {RECORD_KIB_MIN} to {RECORD_KIB_MAX}")]
    OutOfRange {
        /// What was asked for.
        kib: u32,
    },
    /// The change could not be made durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a stream's shards were not changed.
#[derive(Debug, Error)]
pub enum ReshardError {
    /// There is no such stream.
    #[error("stream {name} does not exist")]
    Unknown {
        /// The name.
        name: StreamName,
    },
    /// The stream has no such shard.
    #[error("there is no shard {shard}")]
    UnknownShard {
        /// The index that was asked for.
        shard: ShardIndex,
    },
    /// The shard was split or merged before.
    #[error("shard {shard} is closed")]
    Closed {
        /// Which.
        shard: ShardIndex,
    },
    /// A shard cannot be split there.
    #[error("hash key {at} does not divide {start} to {end}", start = range.start, end = range.end)]
    Key {
        /// Where the upper half was to begin.
        at: HashKey,
        /// The shard's keys.
        range: HashKeyRange,
    },
    /// The keys of two shards do not follow each other.
    #[error("shards {shard} and {adjacent} are not neighbours")]
    NotAdjacent {
        /// The one.
        shard: ShardIndex,
        /// The other.
        adjacent: ShardIndex,
    },
    /// The number of open shards can be doubled or halved at most.
    #[error("{open} open shards cannot become {target}: expected half to twice as many")]
    Scale {
        /// Open shards.
        open: u32,
        /// What was asked for.
        target: u32,
    },
    /// A stream cannot have so many open shards.
    #[error("{found} open shards are out of range: expected 1 to {limit}")]
    TooManyOpen {
        /// How many there would be.
        found: u32,
        /// The most there may be.
        limit: u32,
    },
    /// All streams together would have too many.
    #[error(transparent)]
    Account(#[from] TooManyShards),
    /// A stream cannot have so many shards, closed ones included.
    #[error(
        "there would be {found} shards, of which those that are closed stay until their records are over; the limit is {limit}"
    )]
    TooMany {
        /// How many there would be.
        found: usize,
        /// The most there may be.
        limit: usize,
    },
    /// The shards' ends could not be decided, and they go on as before.
    #[error("the ends of the shards are not decided: {reason}")]
    Undecided {
        /// Why.
        reason: String,
    },
    /// The change could not be made durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the catalog's file could not be opened or changed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error("catalog {path} is in use by another process", path = path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("catalog {path} failed: {reason}", path = path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// What the store says.
        reason: String,
    },
    /// A change failed before, and what is on disk is unknown until the catalog is opened again.
    #[error("catalog {path} takes no changes after a failed write until the server is restarted", path = path.display())]
    Poisoned {
        /// The file.
        path: PathBuf,
    },
    /// A value in the file does not decode.
    #[error("catalog {path} is damaged at {key}: {source}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Table and key.
        key: String,
        /// What is wrong with the value.
        source: DecodeError,
    },
    /// The values decode, and contradict each other.
    #[error("catalog {path} contradicts itself: {reason}", path = path.display())]
    Inconsistent {
        /// The file.
        path: PathBuf,
        /// How.
        reason: Inconsistency,
    },
}

/// How a catalog contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Inconsistency(pub String);
