//! Batches are what was asked for: sizes, keys and where they go.

use std::collections::BTreeMap;

use tidemill_wire::batch::{BatchView, Compression};
use tidemill_wire::message::{ShardDescription, ShardState};
use tidemill_wire::routing::{HashKey, HashKeyRange};
use tidemill_wire::{LaneId, SequenceNumber, ShardIndex};

use super::Workload;
use super::noise::Noise;
use super::zipf::Zipf;
use crate::options::{Keys, Options, Sizes};

/// Even shards, dealt out to two lanes.
fn shards(count: u32) -> Vec<ShardDescription> {
    let shard = |(index, range): (u32, HashKeyRange)| ShardDescription {
        index: ShardIndex(index),
        lane: LaneId(index % 2),
        range,
        state: ShardState::Open,
        oldest_sequence: SequenceNumber(0),
        next_sequence: SequenceNumber(0),
        bytes: 0,
        parent: None,
        adjacent_parent: None,
    };
    (0..).zip(HashKeyRange::split_evenly(count)).map(shard).collect()
}

fn options(change: impl FnOnce(&mut Options)) -> Options {
    let mut options = Options::new("localhost:1", "bench".parse().unwrap());
    (options.record_bytes, options.batch_records) = (Sizes::Fixed(100), 20);
    change(&mut options);
    options
}

#[test]
fn every_record_is_routed_to_the_shard_that_its_batch_names() {
    let shards = shards(4);
    for keys in [Keys::PerShard, Keys::Uniform(1_000), Keys::Zipf { keys: 1_000, skew: 1.1 }] {
        let options = options(|o| o.keys = keys);
        let mut workload = Workload::new(&options, options.batch_records, &shards);
        for shard in &shards {
            for batch in workload.pool(shard).unwrap() {
                let range = shards[batch.shard.0 as usize].range;
                assert_eq!(shards[batch.shard.0 as usize].lane, shard.lane, "{keys}");
                let view = BatchView::parse(batch.bytes.clone()).unwrap();
                assert!(
                    (0..view.count()).all(|record| range.contains(HashKey::of(view.key(record)))),
                    "{keys}"
                );
                assert_eq!((batch.records, batch.payload_bytes), (20, view.payload_bytes() as u64));
            }
        }
    }
}

#[test]
fn sizes_vary_within_their_range_and_data_begins_where_it_is_said_to() {
    let options = options(|o| o.record_bytes = Sizes::Uniform(10, 50));
    let pool = Workload::new(&options, 20, &shards(1)).pool(&shards(1)[0]).unwrap();
    let mut seen = BTreeMap::new();
    for batch in &pool {
        let view = BatchView::parse(batch.bytes.clone()).unwrap();
        for (number, record) in view.records().unwrap().enumerate() {
            *seen.entry(record.data.len()).or_insert(0) += 1;
            if number == 0 {
                assert_eq!(batch.bytes[batch.data_at..][..record.data.len()], record.data);
            }
        }
    }
    assert!(seen.keys().all(|bytes| (10..=50).contains(bytes)) && seen.len() > 20, "{seen:?}");
}

#[test]
fn the_compressible_share_is_what_compression_saves() {
    let stored = |percent| {
        let options = options(|o| {
            (o.compressible_percent, o.compression, o.record_bytes) =
                (percent, Compression::Zstd, Sizes::Fixed(1_000));
        });
        Workload::new(&options, 20, &shards(1)).pool(&shards(1)[0]).unwrap()[0].payload_bytes
    };
    assert!(stored(0) > 19_000, "noise stays as long as it is");
    assert!((8_000..12_000).contains(&stored(50)), "{}", stored(50));
}

#[test]
fn the_first_keys_of_a_zipf_distribution_come_most_often() {
    let draw = |skew| {
        let (zipf, mut noise) = (Zipf::new(100, skew), Noise::new(1));
        let mut counts = vec![0_u32; 100];
        (0..100_000).for_each(|_| counts[zipf.draw(noise.next())] += 1);
        counts
    };
    let even = draw(0.0);
    assert!(even.iter().all(|count| (800..1_200).contains(count)), "{even:?}");
    let skewed = draw(1.0);
    // The harmonic number of 100 is 5.19.
    assert!((18_500..20_000).contains(&skewed[0]), "{}", skewed[0]);
    assert!((9_000..10_300).contains(&skewed[1]), "{}", skewed[1]);
}
