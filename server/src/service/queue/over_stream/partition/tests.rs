//! Partitions over shards in a lane of the simulator.

mod seeds;

use std::time::Duration;

use tidemill_storage::sim::{Crash, Faults, Sim, SimEnv};
use tidemill_storage::{LaneConfig, Retention};
use tidemill_wire::batch::{BatchBuilder, Compression};
use tidemill_wire::message::Ack;
use tidemill_wire::{LaneId, OwnerId, QueueId, StreamId};

use super::*;
use crate::service::consumer::ConsumerName;
use crate::service::queue::over_stream::operation::{Named, StreamReceived};
use crate::service::stream_queue::{StreamQueuePartition, StreamQueueSettings};

const JOURNAL: OwnerId = OwnerId(100);
const RECEIVES_MAX: u32 = 3;

fn config() -> LaneConfig {
    LaneConfig {
        segment_bytes: 4 << 20,
        entry_bytes_max: 1 << 20,
        group_bytes_max: 64 << 10,
        queue_bytes_max: 4 << 20,
        ..LaneConfig::test_min("/lane".into(), LaneId(0))
    }
}

fn definition(start: Start, created: Timestamp) -> Arc<StreamQueue> {
    Arc::new(StreamQueue {
        id: QueueId(1),
        name: ConsumerName::new("work").expect("a name"),
        stream: StreamId(1),
        created,
        start,
        next_shard: ShardIndex(2),
        settings: StreamQueueSettings { visibility_s: 30, receives_max: Some(RECEIVES_MAX) },
        tags: BTreeMap::new(),
        partitions: vec![StreamQueuePartition { lane: LaneId(0), journal: JOURNAL }],
    })
}

/// Shards of these indexes in the lane, and one elsewhere.
fn source(shards: impl IntoIterator<Item = u32>) -> Arc<Source> {
    let here = shards.into_iter().map(|shard| Place {
        shard: ShardIndex(shard),
        lane: LaneId(0),
        owner: owner(shard),
        is_open: true,
    });
    let elsewhere = Place { shard: ShardIndex(99), lane: LaneId(7), owner: OwnerId(99), is_open: true };
    Arc::new(Source { shards: here.chain([elsewhere]).collect(), retention_ms: 3_600_000 })
}

fn owner(shard: u32) -> OwnerId {
    OwnerId(u64::from(shard) + 1)
}

struct Open {
    lane: Lane<SimEnv>,
    partition: Rc<StreamPartition<SimEnv>>,
}

/// Opens the lane, with the only partition of a queue over two shards, which takes snapshots often.
async fn open(env: &SimEnv, definition: Arc<StreamQueue>) -> Open {
    let (lane, _) = Lane::open(env.clone(), config()).await.expect("opened");
    for shard in 0..3 {
        lane.adopt(owner(shard), Retention { age: Duration::from_secs(3_600), bytes: None });
    }
    lane.adopt(JOURNAL, Retention::FOREVER);
    let partition = StreamPartition::new(env.clone(), lane.clone(), definition, 0, source(0..2));
    partition.recorder.snapshot_after_bytes.set(2_000);
    partition.recorder.replay_events.set(8);
    partition.part_records.set(2);
    Open { lane, partition }
}

impl Open {
    /// Puts records whose data are their names.
    async fn put(&self, shard: u32, names: impl IntoIterator<Item = u64>) {
        self.try_put(shard, names).await.expect("appended");
    }

    async fn try_put(
        &self,
        shard: u32,
        names: impl IntoIterator<Item = u64>,
    ) -> Result<u64, tidemill_storage::AppendError> {
        let mut batch = BatchBuilder::new();
        let mut count = 0;
        for name in names {
            batch.push(b"key", name.to_string().as_bytes(), None).expect("small");
            count += 1;
        }
        let payload = batch.build(Compression::Lz4).expect("records");
        let appended = self.lane.append(owner(shard), payload, count, Ack::Durable).await?;
        Ok(appended.base_sequence.get())
    }

    async fn receive_from(&self, side: Side, records_max: usize, visibility_s: u64) -> Vec<StreamReceived> {
        let wanted = Wanted { side, records_max, visibility: Duration::from_secs(visibility_s) };
        self.partition.receive(&wanted).await.expect("received")
    }

    async fn receive(&self, records_max: usize, visibility_s: u64) -> Vec<StreamReceived> {
        self.receive_from(Side::Live, records_max, visibility_s).await
    }

