//! What a queue over a stream is: shared by all cores and replaced whole when it changes. Apart from [`queue`](super::queue), for the catalog stores it.
//!
//! Consumers share the records of one stream, acknowledge them, and get those again that they have not acknowledged in time. The queue has no records of its own.

use std::collections::BTreeMap;

use tidemill_wire::{LaneId, OwnerId, QueueId, ShardIndex, StreamId, Timestamp};

use super::consumer::ConsumerName;

/// How long a record is hidden if nobody says so.
pub const VISIBILITY_S: u32 = 30;
/// How often a record is received before it is a dead letter, if nobody says so.
pub const RECEIVES_MAX: u32 = 6;

/// A queue over a stream as it is defined, without what became of the records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamQueue {
    /// Names the queue within the node; no other queue or stream has it.
    pub id: QueueId,
    /// Unique among the queues over streams that exist; the rules are those for the names of consumers.
    pub name: ConsumerName,
    /// Whose records it gives.
    pub stream: StreamId,
    /// When it was created.
    pub created: Timestamp,
    /// Where it begins in the shards that the stream had then.
    pub start: Start,
    /// The shard that the stream was to open next then: of this one and those after it the queue gives all records.
    pub next_shard: ShardIndex,
    /// How it works.
    pub settings: StreamQueueSettings,
    /// What its owners say about it, by key.
    pub tags: BTreeMap<String, String>,
    /// One in every lane, for the shards that are there.
    pub partitions: Vec<StreamQueuePartition>,
}

/// Where a queue begins in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record that is there.
    Oldest,
    /// With the records that arrive after it was created.
    Newest,
    /// With the records that arrived at that time or later.
    At(Timestamp),
}

/// How a queue over a stream works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamQueueSettings {
    /// Seconds that a record is hidden after it was received.
    pub visibility_s: u32,
    /// Receives after which a record is a dead letter; nothing if it never is.
    pub receives_max: Option<u32>,
}

/// What is to become of the settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamQueueChange {
    /// Seconds that a record is hidden.
    pub visibility_s: Option<u32>,
    /// Receives after which a record is a dead letter, if it ever is.
    pub receives_max: Option<Option<u32>>,
}

/// The part of a queue for the shards of one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamQueuePartition {
    /// The lane.
    pub lane: LaneId,
    /// Owner of what became of the records, in the lane's log.
    pub journal: OwnerId,
}

impl Default for StreamQueueSettings {
    fn default() -> Self {
        Self { visibility_s: VISIBILITY_S, receives_max: Some(RECEIVES_MAX) }
    }
}

impl StreamQueueChange {
    /// Settings with this change.
    #[must_use]
    pub fn apply(self, settings: StreamQueueSettings) -> StreamQueueSettings {
        StreamQueueSettings {
            visibility_s: self.visibility_s.unwrap_or(settings.visibility_s),
            receives_max: self.receives_max.unwrap_or(settings.receives_max),
        }
    }
}
