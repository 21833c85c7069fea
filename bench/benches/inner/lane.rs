//! Append and fetch of a lane on the real disk, without a server around it.

use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use tidemill_storage::local::LocalEnv;
use tidemill_storage::{Lane, LaneConfig, Retention};
use tidemill_wire::message::Ack;
use tidemill_wire::{LaneId, OwnerId, SequenceNumber};

use crate::{Digest, Scale, batch, group};

const OWNER: OwnerId = OwnerId(1);
/// Appends that wait at the same time, so that a flush has more than one to carry.
const IN_FLIGHT: usize = 16;
/// Small enough that segments are recycled within a run.
const SEGMENT_BYTES: u64 = 64 << 20;
/// Bytes kept, so that a long run stays small on disk.
const RETENTION_BYTES: u64 = 256 << 20;

pub(crate) fn lanes(criterion: &mut Criterion, scale: Scale, digest: &mut Digest) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory to write in");
    let config = if scale.is_tiny {
        LaneConfig::test_min(directory.path().join("lane"), LaneId(0))
    } else {
        let production = LaneConfig::production(directory.path().join("lane"), LaneId(0));
        LaneConfig { segment_bytes: SEGMENT_BYTES, upkeep_interval: Duration::from_secs(1), ..production }
    };
    let env = LocalEnv::new().expect("a ring");
    let (lane, _) = env.block_on(Lane::open(env.clone(), config)).expect("a fresh lane opens");
    lane.adopt(OWNER, Retention { age: Duration::MAX, bytes: Some(RETENTION_BYTES) });

    let payload = batch(scale);
    // What is fetched and checked is there also where a filter leaves the appends out.
    env.block_on(append_some(&lane, &payload, scale, Ack::Written));
    let bytes = (payload.len() * IN_FLIGHT) as u64;
    let mut group = group(criterion, "lane", Throughput::Bytes(bytes));
    append(&mut group, &env, &lane, &payload, scale, Ack::Written);
    append(&mut group, &env, &lane, &payload, scale, Ack::Durable);
    fetch(&mut group, &env, &lane, payload.len() * IN_FLIGHT);
    group.finish();

    let oldest = lane.bounds(OWNER).expect("an adopted owner").oldest;
    let fetched = env.block_on(lane.fetch(OWNER, oldest, 1)).expect("what was appended");
    let run = fetched.entries.first().expect("the oldest entry");
    let stored =
        run.get(tidemill_wire::entry::ENTRY_HEADER_BYTES..).and_then(|rest| rest.get(..payload.len()));
    assert_eq!(stored, Some(&payload[..]), "the lane gives back what it took");
    digest.add(&payload);
    env.block_on(lane.close());
}

fn append(
    group: &mut BenchmarkGroup<'_, WallTime>,
    env: &LocalEnv,
    lane: &Lane<LocalEnv>,
    payload: &Bytes,
    scale: Scale,
    ack: Ack,
) {
    group.bench_function(format!("append {IN_FLIGHT} {ack:?}").to_lowercase(), |bencher| {
        bencher.iter(|| env.block_on(append_some(lane, payload, scale, ack)));
    });
}

async fn append_some(lane: &Lane<LocalEnv>, payload: &Bytes, scale: Scale, ack: Ack) {
    let queued: Vec<_> =
        (0..IN_FLIGHT).map(|_| lane.append(OWNER, payload.clone(), scale.records, ack)).collect();
    for appended in queued {
        appended.await.expect("a healthy lane takes what its queue has room for");
    }
}

/// Reads forward, and from the oldest again at the end.
fn fetch(group: &mut BenchmarkGroup<'_, WallTime>, env: &LocalEnv, lane: &Lane<LocalEnv>, bytes_max: usize) {
    let from = Cell::new(SequenceNumber(0));
    group.bench_function("fetch", |bencher| {
        bencher.iter(|| {
            let fetched =
                env.block_on(lane.fetch(OWNER, from.get(), bytes_max)).expect("a place within the lane");
            from.set(if fetched.next >= fetched.end { SequenceNumber(0) } else { fetched.next });
            fetched.bytes
        });
    });
}