    async fn acknowledge(&self, received: &[StreamReceived]) {
        for one in received {
            let outcome = self.partition.acknowledge(one.receipt.side, &[one.receipt.named]).await.remove(0);
            outcome.expect("acknowledged");
        }
    }

    async fn counts(&self) -> (u64, u64, u64, u64) {
        let counted = self.partition.count().await.expect("counted");
        (counted.visible, counted.in_flight, counted.dead, counted.dead_in_flight)
    }
}

fn names(received: &[StreamReceived]) -> Vec<u64> {
    let name = |one: &StreamReceived| std::str::from_utf8(&one.data).ok()?.parse().ok();
    let mut names: Vec<u64> = received.iter().map(|one| name(one).expect("a number")).collect();
    names.sort_unstable();
    names
}

fn run(seed: u64, test: impl AsyncFnOnce(&Sim, &SimEnv)) {
    let sim = Sim::new(seed);
    let env = sim.env();
    sim.run(async { test(&sim, &env).await }).expect("not stopped");
}

#[test]
fn records_of_all_shards_are_shared_and_what_became_of_them_survives_a_restart() {
    run(1, async |_, env| {
        let queue = definition(Start::Oldest, Timestamp(0));
        let opened = open(env, Arc::clone(&queue)).await;
        opened.put(0, 0..10).await;
        opened.put(1, 10..15).await;
        let first = opened.receive(10, 60).await;
        assert_eq!(first.len(), 10);
        assert!(first.iter().all(|one| one.key == "key" && one.receipt.named.receives == 1));
        opened.acknowledge(&first[..4]).await;
        assert_eq!(opened.counts().await, (5, 6, 0, 0));
        opened.lane.close().await;

        let opened = open(env, queue).await;
        assert_eq!(opened.counts().await, (5, 6, 0, 0));
        let second = opened.receive(10, 5).await;
        assert_eq!(names(&[first.clone(), second.clone()].concat()), (0..15).collect::<Vec<_>>());
        opened.acknowledge(&first[4..]).await;
        assert_eq!(opened.receive(10, 60).await, []);
        env.sleep(Duration::from_secs(6)).await;
        let again = opened.receive(10, 60).await;
        assert_eq!(names(&again), names(&second));
        assert!(again.iter().all(|one| one.receipt.named.receives == 2));
        opened.lane.close().await;
    });
}

#[test]
fn a_queue_begins_where_it_is_to_and_gives_all_of_a_shard_that_is_new() {
    let check = |start: fn(Timestamp) -> Start, is_begun: bool, expected: &[u64]| {
        run(2, async |_, env| {
            let opened = open(env, definition(Start::Oldest, Timestamp(0))).await;
            opened.put(0, [1]).await;
            env.sleep(Duration::from_millis(50)).await;
            let middle = opened.lane.now();
            opened.put(1, [2]).await;
            opened.lane.close().await;
            let opened = open(env, definition(start(middle), middle)).await;
            if is_begun {
                opened.partition.begin().await.expect("begun");
            }
            opened.put(0, [7]).await;
            assert_eq!(names(&opened.receive(10, 60).await), expected, "{:?}", start(middle));
            opened.lane.close().await;
        });
    };
    check(Start::At, false, &[2, 7]);
    check(Start::At, true, &[2, 7]);
    check(|_| Start::Oldest, true, &[1, 2, 7]);
    check(|_| Start::Newest, true, &[7]);
    // The server was killed before it had begun: by the time at which it was created.
    check(|_| Start::Newest, false, &[2, 7]);
    run(3, async |_, env| {
        let opened = open(env, definition(Start::Newest, Timestamp(0))).await;
        opened.put(0, [1, 2]).await;
        opened.partition.begin().await.expect("begun");
        opened.put(0, [3]).await;
        assert_eq!(names(&opened.receive(10, 60).await), [3], "what was there does not count");
        opened.lane.close().await;
        let opened = open(env, definition(Start::Newest, Timestamp(0))).await;
        opened.put(2, [4, 5]).await;
        assert_eq!(opened.receive(10, 60).await, [], "it knows nothing of that shard");
        opened.partition.follow(&source(0..3));
        assert_eq!(names(&opened.receive(10, 60).await), [4, 5]);
        opened.partition.follow(&source(1..3));
        assert_eq!(opened.counts().await, (0, 2, 0, 0), "a shard that has vanished counts for nothing");
        opened.lane.close().await;
    });
}

