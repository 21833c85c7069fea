//! What became of a stream's records in a queue over it: events of one shard each, in the order in which they are written.

use tidemill_wire::ShardIndex;

use super::journal::Event;

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
}
