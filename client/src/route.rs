//! Where a stream's records go: which shard a key belongs to, and which lane serves the shard.

use std::collections::BTreeMap;

use tidemill_wire::message::{ShardState, StreamDescription};
use tidemill_wire::routing::{HashKeyRange, RoutingError, RoutingTable};
use tidemill_wire::{LaneId, ShardIndex};

/// A stream's shard map at one version.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    description: StreamDescription,
    table: RoutingTable,
    open: Vec<ShardIndex>,
    lanes: BTreeMap<ShardIndex, LaneId>,
}

impl Route {
    /// Checks that the open shards divide the key space.
    pub(crate) fn new(description: StreamDescription) -> Result<Self, RoutingError> {
        let open = || description.shards.iter().filter(|shard| shard.state == ShardState::Open);
        let table = RoutingTable::new(open().map(|shard| (shard.range, shard.index)))?;
        let shards = table.shards().collect();
        let lanes = description.shards.iter().map(|shard| (shard.index, shard.lane)).collect();
        Ok(Self { table, open: shards, lanes, description })
    }

    pub(crate) fn description(&self) -> &StreamDescription {
        &self.description
    }

    /// The shard of a partition key.
    pub(crate) fn shard_of(&self, key: &[u8]) -> ShardIndex {
        self.table.route(key)
    }

    /// The shards that take appends, in order of their keys; at least one.
    pub(crate) fn open_shards(&self) -> &[ShardIndex] {
        &self.open
    }

    pub(crate) fn is_open(&self, shard: ShardIndex) -> bool {
        self.open_range(shard).is_some()
    }

    /// The keys of an open shard.
    pub(crate) fn open_range(&self, shard: ShardIndex) -> Option<HashKeyRange> {
        let found = self.description.shards.iter().find(|candidate| candidate.index == shard)?;
        (found.state == ShardState::Open).then_some(found.range)
    }

    /// The lane that serves a shard.
    pub(crate) fn lane(&self, shard: ShardIndex) -> Option<LaneId> {
        self.lanes.get(&shard).copied()
    }
}
