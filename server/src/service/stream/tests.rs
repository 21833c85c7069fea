//! Tests of `service::stream`: what is decided without a lane, and waits and refusals over one in the simulator.

mod reshard;
mod seats;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_lite::FutureExt;
use proptest::prelude::*;
use tidemill_storage::sim::{Faults, Sim, SimEnv};
use tidemill_storage::{AppendSink, Appended, Env, Fetched, Lane, LaneConfig, Retention, Settled};
use tidemill_wire::batch::{BatchBuilder, BatchView, Compression, payload_bytes_of};
use tidemill_wire::entry::{EntryHeader, EntryKind};
use tidemill_wire::message::{Ack, Position, Quota};
use tidemill_wire::routing::{HashKeyRange, RoutingTable};
use tidemill_wire::{LaneId, OwnerId, SequenceNumber, ShardIndex, StreamId, StreamName, Timestamp};

use super::*;
use crate::service::capacity::Capacity;
use crate::service::quota::ShardQuota;

fn table(shards: u32) -> RoutingTable {
    let ranges = HashKeyRange::split_evenly(shards).into_iter().zip((0..).map(ShardIndex));
    RoutingTable::new(ranges).expect("an even split")
}

fn view(records: &[(String, String)]) -> BatchView {
    let mut builder = BatchBuilder::new();
    for (key, data) in records {
        builder.push(key.as_bytes(), data.as_bytes(), None).expect("a small batch");
    }
    BatchView::parse(builder.build(Compression::None).expect("records")).expect("a batch")
}

proptest! {
    /// The parts hold each record once, in order, where its key leads.
    #[test]
    fn a_divided_batch_is_the_batch(
        records in prop::collection::vec(("[a-d]{0,2}", "[x-z]{0,4}"), 1..80),
        shards in 1_u32..9,
        turn: u32,
    ) {
        let (table, batch) = (table(shards), view(&records));
        let routed = route(&table, &batch, turn).expect("an uncompressed batch");
        prop_assert_eq!(routed.part_of.len(), records.len());
        let mut parts: Vec<_> = routed
            .parts
            .iter()
            .map(|part| {
                let view = BatchView::parse(part.batch.clone()).expect("a batch");
                assert_eq!(view.count(), part.records);
                assert_eq!(view.payload_bytes() as u64, part.payload_bytes);
                (part.shard, view.into_records().expect("readable"))
            })
            .collect();
        for ((key, data), part) in records.iter().zip(&routed.part_of) {
            let (shard, rest) = &mut parts[usize::from(*part)];
            let wanted = if key.is_empty() { ShardIndex(turn % shards) } else { table.route(key.as_bytes()) };
            prop_assert_eq!(*shard, wanted);
            let record = rest.next().expect("as many records as were put in");
            prop_assert_eq!((&record.key[..], &record.data[..]), (key.as_bytes(), data.as_bytes()));
        }
        for (_, mut rest) in parts {
            prop_assert_eq!(rest.next(), None);
        }
    }
}

#[test]
fn a_batch_for_one_shard_is_not_copied() {
    let batch = view(&[("a".into(), "1".into()), ("a".into(), "2".into())]);
    let routed = route(&table(4), &batch, 0).expect("one shard");
    assert_eq!(routed.parts[0].batch.as_ptr(), batch.bytes().as_ptr());
    let batch = view(&[("a".into(), "1".into()), ("b".into(), "2".into())]);
    let routed = route(&table(1), &batch, 0).expect("one shard");
    assert_eq!(routed.parts[0].batch.as_ptr(), batch.bytes().as_ptr());
}

