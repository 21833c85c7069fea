//! What a shard is: stored by the catalog and held by all cores, so that the memory is shared between them.

use tidemill_wire::message::ShardState;
use tidemill_wire::routing::HashKeyRange;
use tidemill_wire::{LaneId, OwnerId, SequenceNumber, ShardIndex, Timestamp};

/// A shard as it is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its number in the stream.
    pub index: ShardIndex,
    /// Owner of its entries in the lane's log. Never given to anybody else.
    pub owner: OwnerId,
    /// The lane of that log.
    pub lane: LaneId,
    /// The hash keys whose records it takes, or took.
    pub range: HashKeyRange,
    /// Since when it takes appends.
    pub opened: Timestamp,
    /// Its end, if it takes no more appends.
    pub closed: Option<ShardEnd>,
    /// The shard it was split from, or the first that it was merged from.
    pub parent: Option<ShardIndex>,
    /// The second shard that it was merged from.
    pub adjacent_parent: Option<ShardIndex>,
}

/// The end of a shard. Decided once, with all that the shard has acknowledged before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardEnd {
    /// When it was closed; nothing in the shard is younger.
    pub at: Timestamp,
    /// The number after its last record.
    pub next: SequenceNumber,
}

impl Shard {
    /// Whether it takes appends.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// The same in the words of the wire.
    #[must_use]
    pub fn state(&self) -> ShardState {
        if self.is_open() { ShardState::Open } else { ShardState::Closed }
    }
}
