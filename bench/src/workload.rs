//! What is appended: batches built before the clock starts.
//!
//! Owns record sizes, keys and data. The data is the same in every run. Batches are shared between connections, since building them takes longer
//! than a generator has while it measures.

mod noise;
mod zipf;

use std::collections::BTreeMap;

use bytes::Bytes;
use tidemill_wire::batch::{BatchBuilder, BatchView, BuildError, data_offset_of};
use tidemill_wire::message::{ShardDescription, Welcome};
use tidemill_wire::routing::{HashKey, RoutingTable};
use tidemill_wire::{LaneId, ShardIndex};

use self::noise::Noise;
use self::zipf::Zipf;
use crate::error::BenchError;
use crate::options::{Keys, Options};

/// Different batches of a pool when records differ.
const POOL_BATCHES: usize = 16;
/// Bytes of a pool, so that it stays near the processor.
const POOL_BYTES_MAX: usize = 32 << 20;
/// Records drawn for each record of a pool, before what has been drawn has to do.
const DRAWS_PER_RECORD: usize = 64;
/// Room that an append's header and message take in a frame, generously.
const HEAD_BYTES_MAX: u64 = 256;
/// `key-` and the number of a key.
const KEY_BYTES_MAX: usize = 4 + 10;
/// Keys hashed in search of one for a shard: a tenth of a second.
const KEYS_TRIED_MAX: u32 = 200_000;

/// A batch that is ready to send.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// Where it belongs.
    pub(crate) shard: ShardIndex,
    pub(crate) bytes: Bytes,
    /// Of keys and data, as stored.
    pub(crate) payload_bytes: u64,
    pub(crate) records: u32,
    /// Where the first record's data begins.
    pub(crate) data_at: usize,
}

/// The batches of a run.
pub(crate) struct Workload<'o> {
    options: &'o Options,
    /// Records of each batch.
    batch_records: u32,
    shards: Vec<ShardDescription>,
    by_shard: BTreeMap<ShardIndex, Vec<Batch>>,
    by_lane: BTreeMap<LaneId, Vec<Batch>>,
}

impl<'o> Workload<'o> {
    /// Batches of so many records for these shards, none built yet.
    pub(crate) fn new(options: &'o Options, batch_records: u32, shards: &[ShardDescription]) -> Self {
        let (by_shard, by_lane) = (BTreeMap::new(), BTreeMap::new());
        Self { options, batch_records, shards: shards.to_vec(), by_shard, by_lane }
    }

    /// What a connection that works for this shard sends, round and round: with a key for each shard only batches of the shard, else what a producer
    /// that routes by key would send to the shard's lane.
    pub(crate) fn pool(&mut self, shard: &ShardDescription) -> Result<Vec<Batch>, BenchError> {
        let weights = match self.options.keys {
            Keys::PerShard => {
                if let Some(pool) = self.by_shard.get(&shard.index) {
                    return Ok(pool.clone());
                }
                let pool = self.one_key_pool(shard)?;
                self.by_shard.insert(shard.index, pool.clone());
                return Ok(pool);
            }
            Keys::Uniform(keys) => Zipf::new(keys, 0.0),
            Keys::Zipf { keys, skew } => Zipf::new(keys, skew),
        };
        if let Some(pool) = self.by_lane.get(&shard.lane) {
            return Ok(pool.clone());
        }
        let pool = self.routed_pool(shard, &weights)?;
        self.by_lane.insert(shard.lane, pool.clone());
        Ok(pool)
    }

    fn one_key_pool(&self, shard: &ShardDescription) -> Result<Vec<Batch>, BenchError> {
        let key = key_of(shard);
        let mut noise = Noise::new(shard.index.0.into());
        let mut pool = Vec::new();
        let mut room = POOL_BYTES_MAX;
        while pool.is_empty() || pool.len() < self.pool_batches() && room > 0 {
            let mut builder = BatchBuilder::new();
            for _ in 0..self.batch_records {
                self.push(&mut builder, key.as_bytes(), &mut noise)?;
            }
            let batch = self.build(&mut builder, shard.index);
            room = room.saturating_sub(batch.bytes.len());
            pool.push(batch);
        }
        Ok(pool)
    }

