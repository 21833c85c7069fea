//! What a stream is: shared by all cores and replaced whole when it changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemill_storage::{KeyCompaction, Retention};
use tidemill_wire::message::Quota;
use tidemill_wire::routing::{RoutingError, RoutingTable};
use tidemill_wire::{ShardIndex, StreamId, StreamName, Timestamp};

use crate::service::capacity::Capacity;
use crate::service::consumer::Consumers;
use crate::service::shard_definition::Shard;

/// A stream as it is defined, without what its shards hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Names the stream in requests.
    pub id: StreamId,
    /// Its name.
    pub name: StreamName,
    /// When it was created.
    pub created: Timestamp,
    /// How long records are kept.
    pub retention: Retention,
    /// Rates of each shard.
    pub quota: Quota,
    /// The last record of each key is kept and no other.
    pub key_compaction: Option<KeyCompaction>,
    /// Grows with each change of the shards.
    pub map_version: u32,
    /// What its owners say about it, by key.
    pub tags: BTreeMap<String, String>,
    /// Who is registered to read it.
    pub consumers: Consumers,
    /// KiB that a record may have, key and data, for the protocols that have such a bound.
    pub record_kib: u32,
    /// What it may take and give beyond the rates of its shards.
    pub capacity: Capacity,
    /// Open and closed shards, by index: those of the catalog, in the same memory.
    shards: Arc<[Shard]>,
    routing: RoutingTable,
}

/// The parts of a definition beside its shards.
#[derive(Clone, Debug)]
pub struct Attributes {
    /// Names the stream in requests.
    pub id: StreamId,
    /// Its name.
    pub name: StreamName,
    /// When it was created.
    pub created: Timestamp,
    /// How long records are kept.
    pub retention: Retention,
    /// Rates of each shard.
    pub quota: Quota,
    /// The last record of each key is kept and no other.
    pub key_compaction: Option<KeyCompaction>,
    /// Grows with each change of the shards.
    pub map_version: u32,
    /// What its owners say about it, by key.
    pub tags: BTreeMap<String, String>,
    /// Who is registered to read it.
    pub consumers: Consumers,
    /// KiB that a record may have, key and data, for the protocols that have such a bound.
    pub record_kib: u32,
    /// What it may take and give beyond the rates of its shards.
    pub capacity: Capacity,
}

impl Definition {
    /// Puts a definition together and checks that the open shards' ranges cover the space of keys.
    /// The shards are in the order of their indexes.
    pub fn new(attributes: Attributes, shards: Arc<[Shard]>) -> Result<Self, RoutingError> {
        let open = shards.iter().filter(|shard| shard.is_open());
        let routing = RoutingTable::new(open.map(|shard| (shard.range, shard.index)))?;
        let Attributes {
            id,
            name,
            created,
            retention,
            quota,
            key_compaction,
            map_version,
            tags,
            consumers,
            record_kib,
            capacity,
        } = attributes;
        Ok(Self {
            id,
            name,
            created,
            retention,
            quota,
            key_compaction,
            map_version,
            tags,
            consumers,
            record_kib,
            capacity,
            shards,
            routing,
        })
    }

    /// How long records are kept, in milliseconds; 0 for no bound.
    #[must_use]
    pub fn retention_ms(&self) -> u64 {
        u64::try_from(self.retention.age.as_millis()).map_or(0, |age| if age == u64::MAX { 0 } else { age })
    }

    /// Every shard, by index.
    #[must_use]
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// Where a shard is among all of them.
    #[must_use]
    pub fn position(&self, index: ShardIndex) -> Option<usize> {
        // Indexes are dense until the first shard is dropped from the catalog, so the first look nearly always hits.
        let guess = index.0 as usize;
        if self.shards.get(guess).is_some_and(|shard| shard.index == index) {
            return Some(guess);
        }
        self.shards.binary_search_by_key(&index, |shard| shard.index).ok()
    }

    /// The shard of this index.
    #[must_use]
    pub fn shard(&self, index: ShardIndex) -> Option<&Shard> {
        self.shards.get(self.position(index)?)
    }

    /// How many shards take appends.
    #[must_use]
    pub fn open_shards(&self) -> usize {
        self.routing.shards().len()
    }

    /// The shards that go on where a closed one ends.
    pub fn children(&self, parent: ShardIndex) -> impl Iterator<Item = &Shard> {
        let is_child =
            move |shard: &&Shard| shard.parent == Some(parent) || shard.adjacent_parent == Some(parent);
        self.shards.iter().filter(is_child)
    }

    /// Which open shard takes which key.
    #[must_use]
    pub fn routing(&self) -> &RoutingTable {
        &self.routing
    }
}
