//! What became of a stream's records in a queue over it: events of one shard each, in the order in which they are written.

use tidemill_wire::ShardIndex;

use super::journal::{Event, Kept};

/// Where a queue over a stream keeps what it knows of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Among those that are received and acknowledged.
    Live,
    /// Among the dead letters: it was received too often.
    Dead,
}

/// A change of what a partition knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ShardEvent {
    /// What became of records of one shard on one side. Those that are moving on the live side are dead letters then.
    Of {
        /// The shard.
        shard: ShardIndex,
        /// The side.
        side: Side,
        /// The same as in a partition of messages.
        event: Event,
    },
    /// Dead letters are back among the live, as if they had never been received.
    Restored {
        /// The shard.
        shard: ShardIndex,
        /// Their numbers.
        records: Vec<u64>,
    },
    /// What is needed of all events before follows, in so many events.
    Snapshot {
        /// How many.
        parts: u64,
    },
    /// A snapshot in parts begins: pieces of all shards follow, with other events between them, up to [`Ended`](Self::Ended).
    Begun,
    /// A part of it.
    Part(Vec<Piece>),
    /// It is complete.
    Ended,
}

/// What is known of some records of a shard, of both sides: they are told of together, for a record goes from one side to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The shard.
    pub(super) shard: ShardIndex,
    /// The shard begins with this piece.
    pub(super) is_first: bool,
    /// Every live record below this was looked at.
    pub(super) live_cursor: u64,
    /// Every dead letter is below this.
    pub(super) dead_cursor: u64,
    /// Live ones that are kept in mind.
    pub(super) live: Vec<Kept>,
    /// Dead letters.
    pub(super) dead: Vec<Kept>,
}