/// Entries of one record each with so many bytes of data, in runs of two.
fn fetched(sizes: &[usize]) -> Fetched {
    let entry = |(number, size): (u64, &usize)| {
        let mut builder = BatchBuilder::new();
        builder.push(b"", &vec![7; *size], None).expect("a small batch");
        let payload = builder.build(Compression::None).expect("a record");
        let header = EntryHeader {
            length: u32::try_from(64 + payload.len()).expect("small"),
            kind: EntryKind::Batch,
            key_id: 0,
            record_count: 1,
            owner: OwnerId(1),
            base_sequence: SequenceNumber(10 + number),
            append_time: Timestamp(0),
            segment_epoch: 0,
            durable_before: 0,
        };
        let mut bytes = header.encode(&payload).to_vec();
        bytes.extend_from_slice(&payload);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    };
    let entries: Vec<Vec<u8>> = (0..).zip(sizes).map(entry).collect();
    let runs: Vec<Bytes> = entries.chunks(2).map(|run| Bytes::from(run.concat())).collect();
    let end = SequenceNumber(10 + sizes.len() as u64);
    Fetched {
        bytes: runs.iter().map(Bytes::len).sum(),
        entries: runs,
        from: SequenceNumber(10),
        next: end,
        oldest: SequenceNumber(0),
        end,
    }
}

#[test]
fn a_fetch_is_cut_to_the_quota_and_charged_once() {
    let mut quota = ShardQuota::new(Quota { read_bytes_per_second: 1_000, ..Quota::OFF });
    let mut first = fetched(&[300, 300, 300, 300, 300]);
    pace::admit(&mut quota, 0, ReadKind::Flow, &mut first).expect("a full bucket");
    assert_eq!((first.next.0, first.entries.len()), (13, 2));
    assert_eq!(first.bytes, first.entries.iter().map(Bytes::len).sum::<usize>());
    let last = first.entries.last().expect("two runs");
    assert_eq!(payload_bytes_of(&last[64..]), Some(300));
    // 100 are left: the next entry has to wait for 200 more.
    let wait =
        pace::admit(&mut quota, 0, ReadKind::Flow, &mut fetched(&[300])).expect_err("too little is left");
    assert_eq!(wait.ns, 200_000_000);
    let mut next = fetched(&[300]);
    pace::admit(&mut quota, wait.ns, ReadKind::Flow, &mut next).expect("after the wait");
    assert_eq!(next.next.0, 11);
    pace::admit(&mut quota, wait.ns, ReadKind::Flow, &mut fetched(&[1])).expect_err("everything is spent");
}

#[test]
fn an_entry_over_the_burst_passes_when_the_bucket_is_full() {
    let mut quota = ShardQuota::new(Quota { read_bytes_per_second: 1_000, ..Quota::OFF });
    let mut large = fetched(&[5_000, 10]);
    pace::admit(&mut quota, 0, ReadKind::Flow, &mut large).expect("a full bucket");
    assert_eq!(large.next.0, 11);
    let wait = pace::admit(&mut quota, 0, ReadKind::Flow, &mut fetched(&[1])).expect_err("in debt");
    assert_eq!(wait.ns, 4_001_000_000);
}

#[test]
fn without_a_quota_everything_passes_unchanged() {
    let mut quota = ShardQuota::new(Quota::OFF);
    let mut all = fetched(&[1_000_000; 7]);
    let before = all.clone();
    pace::admit(&mut quota, 0, ReadKind::Flow, &mut all).expect("no quota");
    assert_eq!((all.entries, all.bytes, all.next), (before.entries, before.bytes, before.next));
}

const STREAM: StreamId = StreamId(7);
const SHARD: ShardIndex = ShardIndex(0);

/// One stream of one shard over a lane of the simulator.
async fn streams(env: &SimEnv, retention: Retention, quota: Quota) -> Streams<SimEnv> {
    let config = LaneConfig::test_min("/lane".into(), LaneId(0));
    let (lane, _) = Lane::open(env.clone(), config).await.expect("an empty lane");
    let streams = Streams::new(env.clone(), [(LaneId(0), lane)], 10);
    let name = StreamName::new("one").expect("a name");
    let attributes = Attributes {
        id: STREAM,
        name,
        created: Timestamp(0),
        retention,
        quota,
        key_compaction: None,
        map_version: 0,
        tags: std::collections::BTreeMap::new(),
        consumers: std::collections::BTreeMap::new(),
        record_kib: 1_024,
        capacity: Capacity::default(),
    };
    let shard = Shard {
        index: SHARD,
        owner: OwnerId(1),
        lane: LaneId(0),
        range: HashKeyRange::split_evenly(1)[0],
        opened: Timestamp(0),
        closed: None,
        parent: None,
        adjacent_parent: None,
    };
    streams
        .take_in(&Arc::new(Definition::new(attributes, Arc::new([shard])).expect("one shard has all keys")));
    streams
}

