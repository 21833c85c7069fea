//! Very many owners on one lane: right over seal, expiry, forgetting and recovery, and no work for those who are idle. What is counted here is
//! measured by `examples/many_owners.rs`.

use std::time::Duration;

use tidemill_storage::{
    Env, Lane, LaneConfig, RecoveryReport, Retention,
    sim::{Crash, Sim, SimEnv},
};
use tidemill_wire::{LaneId, OwnerId, SequenceNumber, message::Ack};

use crate::record::{payload, read_all};

const OWNERS: u64 = 5_000;
const MINUTE: Duration = Duration::from_secs(60);

fn config() -> LaneConfig {
    LaneConfig {
        segment_bytes: 512 << 10,
        entry_bytes_max: 4 << 10,
        group_entries_max: 1024,
        group_bytes_max: 64 << 10,
        queue_bytes_max: 16 << 20,
        upkeep_interval: Duration::from_secs(1),
        compaction_bytes_per_second: 0,
        ..LaneConfig::test_min("lane".into(), LaneId(1))
    }
}

async fn open(env: &SimEnv, config: LaneConfig) -> (Lane<SimEnv>, RecoveryReport) {
    Lane::open(env.clone(), config).await.expect("opened")
}

fn keep(age: Duration) -> Retention {
    Retention { age, bytes: None }
}

/// Appends one entry for each of the owners, and waits for all.
async fn append_each(lane: &Lane<SimEnv>, owners: impl Iterator<Item = u64>, bytes: usize) {
    let appends: Vec<_> =
        owners.map(|owner| lane.append(OwnerId(owner), payload(owner, bytes), 1, Ack::Durable)).collect();
    for append in appends {
        append.await.expect("appended");
    }
}

#[test]
fn upkeep_looks_at_owners_that_have_something_to_expire_and_at_no_others() {
    let sim = Sim::new(1);
    let env = sim.env();
    sim.run(async {
        let (lane, _) = open(&env, config()).await;
        // One in fifty expires after a minute, the others after an hour.
        let is_short = |owner: &u64| owner.is_multiple_of(50);
        (0..OWNERS).for_each(|owner| {
            lane.adopt(OwnerId(owner), keep(if is_short(&owner) { MINUTE } else { 60 * MINUTE }));
        });
        append_each(&lane, 0..OWNERS, 100).await;
        append_each(&lane, 0..OWNERS, 100).await;
        let before = lane.stats();
        assert!(before.segments_sealed >= 2, "the entries fill segments: {before:?}");
        env.sleep(MINUTE / 2).await;
        assert_eq!(lane.stats().expiry_looks, 0, "thirty looks of upkeep found nothing due");

        env.sleep(MINUTE).await;
        let looks = lane.stats().expiry_looks;
        assert!((100..=200).contains(&looks), "a hundred owners have one or two spans each: {looks} looks");
        let gone = (0..OWNERS).filter(|owner| lane.bounds(OwnerId(*owner)).expect("known").bytes == 0);
        assert!(gone.clone().count() > 50 && gone.clone().all(|owner| is_short(&owner)));
        env.sleep(MINUTE).await;
        assert_eq!(lane.stats().expiry_looks, looks, "they are looked at once");

        // A shorter life, and one bound by bytes, are applied to whom they are given and to no one else.
        lane.adopt(OwnerId(1), keep(MINUTE));
        lane.adopt(OwnerId(2), Retention { age: Duration::MAX, bytes: Some(100) });
        let left = |owner| lane.bounds(OwnerId(owner)).expect("known").bytes;
        assert_eq!((left(1), left(2), left(3)), (0, 100, 200));
        assert_eq!(lane.stats().expiry_looks, looks);
        lane.close().await;
    })
    .expect("not stopped");
}

