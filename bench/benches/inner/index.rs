//! From a number or a time to its entry, in a lane whose index is partly in memory and partly in the footers of sealed segments.
//!
//! What is measured is what a reader asks for, not a step of it: the owner, its span, the point in the footer or in memory, and the entries from there
//! to the one that is meant, each with its checksum. The pages are resident.

use std::cell::Cell;
use std::hint::black_box;

use criterion::{Criterion, Throughput};
use tidemill_storage::local::LocalEnv;
use tidemill_storage::{Lane, LaneConfig, Retention};
use tidemill_wire::batch::{BatchBuilder, Compression};
use tidemill_wire::entry::EntryHeader;
use tidemill_wire::message::Ack;
use tidemill_wire::{LaneId, OwnerId, SequenceNumber};

use crate::{Digest, Scale, group};

/// Owners whose entries alternate, so that each has a point in every segment.
const OWNERS: u64 = 64;
/// Entries that are queued before their answers are awaited: fewer than the smallest lane refuses.
const QUEUED: usize = 64;
/// Small, so that there are several; no test writes as much.
const SEGMENT_BYTES: u64 = 32 << 20;
/// A step through the numbers that has no factor in common with their count.
const STRIDE: u64 = 7_919;

pub(crate) fn lookups(criterion: &mut Criterion, scale: Scale, digest: &mut Digest) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory to write in");
    let path = directory.path().join("lane");
    let (config, rounds) = if scale.is_tiny {
        (LaneConfig::test_min(path, LaneId(0)), 16)
    } else {
        (
            LaneConfig {
                segment_bytes: SEGMENT_BYTES,
                entry_bytes_max: SEGMENT_BYTES / 4,
                ..LaneConfig::production(path, LaneId(0))
            },
            2_048,
        )
    };
    let env = LocalEnv::new().expect("a ring");
    let (lane, _) = env.block_on(Lane::open(env.clone(), config)).expect("a fresh lane opens");
    fill(&env, &lane, scale, rounds);
    assert!(lane.stats().segments_sealed > 1, "part of the index is in footers: {:?}", lane.stats());

    let fetch = |owner, number| env.block_on(lane.fetch(OwnerId(owner), SequenceNumber(number), 1));
    // Every place of a few owners, so that a wrong span or point shows.
    for owner in [1, OWNERS] {
        for number in 0..rounds {
            let fetched = fetch(owner, number).expect("a number that was given out");
            let entry = fetched.entries.first().expect("its entry");
            let header = EntryHeader::verify(entry).expect("a stored entry");
            assert_eq!((header.owner, header.base_sequence), (OwnerId(owner), SequenceNumber(number)));
            digest.add(&number.to_le_bytes());
        }
    }
    let turn = Cell::new(0_u64);
    let place = || {
        turn.set(turn.get() + STRIDE);
        (1 + turn.get() % OWNERS, turn.get() % rounds)
    };
    let mut group = group(criterion, "index", Throughput::Elements(1));
    group.bench_function("entry of a number", |bencher| {
        bencher.iter(|| {
            let (owner, number) = place();
            fetch(black_box(owner), black_box(number)).expect("a number that was given out")
        });
    });
    group.bench_function("number of a time", |bencher| {
        let first = fetch(1, 0).expect("the oldest entry");
        let time = EntryHeader::verify(&first.entries[0]).expect("a stored entry").append_time;
        bencher.iter(|| {
            let (owner, number) = place();
            let time = tidemill_wire::Timestamp(time.0 + number);
            env.block_on(lane.sequence_at(OwnerId(black_box(owner)), black_box(time)))
                .expect("an adopted owner")
        });
    });
    group.bench_function("end of an owner", |bencher| {
        bencher.iter(|| {
            let fetched = fetch(black_box(place().0), black_box(rounds)).expect("the next number");
            assert!(fetched.entries.is_empty(), "nothing is behind the end");
        });
    });
    group.finish();
    env.block_on(lane.close());
}

/// Gives each owner an entry of one record in each round.
fn fill(env: &LocalEnv, lane: &Lane<LocalEnv>, scale: Scale, rounds: u64) {
    let mut builder = BatchBuilder::new();
    builder.push(b"key-1", &vec![b'x'; scale.record_bytes], None).expect("the scale fits a batch");
    let payload = builder.build(Compression::None).expect("a batch has records");
    for owner in 1..=OWNERS {
        lane.adopt(OwnerId(owner), Retention::FOREVER);
    }
    let owners: Vec<u64> = (0..rounds).flat_map(|_| 1..=OWNERS).collect();
    for some in owners.chunks(QUEUED) {
        env.block_on(async {
            let queued: Vec<_> = some
                .iter()
                .map(|owner| lane.append(OwnerId(*owner), payload.clone(), 1, Ack::Written))
                .collect();
            for appended in queued {
                appended.await.expect("a healthy lane takes what its queue has room for");
            }
        });
    }
}
