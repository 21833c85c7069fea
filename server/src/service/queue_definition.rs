//! What a queue is: shared by all cores and replaced whole when it changes. Apart from [`queue`](super::queue), for the catalog stores it.

use std::collections::BTreeMap;

use tidemill_wire::{LaneId, OwnerId, Timestamp};

pub use tidemill_wire::ids::QueueNameError;
pub use tidemill_wire::message::{Allow, Fifo, QueueSettings, Redrive, Scope, ThroughputLimit};
pub use tidemill_wire::{QueueId, QueueName};

/// A queue as it is defined, without what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Names the queue within the node.
    pub id: QueueId,
    /// Unique among the queues that exist.
    pub name: QueueName,
    /// When it was created.
    pub created: Timestamp,
    /// When its settings were changed last.
    pub modified: Timestamp,
    /// How it works.
    pub settings: QueueSettings,
    /// What its owners say about it, by key.
    pub tags: BTreeMap<String, String>,
    /// Each in a lane of its own. A FIFO queue without high throughput has one.
    pub partitions: Vec<Partition>,
}

impl Definition {
    /// Whether order is kept, and sent twice is sent once.
    #[must_use]
    pub fn is_fifo(&self) -> bool {
        self.settings.fifo.is_some()
    }
}

/// A part of a queue in one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The lane.
    pub lane: LaneId,
    /// Owner of the messages in the lane's log.
    pub messages: OwnerId,
    /// Owner of what became of them.
    pub journal: OwnerId,
}