#[test]
fn thousands_of_owners_survive_seals_expiry_forgetting_and_starts() {
    let sim = Sim::new(2);
    let env = sim.env();
    sim.run(async {
        let (lane, _) = open(&env, config()).await;
        (0..OWNERS).for_each(|owner| lane.adopt(OwnerId(owner), keep(60 * MINUTE)));
        for round in 0..4 {
            append_each(&lane, (0..OWNERS).filter(|owner| owner % (round + 1) == 0), 64).await;
        }
        (0..OWNERS).filter(|owner| owner % 7 == 0).for_each(|owner| lane.forget(OwnerId(owner)));
        lane.close().await;
        let (lane, report) = open(&env, config()).await;
        // Of those that were forgotten some may be gone by then.
        let kept = (0..OWNERS).filter(|owner| owner % 7 != 0).count() as u64;
        assert!(report.segments_sealed > 2 && (kept..=OWNERS).contains(&report.owners), "{report:?}");
        let forgotten = lane.owners().into_iter().filter(|owner| owner.0 % 7 == 0);
        forgotten.for_each(|owner| {
            assert!(owner.0 < OWNERS);
            lane.forget(owner);
        });
        (0..OWNERS)
            .filter(|owner| owner % 7 != 0)
            .for_each(|owner| lane.adopt(OwnerId(owner), keep(60 * MINUTE)));
        for owner in (0..OWNERS).filter(|owner| owner % 7 != 0) {
            let expected = (1..=4).filter(|divisor| owner % divisor == 0).count() as u64;
            let bounds = lane.bounds(OwnerId(owner)).expect("known");
            assert_eq!((bounds.next, bounds.bytes), (SequenceNumber(expected), 64 * expected));
            if owner % 100 == 1 {
                let entries = read_all(&lane, OwnerId(owner), 1 << 20).await;
                assert!(entries.iter().all(|entry| entry.payload == payload(owner, 64)));
                assert_eq!(entries.len() as u64, expected);
            }
        }

        // When all is over, only numbers are left, also after another start.
        env.sleep(61 * MINUTE).await;
        append_each(&lane, (0..OWNERS).filter(|owner| owner % 7 == 1), 64).await;
        lane.close().await;
        let (lane, _) = open(&env, config()).await;
        (0..OWNERS)
            .filter(|owner| owner % 7 != 0)
            .for_each(|owner| lane.adopt(OwnerId(owner), keep(60 * MINUTE)));
        for owner in (0..OWNERS).filter(|owner| owner % 7 != 0) {
            let appends =
                (1..=4).filter(|divisor| owner % divisor == 0).count() + usize::from(owner % 7 == 1);
            assert_eq!(lane.bounds(OwnerId(owner)).expect("known").next, SequenceNumber(appends as u64));
        }
        lane.close().await;
    })
    .expect("not stopped");
}

/// The numbers of these owners fill several segments of this size.
#[test]
fn numbers_of_idle_owners_are_not_written_again_and_again() {
    let sim = Sim::new(3);
    let env = sim.env();
    let config = LaneConfig { segment_bytes: 64 << 10, ..config() };
    sim.run(async {
        let (lane, _) = open(&env, config.clone()).await;
        (0..OWNERS).for_each(|owner| lane.adopt(OwnerId(owner), keep(MINUTE)));
        append_each(&lane, 0..OWNERS, 100).await;
        env.sleep(3 * MINUTE).await;
        let settled = lane.stats();
        assert!(settled.live_bytes < 128 << 10, "what was appended is over: {settled:?}");
        assert!(settled.disk_bytes < 3 * OWNERS * 72 + 6 * config.segment_bytes, "{settled:?}");
        env.sleep(60 * MINUTE).await;
        assert_eq!(lane.stats().groups, settled.groups, "an idle lane writes nothing");
        lane.close().await;
        let (lane, _) = open(&env, config).await;
        (0..OWNERS).for_each(|owner| lane.adopt(OwnerId(owner), keep(MINUTE)));
        assert!(
            (0..OWNERS).all(|owner| lane.bounds(OwnerId(owner)).expect("known").next == SequenceNumber(1))
        );
        lane.close().await;
    })
    .expect("not stopped");
}

