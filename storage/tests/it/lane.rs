//! A lane on the real disk: append, fetch, reopen, roll, retire.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use tidemill_storage::{
    AppendError, Env, FetchError, Lane, LaneConfig, LaneHealth, Retention, local::LocalEnv,
};
use tidemill_wire::{LaneId, OwnerId, SequenceNumber, Timestamp, message::Ack};

use crate::record::{Seen, payload, read_all, seen};

pub(crate) const OWNER: OwnerId = OwnerId(7);

pub(crate) fn config(directory: &Path) -> LaneConfig {
    LaneConfig::test_min(directory.join("lane"), LaneId(3))
}

pub(crate) async fn open(env: &LocalEnv, directory: &Path) -> Lane<LocalEnv> {
    let (lane, _) = Lane::open(env.clone(), config(directory)).await.expect("opened");
    lane.adopt(OWNER, Retention::FOREVER);
    lane
}

/// Runs a test in a directory of its own.
pub(crate) fn run<F: Future<Output = ()>>(test: impl FnOnce(LocalEnv, tempfile::TempDir) -> F) {
    let env = LocalEnv::new().expect("a ring");
    let directory = tempfile::tempdir().expect("a temporary directory");
    env.block_on(test(env.clone(), directory));
}

#[test]
fn appended_entries_come_back_in_order() {
    run(|env, directory| async move {
        let lane = open(&env, directory.path()).await;
        let other = OwnerId(8);
        lane.adopt(other, Retention::FOREVER);
        let mut waiting = Vec::new();
        for n in 0..100 {
            let ack = if n % 3 == 0 { Ack::Durable } else { Ack::Written };
            waiting.push(lane.append(OWNER, payload(n, 10 + n as usize), 1 + n as u32 % 4, ack));
            waiting.push(lane.append(other, payload(1000 + n, 30), 1, ack));
        }
        let mut next = 0;
        for (n, append) in waiting.into_iter().enumerate() {
            let appended = append.await.expect("appended");
            if n % 2 == 0 {
                assert_eq!(appended.base_sequence, SequenceNumber(next));
                next += 1 + (n as u64 / 2) % 4;
            }
        }
        let entries = read_all(&lane, OWNER, 700).await;
        assert_eq!(entries.len(), 100);
        assert!(entries.iter().zip(0..).all(|(entry, n)| entry.payload == payload(n, 10 + n as usize)));
        assert_eq!(read_all(&lane, other, 1).await.len(), 100);
        assert_eq!(lane.bounds(OWNER).expect("known").next, SequenceNumber(next));
        lane.close().await;
        assert_eq!(lane.append(OWNER, payload(0, 10), 1, Ack::Written).await, Err(AppendError::Closed));
    });
}

#[test]
fn a_fetch_begins_with_the_entry_that_holds_the_number() {
    run(|env, directory| async move {
        let lane = open(&env, directory.path()).await;
        for n in 0..5 {
            lane.append(OWNER, payload(n, 100), 10, Ack::Written).await.expect("appended");
        }
        let bases = |from: u64, bytes| {
            let lane = lane.clone();
            async move {
                let fetched = lane.fetch(OWNER, SequenceNumber(from), bytes).await.expect("fetched");
                let bases: Vec<u64> = seen(OWNER, &fetched).iter().map(|entry| entry.base.0).collect();
                (bases, fetched.next.0, fetched.end.0)
            }
        };
        assert_eq!(bases(0, 1).await, (vec![0], 10, 50));
        assert_eq!(bases(19, 1000).await, (vec![10, 20, 30, 40], 50, 50));
        assert_eq!(bases(20, 400).await, (vec![20, 30], 40, 50));
        assert_eq!(bases(50, 400).await, (vec![], 50, 50));
        let beyond = lane.fetch(OWNER, SequenceNumber(51), 400).await.expect_err("beyond the end");
        assert_eq!(beyond, FetchError::BeyondEnd { from: SequenceNumber(51), end: SequenceNumber(50) });
        assert!(matches!(
            lane.fetch(OwnerId(1), SequenceNumber(0), 1).await,
            Err(FetchError::UnknownOwner(_))
        ));
    });
}