#[test]
fn dead_letters_are_received_hidden_acknowledged_and_restored() {
    run(4, async |_, env| {
        let queue = definition(Start::Oldest, Timestamp(0));
        let opened = open(env, Arc::clone(&queue)).await;
        opened.put(0, [1, 2, 3]).await;
        for _ in 0..RECEIVES_MAX {
            assert_eq!(names(&opened.receive(10, 1).await), [1, 2, 3]);
            env.sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(opened.receive(10, 1).await, []);
        assert_eq!(opened.counts().await, (0, 0, 3, 0));
        opened.lane.close().await;

        let opened = open(env, queue).await;
        let dead = opened.receive_from(Side::Dead, 10, 30).await;
        assert_eq!(names(&dead), [1, 2, 3]);
        assert_eq!(dead[0].receipt.named.receives, RECEIVES_MAX + 1);
        let named: Vec<Named> = dead.iter().map(|one| one.receipt.named).collect();
        let wrong = opened.partition.acknowledge(Side::Live, &named[..1]).await.remove(0);
        assert_eq!(wrong, Err(ReceiptError::NotInFlight), "it is a dead letter");
        let back = opened.partition.hide(Side::Dead, &[(named[0], Duration::ZERO)]).await.remove(0);
        assert_eq!((back, opened.counts().await), (Ok(()), (0, 0, 1, 2)));
        assert_eq!(names(&opened.receive_from(Side::Dead, 10, 30).await), names(&dead[..1]));
        opened.acknowledge(&dead[1..2]).await;
        assert_eq!(opened.partition.restore(&named[2..]).await, [Ok(())]);
        assert_eq!(opened.partition.restore(&named[2..]).await, [Err(ReceiptError::NotInFlight)]);
        env.sleep(Duration::from_millis(2)).await;
        let restored = opened.receive(10, 30).await;
        assert_eq!((names(&restored), restored[0].receipt.named.receives), (names(&dead[2..]), 1));
        assert_eq!(opened.counts().await, (0, 1, 0, 1));
        opened.lane.close().await;
    });
}

#[test]
fn what_was_not_written_did_not_happen_and_what_was_never_received_is_invalid() {
    let sim = Sim::new(5);
    let env = sim.env();
    sim.run(async {
        let opened = open(&env, definition(Start::Oldest, Timestamp(0))).await;
        opened.put(0, [1, 2]).await;
        let received = opened.receive(1, 60).await;
        let named = Named { receives: 2, ..received[0].receipt.named };
        let outcomes = opened.partition.acknowledge(Side::Live, &[named]).await;
        assert_eq!(outcomes, [Err(ReceiptError::Invalid)]);
        sim.set_faults(Faults { write_failures: 1_000_000, ..Faults::default() });
        let named = received[0].receipt.named;
        let refused = opened.partition.acknowledge(Side::Live, &[named]).await.remove(0);
        assert!(matches!(refused, Err(ReceiptError::Lane(_))), "{refused:?}");
        assert!(opened.partition.receive(&wanted(10)).await.is_err(), "a lane that failed takes nothing");
        sim.set_faults(Faults::default());
        sim.crash(Crash::Process);
    });
    sim.run(async {
        let opened = open(&env, definition(Start::Oldest, Timestamp(0))).await;
        // The write may have come to the disk all the same, as a whole.
        let counts = opened.counts().await;
        assert!(matches!(counts, (1, 1 | 0, 0, 0)), "{counts:?}");
        opened.lane.close().await;
    })
    .expect("not stopped");
}

fn wanted(records_max: usize) -> Wanted {
    Wanted { side: Side::Live, records_max, visibility: Duration::from_secs(30) }
}

#[test]
fn those_who_wait_are_told_by_the_append_itself_and_by_time() {
    run(6, async |_, env| {
        let opened = open(env, definition(Start::Oldest, Timestamp(0))).await;
        let at = Duration::from_millis;
        let mut live = opened.partition.wait(Side::Live, at(1));
        let mut dead = opened.partition.wait(Side::Dead, at(1));
        env.sleep(Duration::from_secs(1)).await;
        assert_eq!((live.try_recv(), dead.try_recv()), (Ok(None), Ok(None)));
        opened.put(1, [1]).await;
        env.sleep(at(2)).await;
        assert_eq!((live.try_recv(), dead.try_recv()), (Ok(Some(())), Ok(None)));
        for _ in 0..RECEIVES_MAX {
            assert_eq!(names(&opened.receive(10, 1).await), [1]);
            env.sleep(at(1_000)).await;
        }
        env.sleep(at(10)).await;
        assert_eq!(
            dead.try_recv(),
            Ok(Some(())),
            "it is a dead letter, and nobody has tried to receive it since"
        );
        let gone = opened.partition.wait(Side::Live, at(3));
        opened.partition.close();
        assert!(gone.await.is_err(), "the queue was deleted");
        opened.lane.close().await;
    });
}

#[test]
fn what_is_over_is_not_given_and_not_kept_in_mind() {
    run(7, async |_, env| {
        let opened = open(env, definition(Start::Oldest, Timestamp(0))).await;
        opened.put(0, [1, 2]).await;
        assert_eq!(names(&opened.receive(1, 60).await), [1]);
        env.sleep(Duration::from_secs(3_601)).await;
        opened.put(0, [3]).await;
        assert_eq!(names(&opened.receive(10, 60).await), [3]);
        assert_eq!(opened.counts().await.1, 1, "those that are over are not in flight");
        assert_eq!(opened.receive_from(Side::Dead, 10, 60).await, []);
        opened.lane.close().await;
    });
}

#[test]
fn so_many_are_in_flight_and_no_more() {
    run(8, async |_, env| {
        let opened = open(env, definition(Start::Oldest, Timestamp(0))).await;
        opened.partition.recorder.snapshot_after_bytes.set(u64::MAX);
        let limit = receive::IN_FLIGHT_MAX;
        for first in (0..limit + 10).step_by(5_000) {
            opened.put(0, first..(first + 5_000).min(limit + 10)).await;
        }
        let (mut received, mut last) = (0, Vec::new());
        // Each receive gives some, so it ends.
        let refused = loop {
            match opened.partition.receive(&wanted(5_000)).await {
                Ok(batch) => {
                    assert!(!batch.is_empty(), "{received} were received");
                    received += batch.len() as u64;
                    last = batch;
                }
                Err(error) => break error,
            }
        };
        assert_eq!((received, refused), (limit, ReceiveError::OverLimit { in_flight: limit, limit }));
        assert_eq!(opened.counts().await, (10, limit, 0, 0));
        opened.acknowledge(&last[..1]).await;
        assert_eq!(opened.partition.receive(&wanted(5_000)).await.expect("there is room").len(), 1);
        opened.lane.close().await;
    });
}

#[test]
fn a_receipt_of_before_a_restoration_does_not_bring_a_record_back() {
    run(9, async |_, env| {
        let opened = open(env, definition(Start::Oldest, Timestamp(0))).await;
        opened.put(0, [1]).await;
        let first = opened.receive(1, 1).await.remove(0).receipt.named;
        for _ in 1..RECEIVES_MAX {
            env.sleep(Duration::from_secs(1)).await;
            assert_eq!(opened.receive(1, 1).await.len(), 1);
        }
        env.sleep(Duration::from_secs(1)).await;
        let dead = opened.receive_from(Side::Dead, 1, 30).await.remove(0).receipt.named;
        assert_eq!(opened.partition.restore(&[dead]).await, [Ok(())]);
        env.sleep(Duration::from_millis(2)).await;
        let again = opened.receive(1, 30).await.remove(0).receipt.named;
        assert_eq!((again.sequence, again.receives), (first.sequence, first.receives));
        let back = [(first, Duration::ZERO)];
        assert_eq!(opened.partition.hide(Side::Live, &back).await, [Err(ReceiptError::NotInFlight)]);
        let late = opened.partition.acknowledge(Side::Live, &[first]).await;
        assert_eq!(late, [Err(ReceiptError::NotInFlight)], "nor take it from who has it now");
        assert_eq!(opened.receive(1, 30).await, []);
        opened.lane.close().await;
    });
}

#[test]
fn those_who_wait_at_a_lane_that_fails_are_told() {
    let sim = Sim::new(10);
    let env = sim.env();
    sim.run(async {
        let opened = open(&env, definition(Start::Oldest, Timestamp(0))).await;
        assert_eq!(opened.receive(1, 1).await, []);
        let told = opened.partition.wait(Side::Live, Duration::from_millis(1));
        env.sleep(Duration::from_secs(1)).await;
        sim.set_faults(Faults { write_failures: 1_000_000, ..Faults::default() });
        opened.try_put(0, [1]).await.expect_err("nothing is written");
        told.await.expect("they are told, and find out why");
        sim.set_faults(Faults::default());
        sim.crash(Crash::Process);
    });
}

#[test]
fn a_shard_that_is_opened_later_is_given_whole_also_where_the_clock_was_put_back() {
    let ahead = Timestamp(u64::MAX >> 1);
    for start in [Start::Newest, Start::At(ahead)] {
        run(11, async |_, env| {
            let opened = open(env, definition(start, ahead)).await;
            opened.partition.begin().await.expect("begun");
            opened.put(0, [1]).await;
            opened.put(2, [2, 3]).await;
            opened.partition.follow(&source(0..3));
            let mut received = names(&opened.receive(10, 60).await);
            received.retain(|name| *name != 1);
            assert_eq!(received, [2, 3], "{start:?}");
            opened.lane.close().await;
        });
    }
}

#[test]
fn a_receive_is_bounded_by_the_bytes_of_its_records() {
    run(12, async |_, env| {
        let queue = definition(Start::Oldest, Timestamp(0));
        let opened = open(env, Arc::clone(&queue)).await;
        // They are small in the log, and large when they are read.
        for bytes in [6 << 20, 3 << 20, 6 << 20, 10 << 20, 1] {
            let mut batch = BatchBuilder::new();
            batch.push(b"key", &vec![0; bytes], None).expect("it is not too large");
            let payload = batch.build(Compression::Lz4).expect("a record");
            opened.lane.append(owner(0), payload, 1, Ack::Durable).await.expect("appended");
        }
        let sizes = |received: &[StreamReceived]| -> Vec<usize> {
            received.iter().map(|one| one.data.len() >> 20).collect()
        };
        // Of large ones that are new one is at hand.
        for size in [6, 3, 6, 10, 0] {
            assert_eq!(sizes(&opened.receive(10, 10).await), [size]);
        }
        opened.lane.close().await;
        env.sleep(Duration::from_secs(10)).await;
        let opened = open(env, queue).await;
        for sizes_of_one in [vec![6, 3], vec![6], vec![10], vec![0]] {
            assert_eq!(sizes(&opened.receive(10, 60).await), sizes_of_one, "they are back");
        }
        assert_eq!(opened.receive(10, 60).await, []);
        opened.lane.close().await;
    });
}

#[test]
fn a_batch_is_read_once_for_all_of_its_records_that_are_back() {
    run(13, async |_, env| {
        let queue = definition(Start::Oldest, Timestamp(0));
        let opened = open(env, Arc::clone(&queue)).await;
        opened.put(0, 0..20).await;
        opened.put(1, 20..22).await;
        let first = opened.receive(22, 5).await;
        let is_odd = |one: &StreamReceived| names(std::slice::from_ref(one))[0] % 2 == 1;
        let (done, left): (Vec<_>, Vec<_>) = first.into_iter().partition(is_odd);
        opened.acknowledge(&done).await;
        opened.lane.close().await;
        env.sleep(Duration::from_secs(5)).await;
        let opened = open(env, queue).await;
        assert_eq!(names(&opened.receive(11, 60).await), names(&left));
        assert_eq!(opened.partition.tally().reads.get(), 2, "once for each batch");
        opened.lane.close().await;
    });
}

#[test]
fn a_backlog_of_many_shards_is_not_read_again_for_every_receive() {
    run(14, async |_, env| {
        let opened = open(env, definition(Start::Oldest, Timestamp(0))).await;
        let shards = u32::try_from(2 * TAILS_MAX).expect("few");
        for shard in 0..shards {
            opened.lane.adopt(owner(shard), Retention { age: Duration::from_secs(3_600), bytes: None });
            opened.put(shard, (0..205).map(|name| u64::from(shard) * 1_000 + name)).await;
        }
        opened.partition.follow(&source(0..shards));
        let mut seen = Vec::new();
        // Each receive gives some, so it ends.
        loop {
            let received = opened.receive(10, 60).await;
            if received.is_empty() {
                break;
            }
            seen.extend(names(&received));
        }
        seen.sort_unstable();
        let all = (0..shards).flat_map(|shard| (0..205).map(move |name| u64::from(shard) * 1_000 + name));
        assert_eq!(seen, all.collect::<Vec<_>>());
        let reads = opened.partition.tally().reads.get();
        assert!(reads <= u64::from(2 * shards), "{reads} reads of {shards} shards");
        opened.lane.close().await;
    });
}
