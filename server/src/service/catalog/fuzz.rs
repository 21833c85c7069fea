//! Fuzz targets: every value of the catalog, listed once.
//!
//! Each takes arbitrary bytes and must neither panic nor run away; what decodes comes out of its encoding again. `cargo xtask fuzz` runs them for long.

use tidemill_storage::KeyCompaction;
use tidemill_wire::{SequenceNumber, Timestamp};

use super::encoding::{
    decode_capacity, decode_commitment, decode_consumer, decode_counters, decode_node, decode_peaks,
    decode_policy, decode_queue, decode_record_size, decode_stream, decode_stream_queue, encode_capacity,
    encode_commitment, encode_consumer, encode_counters, encode_node, encode_peaks, encode_policy,
    encode_queue, encode_record_size, encode_stream, encode_stream_queue,
};
use super::entity::Counters;
use super::memory::MemoryCatalog;
use super::tests::{DEFAULTS, LIMITS, NODE, new, queues, stream_queues};
use super::{Catalog, Ends, ShardChange, Stream};
use crate::fuzzing;
use crate::service::capacity::Capacity;
use crate::service::commitment::Commitment;
use crate::service::consumer::{Consumer, ConsumerName};
use crate::service::peaks::{Peak, Peaks};

/// A target: its name and what it does with arbitrary bytes.
type Target = (&'static str, fn(&[u8]));

/// Every target.
const TARGETS: &[Target] = &[
    ("catalog_node", node),
    ("catalog_counters", counters),
    ("catalog_stream", stream),
    ("catalog_consumer", consumer),
    ("catalog_policy", policy),
    ("catalog_record_size", record_size),
    ("catalog_queue", queue),
    ("catalog_stream_queue", stream_queue),
    ("catalog_capacity", capacity),
    ("catalog_peaks", peaks),
];

fn node(input: &[u8]) {
    if let Ok(node) = decode_node(input) {
        assert_eq!(encode_node(node), input);
    }
}

fn counters(input: &[u8]) {
    if let Ok(counters) = decode_counters(input) {
        assert_eq!(encode_counters(counters), input);
    }
}

fn stream(input: &[u8]) {
    if let Ok(stream) = decode_stream(input) {
        assert!(stream.shards.len() <= input.len(), "what comes out is bounded by what went in");
        assert_eq!(decode_stream(&encode_stream(&stream)), Ok(stream));
    }
}

fn consumer(input: &[u8]) {
    if let Ok(consumer) = decode_consumer(input) {
        assert_eq!(encode_consumer(&consumer), input);
    }
}

fn policy(input: &[u8]) {
    if let Ok(policy) = decode_policy(input) {
        assert_eq!(encode_policy(&policy), input);
    }
}

fn capacity(input: &[u8]) {
    if let Ok(capacity) = decode_capacity(input) {
        assert_eq!(encode_capacity(&capacity), input);
    }
    if let Ok(commitment) = decode_commitment(input) {
        assert_eq!(encode_commitment(commitment), input);
    }
}

fn peaks(input: &[u8]) {
    if let Ok(peaks) = decode_peaks(input) {
        assert_eq!(encode_peaks(&peaks), input);
    }
}

fn record_size(input: &[u8]) {
    if let Ok(kib) = decode_record_size(input) {
        assert_eq!(encode_record_size(kib), input);
    }
}

fn queue(input: &[u8]) {
    if let Ok(queue) = decode_queue(input) {
        assert!(queue.partitions.len() <= input.len(), "what comes out is bounded by what went in");
        assert_eq!(encode_queue(&queue), input);
    }
}

fn stream_queue(input: &[u8]) {
    if let Ok(queue) = decode_stream_queue(input) {
        assert!(queue.partitions.len() <= input.len(), "what comes out is bounded by what went in");
        assert_eq!(decode_stream_queue(&encode_stream_queue(&queue)), Ok(queue));
    }
}

fn peak(day: u32) -> Peak {
    Peak { day, bytes_per_second: 3_000_000, records_per_second: 500 }
}

/// Values of each kind and version.
fn seeds() -> Vec<Vec<u8>> {
    let mut catalog = MemoryCatalog::new(NODE, LIMITS, DEFAULTS);
    let plain = catalog.create_stream(new("logs", 4), Timestamp(77)).expect("the name is free");
    let tombstone_age = std::time::Duration::from_secs(60);
    let keyed = Stream { key_compaction: Some(KeyCompaction { tombstone_age }), ..plain.clone() };
    let name = ConsumerName::new("reader").expect("a name");
    let tags = [("team".to_owned(), "tide".to_owned())].into();
    let consumer = Consumer { stream: plain.id, name, created: Timestamp(78), tags };
    let counters = encode_counters(Counters { next_stream: 3, next_owner: 9 });
    let tagged = Stream { tags: [("team".to_owned(), "tide".to_owned())].into(), ..plain.clone() };
    let change = ShardChange::Scale { shards: 6 };
    let planned = catalog.plan_reshard(&plain.name, change).expect("it is less than twice as many");
    let ends = planned.parents().iter().map(|parent| (*parent, SequenceNumber(7))).collect();
    let resharded = catalog.reshard(planned, &Ends { at: Timestamp(99), ends }).expect("memory takes it");
    let over = stream_queues::on_demand(&mut catalog, "shared");
    let over = stream_queues::new_stream_queue(over.id, "work");
    let over = catalog.create_stream_queue(over, Timestamp(79)).expect("the name is free");
    let streams = [plain, keyed, tagged, resharded];
    let streams = streams.iter().map(encode_stream);
    let others = [
        encode_node(NODE),
        counters,
        encode_consumer(&consumer),
        encode_stream_queue(&over),
        encode_policy("{\"Version\":\"2012-10-17\"}"),
        encode_record_size(2_048),
        encode_peaks(&Peaks::of(vec![peak(20_000), peak(20_007)]).expect("two days")),
        encode_commitment(Commitment { started: Timestamp(5), ended: Timestamp(6) }),
        encode_capacity(&Capacity {
            read_calls_per_second: 5,
            warm_mib_per_second: 7,
            ..Capacity::default()
        }),
    ];
    others.into_iter().chain(streams).chain(queues::samples().iter().map(encode_queue)).collect()
}

#[test]
fn fuzz_smoke() {
    let seeds = seeds();
    for (name, target) in TARGETS {
        fuzzing::run(name, *target, &seeds);
    }
}