#[test]
fn a_fetch_ends_with_the_entry_that_has_the_last_record_that_is_wanted() {
    run(|env, directory| async move {
        let lane = open(&env, directory.path()).await;
        for n in 0..5 {
            lane.append(OWNER, payload(n, 100), 10, Ack::Written).await.expect("appended");
        }
        let check = async |from: u64, records, expected: &[u64]| {
            let fetched = lane.fetch_records(OWNER, SequenceNumber(from), 1 << 20, records).await;
            let fetched = fetched.expect("fetched");
            let bases: Vec<u64> = seen(OWNER, &fetched).iter().map(|entry| entry.base.0).collect();
            assert_eq!(bases, expected, "{records} from {from}");
            assert_eq!(fetched.next.0, expected.last().map_or(from, |base| base + 10));
        };
        check(0, 0, &[0]).await;
        check(0, 1, &[0]).await;
        check(0, 10, &[0]).await;
        check(0, 11, &[0, 10]).await;
        check(9, 2, &[0, 10]).await;
        check(15, 25, &[10, 20, 30]).await;
        check(15, 26, &[10, 20, 30, 40]).await;
        check(50, 1, &[]).await;
    });
}

#[test]
fn neighbouring_entries_are_one_slice() {
    run(|env, directory| async move {
        let lane = open(&env, directory.path()).await;
        for n in 0..20 {
            lane.append(OWNER, payload(n, 1500), 1, Ack::Written).await.expect("appended");
        }
        let fetched = lane.fetch(OWNER, SequenceNumber(0), 1 << 20).await.expect("fetched");
        assert!(fetched.entries.len() < 4, "{} slices", fetched.entries.len());
        assert_eq!(fetched.bytes, fetched.entries.iter().map(Bytes::len).sum::<usize>());
    });
}

#[test]
fn reopening_finds_everything_and_numbers_go_on() {
    run(|env, directory| async move {
        let mut expected = Vec::new();
        for round in 0..6_u64 {
            let lane = open(&env, directory.path()).await;
            assert_eq!(read_all(&lane, OWNER, 5000).await, expected);
            for n in 0..40 {
                let label = round * 1000 + n;
                let bytes = 8 + (label as usize * 37) % 3000;
                let appended =
                    lane.append(OWNER, payload(label, bytes), 2, Ack::Written).await.expect("appended");
                assert_eq!(appended.base_sequence.0, round * 80 + n * 2);
                expected.push(Seen {
                    base: appended.base_sequence,
                    record_count: 2,
                    payload: payload(label, bytes),
                });
            }
            if round % 2 == 0 {
                lane.close().await;
            } else {
                env.stop();
            }
        }
        let (lane, report) = Lane::open(env, config(directory.path())).await.expect("opened");
        assert!(report.segments_sealed > 3 && report.torn_tail.is_none(), "{report:?}");
        assert_eq!(lane.owners(), vec![OWNER]);
    });
}

#[test]
fn a_time_leads_to_the_first_record_at_or_after_it() {
    run(|env, directory| async move {
        let lane = open(&env, directory.path()).await;
        let mut times = Vec::new();
        for n in 0..60 {
            let appended = lane.append(OWNER, payload(n, 900), 3, Ack::Written).await.expect("appended");
            times.push((appended.append_time, appended.base_sequence));
            if n % 5 == 0 {
                env.sleep(Duration::from_millis(2)).await;
            }
        }
        for (time, _) in &times {
            let first = times.iter().find(|(t, _)| t >= time).expect("it is one of them").1;
            assert_eq!(lane.sequence_at(OWNER, *time).await, Ok(first));
        }
        assert_eq!(lane.sequence_at(OWNER, Timestamp(0)).await, Ok(SequenceNumber(0)));
        assert_eq!(lane.sequence_at(OWNER, Timestamp(u64::MAX)).await, Ok(SequenceNumber(180)));
    });
}

#[test]
fn watchers_wake_with_the_append_and_with_the_end() {
    run(|env, directory| async move {
        let lane = open(&env, directory.path()).await;
        lane.watch(OWNER, SequenceNumber(0))
            .await_after(async {
                lane.append(OWNER, payload(0, 10), 1, Ack::Durable).await.expect("appended");
            })
            .await;
        lane.watch(OWNER, SequenceNumber(0)).await;
        lane.watch(OWNER, SequenceNumber(1)).await_after(async { lane.forget(OWNER) }).await;
        lane.watch(OWNER, SequenceNumber(9)).await;
        lane.adopt(OwnerId(9), Retention::FOREVER);
        lane.watch(OwnerId(9), SequenceNumber(0)).await_after(lane.close()).await;
    });
}

trait AwaitAfter: Future<Output = ()> + Sized {
    /// Polls once, then runs `act`, then waits.
    async fn await_after(self, act: impl Future<Output = ()>) {
        let mut waiting = std::pin::pin!(self);
        let once =
            std::future::poll_fn(|context| std::task::Poll::Ready(waiting.as_mut().poll(context))).await;
        assert!(once.is_pending());
        act.await;
        waiting.await;
    }
}

impl<F: Future<Output = ()>> AwaitAfter for F {}