#[test]
fn a_stream_takes_records_before_it_can_be_found_by_its_name() {
    let sim = Sim::new(1);
    let env = sim.env();
    let done = sim.run(async {
        let streams = streams(&env, Retention::FOREVER, Quota::OFF).await;
        let name = StreamName::new("one").expect("a name");
        append(&streams, 100, 1).await.expect("stored");
        assert!(streams.named(&name).is_none());
        assert_eq!(streams.list(None, 10), (Vec::new(), false));
        streams.name(STREAM);
        assert_eq!(streams.named(&name).map(|stream| stream.definition().id), Some(STREAM));
        streams.forget(STREAM);
        streams.name(STREAM);
        assert!(streams.named(&name).is_none(), "a stream that is gone stays so");
    });
    assert!(done.is_some());
}

async fn append(
    streams: &Streams<SimEnv>,
    bytes: usize,
    records: u32,
) -> Result<SequenceNumber, AppendError> {
    let batch = Bytes::from(vec![7; bytes]);
    let payload_bytes = bytes as u64;
    let append = Append { stream: STREAM, shard: SHARD, ack: Ack::Durable, batch, records, payload_bytes };
    let told = Rc::<Told>::default();
    let charge = streams.append(append, Rc::<Told>::clone(&told), 5)?;
    let outcome = told.arrived.recv().await.expect("the sink lives");
    Ok(charge.settle(&outcome)?.base_sequence)
}

/// Hears of one append.
struct Told {
    arriving: async_channel::Sender<Result<Appended, tidemill_storage::AppendError>>,
    arrived: async_channel::Receiver<Result<Appended, tidemill_storage::AppendError>>,
}

impl Default for Told {
    fn default() -> Self {
        let (arriving, arrived) = async_channel::bounded(1);
        Self { arriving, arrived }
    }
}

impl AppendSink for Told {
    fn settle(&self, settled: &[Settled]) {
        let [Settled { token: 5, outcome }] = settled else { panic!("{settled:?}") };
        self.arriving.try_send(outcome.clone()).expect("an append is settled once");
    }
}

/// Reads from a number on and tells how long it took.
async fn fetch(env: &SimEnv, streams: &Streams<SimEnv>, from: u64, wait: Duration) -> (Delivery, Duration) {
    let position = Position::Sequence(SequenceNumber(from));
    let fetch =
        Fetch { stream: STREAM, shard: SHARD, position, bytes_max: 1 << 20, wait, kind: ReadKind::Flow };
    let begun = env.monotonic();
    let delivery = streams.fetch(fetch, std::future::pending()).await.expect("a readable shard");
    (delivery, env.monotonic().saturating_sub(begun))
}

#[test]
fn a_reader_below_the_oldest_record_of_an_empty_shard_waits_for_the_next() {
    let sim = Sim::new(1);
    let env = sim.env();
    let done = sim.run(async {
        let retention = Retention { age: Duration::from_secs(60), bytes: None };
        let streams = streams(&env, retention, Quota::OFF).await;
        append(&streams, 100, 3).await.expect("stored");
        env.sleep(Duration::from_secs(120)).await;
        let wait = Duration::from_secs(5);
        let (delivery, took) = fetch(&env, &streams, 1, wait).await;
        assert_eq!((delivery.bytes, delivery.from.0, delivery.next.0), (0, 3, 3));
        assert!(took >= wait, "an answer without records after {took:?}");
        let later = async {
            env.sleep(Duration::from_secs(1)).await;
            append(&streams, 100, 1).await.expect("stored");
        };
        let ((delivery, took), ()) = futures_lite::future::zip(fetch(&env, &streams, 1, wait), later).await;
        assert_eq!((delivery.from.0, delivery.next.0), (3, 4));
        assert!(took < wait, "the append did not wake the reader: {took:?}");
    });
    assert!(done.is_some());
}