/// A number that is told by an entry which a power cut may take is not told at all.
#[test]
fn a_segment_stays_until_what_tells_its_numbers_is_stable() {
    for seed in 0..20 {
        let sim = Sim::new(seed);
        let config = LaneConfig { flush_interval: 60 * MINUTE, ..config() };
        sim.run(async {
            let env = sim.env();
            let (lane, _) = open(&env, config.clone()).await;
            (0..2).for_each(|owner| lane.adopt(OwnerId(owner), keep(MINUTE)));
            append_each(&lane, 0..1, 100).await;
            while lane.stats().segments_sealed < 3 {
                append_each(&lane, std::iter::repeat_n(1, 16), 4000).await;
            }
            env.sleep(MINUTE - Duration::from_secs(1)).await;
            lane.append(OwnerId(0), payload(0, 100), 1, Ack::Written).await.expect("appended");
            env.sleep(MINUTE / 2).await;
            assert!(lane.stats().retired_segments >= 3);
        })
        .expect("not stopped");
        sim.crash(Crash::Power);
        sim.run(async {
            let (lane, _) = open(&sim.env(), config.clone()).await;
            lane.adopt(OwnerId(0), keep(MINUTE));
            let next = lane.bounds(OwnerId(0)).expect("known").next;
            assert!(next >= SequenceNumber(1), "seed {seed}: an acknowledged number would be given again");
        })
        .expect("not stopped");
    }
}

#[test]
fn what_an_owner_trims_is_hidden_and_its_space_comes_back() {
    let sim = Sim::new(5);
    let env = sim.env();
    sim.run(async {
        let (lane, _) = open(&env, config()).await;
        lane.adopt(OwnerId(1), Retention::FOREVER);
        lane.adopt(OwnerId(2), Retention::FOREVER);
        for _ in 0..10 {
            append_each(&lane, std::iter::repeat_n(1, 1_000), 100).await;
        }
        append_each(&lane, std::iter::once(2), 100).await;
        env.sleep(MINUTE).await;
        let before = lane.stats();
        assert!(before.segments_sealed >= 3, "{before:?}");

        lane.trim(OwnerId(1), SequenceNumber(4_321));
        let bounds = lane.bounds(OwnerId(1)).expect("known");
        assert_eq!((bounds.oldest, bounds.next), (SequenceNumber(4_321), SequenceNumber(10_000)));
        let fetched = lane.fetch(OwnerId(1), SequenceNumber(0), 1).await.expect("read");
        assert_eq!((fetched.from, fetched.next), (SequenceNumber(4_321), SequenceNumber(4_322)));
        lane.trim(OwnerId(1), SequenceNumber(17));
        lane.trim(OwnerId(3), SequenceNumber(17));
        assert_eq!(
            lane.bounds(OwnerId(1)).expect("known").oldest,
            SequenceNumber(4_321),
            "it never comes back"
        );

        // Beyond the end is the end, and later records are there.
        lane.trim(OwnerId(1), SequenceNumber(1 << 40));
        env.sleep(MINUTE).await;
        let after = lane.stats();
        assert!(after.retired_segments > before.retired_segments, "{after:?}");
        append_each(&lane, std::iter::once(1), 100).await;
        let bounds = lane.bounds(OwnerId(1)).expect("known");
        assert_eq!((bounds.oldest, bounds.next), (SequenceNumber(10_000), SequenceNumber(10_001)));
        assert_eq!(lane.bounds(OwnerId(2)).expect("known").bytes, 100);

        // Not written down: a start finds what is still there, with the same numbers.
        lane.close().await;
        let (lane, _) = open(&env, config()).await;
        lane.adopt(OwnerId(1), Retention::FOREVER);
        let bounds = lane.bounds(OwnerId(1)).expect("known");
        assert!(
            bounds.oldest <= SequenceNumber(10_000) && bounds.next == SequenceNumber(10_001),
            "{bounds:?}"
        );
        lane.close().await;
    })
    .expect("not stopped");
}