#[test]
fn age_hides_entries_and_frees_segments_for_reuse() {
    run(|env, directory| async move {
        let lane = open(&env, directory.path()).await;
        let brief = Retention { age: Duration::from_millis(300), bytes: None };
        lane.adopt(OWNER, brief);
        let idle = OwnerId(99);
        lane.adopt(idle, brief);
        lane.append(idle, payload(5, 10), 5, Ack::Durable).await.expect("appended");
        for n in 0..200 {
            lane.append(OWNER, payload(n, 3000), 1, Ack::Written).await.expect("appended");
            env.sleep(Duration::from_millis(5)).await;
        }
        let is_tidy = || {
            let stats = lane.stats();
            let is_small = stats.disk_bytes <= 8 * config(directory.path()).segment_bytes;
            stats.retired_segments > 5 && stats.recycled_segments > 0 && is_small
        };
        // Less than a second, but on a machine that stalls.
        env.sleep(Duration::from_millis(800)).await;
        for _ in 0..100 {
            if is_tidy() {
                break;
            }
            env.sleep(Duration::from_millis(100)).await;
        }
        assert!(is_tidy(), "{:?}", lane.stats());
        let fetched = lane.fetch(OWNER, SequenceNumber(0), 1000).await.expect("fetched");
        assert_eq!(
            (fetched.from, fetched.oldest, fetched.bytes),
            (SequenceNumber(200), SequenceNumber(200), 0)
        );
        lane.close().await;
        let lane = open(&env, directory.path()).await;
        lane.adopt(idle, Retention::FOREVER);
        let appended = lane.append(idle, payload(6, 10), 1, Ack::Durable).await.expect("appended");
        assert_eq!(appended.base_sequence, SequenceNumber(5));
        let appended = lane.append(OWNER, payload(6, 10), 1, Ack::Durable).await.expect("appended");
        assert_eq!(appended.base_sequence, SequenceNumber(200));
    });
}

#[test]
fn bytes_bound_what_is_kept() {
    run(|env, directory| async move {
        let lane = open(&env, directory.path()).await;
        lane.adopt(OWNER, Retention { age: Duration::MAX, bytes: Some(60_000) });
        for n in 0..200 {
            lane.append(OWNER, payload(n, 3000), 1, Ack::Written).await.expect("appended");
        }
        env.sleep(Duration::from_millis(600)).await;
        let bounds = lane.bounds(OWNER).expect("known");
        assert!((60_000..150_000).contains(&bounds.bytes), "{bounds:?}");
        let entries = read_all(&lane, OWNER, 1 << 20).await;
        assert_eq!(entries.first().map(|entry| entry.base), Some(bounds.oldest));
        assert_eq!(entries.last().map(|entry| entry.payload.clone()), Some(payload(199, 3000)));
    });
}

#[test]
fn held_slices_keep_their_bytes_while_segments_are_recycled() {
    run(|env, directory| async move {
        let lane = open(&env, directory.path()).await;
        lane.adopt(OWNER, Retention { age: Duration::MAX, bytes: Some(1) });
        lane.append(OWNER, payload(0, 3000), 1, Ack::Written).await.expect("appended");
        let held = lane.fetch(OWNER, SequenceNumber(0), 10_000).await.expect("fetched");
        for n in 1..300 {
            lane.append(OWNER, payload(n, 3000), 1, Ack::Written).await.expect("appended");
            env.sleep(Duration::from_millis(3)).await;
        }
        assert!(lane.stats().recycled_segments > 3, "{:?}", lane.stats());
        assert_eq!(seen(OWNER, &held)[0].payload, payload(0, 3000));
    });
}

#[test]
fn refusals_say_why() {
    run(|env, directory| async move {
        let lane = open(&env, directory.path()).await;
        let append = |bytes, count| lane.append(OWNER, payload(0, bytes), count, Ack::Durable);
        assert_eq!(append(5000, 1).await, Err(AppendError::TooLarge { bytes: 5064, limit: 4096 }));
        assert_eq!(append(10, 0).await, Err(AppendError::RecordCount { record_count: 0 }));
        let unknown = lane.append(OwnerId(1), payload(0, 10), 1, Ack::Durable).await;
        assert!(matches!(unknown, Err(AppendError::UnknownOwner(_))));
        let waiting: Vec<_> = (0..40).map(|_| append(4000, 1)).collect();
        let results = futures_util::future::join_all(waiting).await;
        assert!(results.iter().any(|result| matches!(result, Err(AppendError::QueueFull { .. }))));
        assert!(results.iter().any(Result::is_ok));
        assert_eq!(lane.health(), LaneHealth::Serving);
        lane.close().await;
        assert_eq!(lane.health(), LaneHealth::Closed);
    });
}