#[test]
fn a_reader_at_the_end_of_a_poisoned_lane_waits_as_elsewhere() {
    let sim = Sim::new(2);
    let env = sim.env();
    let done = sim.run(async {
        let streams = streams(&env, Retention::FOREVER, Quota::OFF).await;
        append(&streams, 100, 1).await.expect("stored");
        sim.set_faults(Faults { flush_failures: 1_000_000, ..Faults::default() });
        append(&streams, 100, 1).await.expect_err("the flush fails");
        sim.set_faults(Faults::default());
        let (delivery, _) = fetch(&env, &streams, 0, Duration::ZERO).await;
        assert!(delivery.bytes > 0, "what was stored is still read");
        let wait = Duration::from_secs(5);
        let (delivery, took) = fetch(&env, &streams, delivery.end.0, wait).await;
        assert_eq!(delivery.bytes, 0);
        assert!(took >= wait, "an answer without records after {took:?}");
    });
    assert!(done.is_some());
}

#[test]
fn what_the_lane_refuses_costs_no_quota() {
    let sim = Sim::new(3);
    let env = sim.env();
    let done = sim.run(async {
        let quota = Quota { write_records_per_second: 10, write_bytes_per_second: 10_000, ..Quota::OFF };
        let streams = streams(&env, Retention::FOREVER, quota).await;
        let refused = append(&streams, 8_000, 8).await.expect_err("larger than the lane takes");
        assert!(matches!(refused, AppendError::Lane(_)), "{refused}");
        assert_eq!(append(&streams, 1_000, 10).await, Ok(SequenceNumber(0)));
        let refused = append(&streams, 1_000, 10).await.expect_err("the bucket is empty");
        assert!(matches!(refused, AppendError::Throttled { .. }), "{refused}");
    });
    assert!(done.is_some());
}

#[test]
fn a_call_that_is_counted_may_read_ahead_of_time_and_the_next_ones_wait_for_it() {
    let mut quota = ShardQuota::new(Quota { read_bytes_per_second: 1_000, ..Quota::OFF });
    let call = ReadKind::Call { bytes_max: std::num::NonZeroU32::new(3_000).expect("not zero") };
    let mut first = fetched(&[900; 7]);
    pace::admit(&mut quota, 0, call, &mut first).expect("a full bucket");
    assert_eq!(first.next.0, 13, "as many as fit 3,000");
    let wait = pace::admit(&mut quota, 0, call, &mut fetched(&[1])).expect_err("in debt");
    assert_eq!(wait.ns, 1_701_000_000);
    let mut next = fetched(&[400; 7]);
    pace::admit(&mut quota, 2_500_000_000, call, &mut next).expect("800 have flowed in");
    assert_eq!(next.next.0, 12, "a bucket that is not full gives what it has");
}

#[test]
fn a_shard_is_read_by_counted_calls_so_often_and_by_others_as_one_likes() {
    let sim = Sim::new(7);
    let env = sim.env();
    let done = sim.run(async {
        let streams = streams(&env, Retention::FOREVER, Quota::OFF).await;
        append(&streams, 100, 1).await.expect("stored");
        let limited = |calls| {
            let known = streams.get(STREAM).expect("it is there");
            let mut limited = Definition::clone(known.definition());
            limited.capacity.read_calls_per_second = calls;
            Arc::new(limited)
        };
        streams.take_in(&limited(5));
        let (position, wait) = (Position::Oldest, Duration::ZERO);
        let kind = ReadKind::Call { bytes_max: std::num::NonZeroU32::MAX };
        let counted = Fetch { stream: STREAM, shard: SHARD, position, bytes_max: 1 << 20, wait, kind };
        let read = |fetch| streams.fetch(fetch, std::future::pending());
        for _ in 0..5 {
            assert!(read(counted).await.expect("a call that is left").bytes > 0);
        }
        let refused = read(counted).await.expect_err("the sixth");
        assert!(matches!(refused, FetchError::Throttled { .. }), "{refused}");
        let flowing = Fetch { kind: ReadKind::Flow, ..counted };
        assert!(read(flowing).await.expect("not counted").bytes > 0);
        env.sleep(Duration::from_millis(200)).await;
        assert!(read(counted).await.expect("one flows in every 200 ms").bytes > 0);
        assert!(read(counted).await.is_err());
        streams.take_in(&limited(0));
        for _ in 0..20 {
            assert!(read(counted).await.expect("no limit").bytes > 0);
        }
    });
    assert!(done.is_some());
}