    fn routed_pool(&self, near: &ShardDescription, keys: &Zipf) -> Result<Vec<Batch>, BenchError> {
        let table = RoutingTable::new(self.shards.iter().map(|shard| (shard.range, shard.index)))?;
        let lanes: BTreeMap<ShardIndex, LaneId> =
            self.shards.iter().map(|shard| (shard.index, shard.lane)).collect();
        let mut builders: BTreeMap<ShardIndex, BatchBuilder> = BTreeMap::new();
        let mut noise = Noise::new(u64::from(near.lane.0) << 32);
        let (mut pool, mut room) = (Vec::new(), POOL_BYTES_MAX);
        let draws = POOL_BATCHES * self.batch_records as usize * DRAWS_PER_RECORD;
        for _ in 0..draws {
            let key = format!("key-{}", keys.draw(noise.next()));
            let shard = table.route(key.as_bytes());
            if lanes.get(&shard) != Some(&near.lane) {
                continue;
            }
            let builder = builders.entry(shard).or_default();
            self.push(builder, key.as_bytes(), &mut noise)?;
            if builder.records() == self.batch_records {
                let batch = self.build(builder, shard);
                room = room.saturating_sub(batch.bytes.len());
                pool.push(batch);
                if pool.len() == POOL_BATCHES || room == 0 {
                    return Ok(pool);
                }
            }
        }
        let rest = builders.iter_mut().filter(|(_, builder)| !builder.is_empty());
        pool.extend(rest.map(|(shard, builder)| self.build(builder, *shard)));
        let refusal = BenchError::NoKeys { keys: self.options.keys.to_string(), lane: near.lane };
        if pool.is_empty() { Err(refusal) } else { Ok(pool) }
    }

    /// Records of one size under one key differ in nothing that a server looks at.
    fn pool_batches(&self) -> usize {
        if self.options.record_bytes.is_fixed() { 1 } else { POOL_BATCHES }
    }

    fn push(&self, builder: &mut BatchBuilder, key: &[u8], noise: &mut Noise) -> Result<(), BenchError> {
        push(self.options, self.batch_records, builder, key, noise)
    }

    fn build(&self, builder: &mut BatchBuilder, shard: ShardIndex) -> Batch {
        let bytes = builder.build(self.options.compression).expect("a batch of a pool has records");
        let view = BatchView::parse(bytes.clone()).expect("the builder writes what the view takes");
        Batch {
            shard,
            payload_bytes: view.payload_bytes() as u64,
            records: view.count(),
            data_at: data_offset_of(&bytes).expect("the builder writes what the header tells"),
            bytes,
        }
    }
}

/// Bodies of messages: letters and digits, of the sizes that are asked for.
pub(crate) fn texts(options: &Options, count: u32) -> Vec<String> {
    let mut noise = Noise::new(0);
    let mut text = || {
        let length = options.record_bytes.draw(noise.next());
        let mut bytes = vec![0; length];
        noise.fill(&mut bytes);
        bytes.iter().map(|byte| char::from(b'a' + byte % 26)).collect()
    };
    (0..count).map(|_| text()).collect()
}

/// Checks that the largest batch can be built and that the server's frames have room for it.
pub(crate) fn check_batch(options: &Options, welcome: &Welcome) -> Result<(), BenchError> {
    let mut builder = BatchBuilder::new();
    let mut noise = Noise::new(0);
    let (_, largest) = options.record_bytes.range();
    let largest = Options { record_bytes: crate::options::Sizes::Fixed(largest), ..options.clone() };
    for record in 0..options.batch_records {
        // Keys that differ take room for each record.
        let key = [b'k' + u8::from(options.keys != Keys::PerShard && record % 2 == 1); KEY_BYTES_MAX];
        push(&largest, options.batch_records, &mut builder, &key, &mut noise)?;
    }
    let bytes = builder.bytes() as u64;
    let max = u64::from(welcome.frame_bytes_max).saturating_sub(HEAD_BYTES_MAX);
    let refusal = BenchError::Option { option: "batch bytes", value: bytes, min: 1, max };
    if bytes <= max { Ok(()) } else { Err(refusal) }
}

fn push(
    options: &Options,
    batch_records: u32,
    builder: &mut BatchBuilder,
    key: &[u8],
    noise: &mut Noise,
) -> Result<(), BenchError> {
    let mut data = vec![b'.'; options.record_bytes.draw(noise.next())];
    let same = data.len() * usize::from(options.compressible_percent) / 100;
    noise.fill(&mut data[same..]);
    let fault = |source: BuildError| BenchError::Batch {
        record_bytes: options.record_bytes.to_string(),
        batch_records,
        source,
    };
    builder.push(key, &data, None).map_err(fault)
}

/// A key that the stream's routing sends to this shard. Among 4,096 even shards the search takes some thousand steps.
fn key_of(shard: &ShardDescription) -> String {
    (0..KEYS_TRIED_MAX)
        .map(|number| format!("key-{number}"))
        .find(|key| shard.range.contains(HashKey::of(key.as_bytes())))
        // A sliver of the key space; the append names its shard, so any key is stored as well.
        .unwrap_or_else(|| "key".to_owned())
}

#[cfg(test)]
mod tests;
