//! What a queue has to know of its stream.

use tidemill_wire::{LaneId, OwnerId, ShardIndex};

/// A stream as the queues over it see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Open and closed shards.
    pub shards: Vec<Place>,
    /// How long a record is there, in milliseconds; 0 for no bound.
    pub retention_ms: u64,
}

/// Where a shard's records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which of the stream.
    pub shard: ShardIndex,
    /// The lane of its log.
    pub lane: LaneId,
    /// Owner of its records there.
    pub owner: OwnerId,
    /// It takes records.
    pub is_open: bool,
}
