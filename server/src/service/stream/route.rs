//! Divides a batch among the shards by the MD5 of each record's partition key, as Kinesis does.
//!
//! Promises that a batch whose records all belong to one shard is passed on whole and unchanged, and that records keep their
//! order within a shard. Records without a key go to one shard together, another one for each batch.

use tidemill_wire::ShardIndex;
use tidemill_wire::batch::{BatchBuilder, BatchView, Compression};
use tidemill_wire::routing::RoutingTable;

use bytes::Bytes;

use super::error::RouteError;

/// The records of a batch that go to one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The shard.
    pub shard: ShardIndex,
    /// A batch of them.
    pub batch: Bytes,
    /// How many.
    pub records: u32,
    /// Bytes of their keys and data.
    pub payload_bytes: u64,
}

/// A batch, divided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// One part for each shard that gets records.
    pub parts: Vec<Part>,
    /// Record `i` of the batch is in `parts[part_of[i]]`.
    pub part_of: Vec<u16>,
}

/// Divides a batch. `turn` chooses the shard of the records without a key.
pub fn route(table: &RoutingTable, batch: &BatchView, turn: u32) -> Result<Routed, RouteError> {
    if let Some(key) = batch.one_key() {
        return Ok(whole(batch, route_key(table, key, turn)));
    }
    let mut shards: Vec<ShardIndex> = Vec::new();
    let mut part_of = Vec::with_capacity(batch.count() as usize);
    let mut previous: Option<(&[u8], u16)> = None;
    for index in 0..batch.count() {
        let key = batch.key(index);
        let part = match previous {
            Some((same, part)) if same == key => part,
            _ => part_number(&mut shards, route_key(table, key, turn)),
        };
        previous = Some((key, part));
        part_of.push(part);
    }
    match shards.as_slice() {
        [only] => Ok(whole(batch, *only)),
        _ => divide(batch, &shards, part_of),
    }
}

fn route_key(table: &RoutingTable, key: &[u8], turn: u32) -> ShardIndex {
    if !key.is_empty() {
        return table.route(key);
    }
    let shards = table.shards();
    let nth = turn as usize % shards.len();
    table
        .shards()
        .nth(nth)
        .expect("a remainder is below the number of shards, and a routing table has at least one")
}

/// Shards of one batch are few, so a walk is cheaper than a map; a stream's shards are counted in 16 bits.
fn part_number(shards: &mut Vec<ShardIndex>, shard: ShardIndex) -> u16 {
    let at = shards.iter().position(|known| *known == shard).unwrap_or_else(|| {
        shards.push(shard);
        shards.len() - 1
    });
    u16::try_from(at).expect("a batch has at most 65,536 records, and each adds at most one part")
}

fn whole(batch: &BatchView, shard: ShardIndex) -> Routed {
    let part = Part {
        shard,
        batch: batch.bytes().clone(),
        records: batch.count(),
        payload_bytes: batch.payload_bytes() as u64,
    };
    Routed { parts: vec![part], part_of: vec![0; batch.count() as usize] }
}

fn divide(batch: &BatchView, shards: &[ShardIndex], part_of: Vec<u16>) -> Result<Routed, RouteError> {
    if batch.compression() != Compression::None {
        return Err(RouteError::Compressed);
    }
    let records = batch.records().map_err(|_| RouteError::Compressed)?;
    let mut builders: Vec<BatchBuilder> = shards.iter().map(|_| BatchBuilder::new()).collect();
    for (record, part) in records.zip(&part_of) {
        builders[usize::from(*part)].push(&record.key, &record.data, record.timestamp)?;
    }
    let parts = shards.iter().zip(&mut builders).map(|(shard, builder)| {
        let (records, payload_bytes) = (builder.records(), builder.payload_bytes() as u64);
        let batch = builder.build(Compression::None).expect("a part exists because a record is in it");
        Part { shard: *shard, batch, records, payload_bytes }
    });
    Ok(Routed { parts: parts.collect(), part_of })
}
