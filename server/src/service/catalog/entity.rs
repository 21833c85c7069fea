//! What the catalog holds.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tidemill_storage::{KeyCompaction, Retention};
use tidemill_wire::message::Quota;
use tidemill_wire::{ShardIndex, StreamId, StreamName, Timestamp};

use crate::service::shard_definition::Shard;

/// Names a data directory among all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

/// A data directory and its lanes. Fixed when the directory is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// How many lanes it has: `LaneId(0)` up to `LaneId(lanes - 1)`.
    pub lanes: u32,
}

/// The next ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) next_stream: u64,
    pub(super) next_owner: u64,
}

/// A stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Never given to another stream, also not after this one is deleted.
    pub id: StreamId,
    /// Unique among the streams that exist.
    pub name: StreamName,
    /// When it was created.
    pub created: Timestamp,
    /// How long its records are kept; the age in whole milliseconds.
    pub retention: Retention,
    /// Rates of each shard; 0 is no limit.
    pub quota: Quota,
    /// The last record of each key is kept and no other.
    pub key_compaction: Option<KeyCompaction>,
    /// Grows with every change of the shards.
    pub map_version: u32,
    /// What its owners say about it, by key.
    pub tags: BTreeMap<String, String>,
    /// In the order of their indexes. The ranges of the open ones cover the space of hash keys.
    pub shards: Arc<[Shard]>,
}

/// Which stream a change is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamKey {
    /// Its name.
    pub name: StreamName,
    /// The one that whoever asks has looked at. Another one that has got the name since is not meant.
    pub id: Option<StreamId>,
}

impl From<StreamName> for StreamKey {
    /// Whichever stream has the name.
    fn from(name: StreamName) -> Self {
        Self { name, id: None }
    }
}

impl Stream {
    /// The index that the next shard gets. Invariant: the shard of the highest index is open, so no index is given twice.
    #[must_use]
    pub fn next_shard(&self) -> ShardIndex {
        ShardIndex(self.shards.last().map_or(0, |last| last.index.get().saturating_add(1)))
    }
}
