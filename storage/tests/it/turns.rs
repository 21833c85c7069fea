//! What others meet between two steps of long work, and that no step is long: something is interposed there.

use std::{
    cell::{Cell, RefCell},
    fs,
    os::unix::fs::FileExt,
    path::Path,
    rc::Rc,
    time::Duration,
};

use tidemill_storage::{
    Env, Lane, LaneConfig, Retention,
    failpoint::{Work, interpose},
    inspect::{SegmentState, inspect},
    limits::{SCAN_STEP_BYTES, UPKEEP_BATCH},
    sim::{Crash, Sim, SimEnv},
};
use tidemill_wire::{LaneId, OwnerId, SequenceNumber, message::Ack};

use crate::{
    lane::{config, run},
    record::{payload, read_all, times},
};

/// More than are led to another segment in two steps.
const OWNERS: u64 = 2 * UPKEEP_BATCH as u64 + 88;
const ROUNDS: u64 = 10;
/// Half of each segment.
const FILLER: OwnerId = OwnerId(10_000);
/// Not a multiple of a step, so that the last one is shorter.
const SEGMENT_BYTES: u64 = 256 << 10;

fn many(compaction_bytes_per_second: u64) -> LaneConfig {
    LaneConfig {
        segment_bytes: SEGMENT_BYTES,
        group_entries_max: 1024,
        group_bytes_max: 64 << 10,
        queue_bytes_max: 16 << 20,
        recycled_segments_max: 0,
        upkeep_interval: Duration::from_secs(1),
        compaction_bytes_per_second,
        grouping_age: Duration::MAX,
        ..LaneConfig::test_min("lane".into(), LaneId(1))
    }
}

/// Segments with an entry of each owner in each, and as much of another one.
async fn fill<E: Env>(lane: &Lane<E>, rounds: u64) {
    (1..=OWNERS).for_each(|owner| lane.adopt(OwnerId(owner), Retention::FOREVER));
    lane.adopt(FILLER, Retention::FOREVER);
    for round in 0..rounds {
        let owners = (1..=OWNERS).map(|owner| (OwnerId(owner), 60)).chain((0..25).map(|_| (FILLER, 3500)));
        let appends: Vec<_> = owners
            .map(|(owner, bytes)| lane.append(owner, payload(round << 32 | owner.0, bytes), 1, Ack::Durable))
            .collect();
        for append in appends {
            append.await.expect("appended");
        }
    }
}

/// Reads each number of an owner alone, from the newest on.
async fn read_each(lane: &Lane<SimEnv>, owner: OwnerId) {
    for number in (0..ROUNDS).rev().map(SequenceNumber) {
        let fetched =
            lane.fetch(owner, number, 1).await.unwrap_or_else(|error| panic!("{owner}, {number}: {error}"));
        assert_eq!(times(&fetched)[0].0, number, "{owner}");
    }
}

#[test]
fn records_are_found_while_owners_are_led_to_what_compaction_has_made() {
    let sim = Sim::new(1);
    let env = sim.env();
    sim.run(async {
        let (lane, _) = Lane::open(env.clone(), many(0)).await.expect("opened");
        fill(&lane, ROUNDS).await;
        lane.close().await;
        // All that is live fits one segment, so that owners' oldest records and those that are looked up get into it together.
        let larger = LaneConfig { segment_bytes: 2 << 20, ..many(64 << 20) };
        let (lane, _) = Lane::open(env.clone(), larger).await.expect("opened");
        lane.pause_compaction(true);
        (1..=OWNERS).for_each(|owner| lane.adopt(OwnerId(owner), Retention::FOREVER));
        let turns = Rc::new(Cell::new(0));
        let (reader, count) = (lane.clone(), Rc::clone(&turns));
        let _interposed = interpose(Work::Install, move || {
            count.set(count.get() + 1);
            let reader = reader.clone();
            // One who is led there in each of the steps: some are already, others not yet.
            async move {
                for owner in [1, UPKEEP_BATCH as u64 + 1, OWNERS] {
                    read_each(&reader, OwnerId(owner)).await;
                }
            }
        });
        lane.adopt(FILLER, Retention { bytes: Some(0), ..Retention::FOREVER });
        lane.pause_compaction(false);
        env.sleep(Duration::from_secs(20)).await;
        let stats = lane.stats();
        assert!(
            stats.compacted_segments > 4 && turns.get() >= 3 * stats.compactions,
            "{} turns, {stats:?}",
            turns.get()
        );
        for owner in [1, OWNERS] {
            assert_eq!(read_all(&lane, OwnerId(owner), 9000).await.len() as u64, ROUNDS);
        }
        lane.close().await;
    })
    .expect("not stopped");
}

/// A reader or a new retention lets go of what is over at once, but not while a checkpoint counts what there is.
#[test]
fn a_checkpoint_counts_what_owners_have_whoever_comes_meanwhile() {
    let sim = Sim::new(2);
    let env = sim.env();
    let config = || LaneConfig { checkpoint_rows_min: 1, ..many(0) };
    sim.run(async {
        let quiet = LaneConfig { checkpoint_rows_min: u64::MAX, ..config() };
        let (lane, _) = Lane::open(env.clone(), quiet).await.expect("opened");
        // Few enough that none is missing in the index between an owner's oldest and newest ones: those can be let go at once.
        fill(&lane, 4).await;
        lane.close().await;
        let (lane, _) = Lane::open(env.clone(), config()).await.expect("opened");
        lane.adopt(FILLER, Retention::FOREVER);
        (1..=OWNERS).for_each(|owner| lane.adopt(OwnerId(owner), Retention::FOREVER));
        let (changer, next) = (lane.clone(), Cell::new(1));
        let _interposed = interpose(Work::Checkpoint, move || {
            // Some more of them each time, so that those who were counted and those who were not are among them.
            let some = next.get()..(next.get() + 20).min(OWNERS + 1);
            next.set(some.end);
            for owner in some.map(OwnerId) {
                changer.adopt(owner, Retention { bytes: Some(70), ..Retention::FOREVER });
            }
            async {}
        });
        env.sleep(Duration::from_secs(3)).await;
        assert_eq!(lane.stats().checkpoints, 1, "{:?}", lane.stats());
        assert_eq!(lane.bounds(OwnerId(OWNERS)).expect("known").bytes, 120, "all were changed");
    })
    .expect("not stopped");
    sim.crash(Crash::Process);
    sim.run(async {
        let (lane, report) = Lane::open(env.clone(), config()).await.expect("opened");
        assert_eq!(report.owners_listed, OWNERS + 1);
        lane.owners().into_iter().for_each(|owner| lane.forget(owner));
        env.sleep(Duration::from_secs(5)).await;
        let stats = lane.stats();
        assert_eq!((stats.segments_sealed, stats.live_bytes), (0, 0), "what nobody has goes: {stats:?}");
        lane.close().await;
    })
    .expect("not stopped");
}

#[test]
fn retention_that_has_to_look_up_what_comes_next_takes_bounded_steps() {
    let sim = Sim::new(3);
    let env = sim.env();
    sim.run(async {
        let (lane, _) = Lane::open(env.clone(), many(0)).await.expect("opened");
        fill(&lane, ROUNDS).await;
        let steps = Rc::new(RefCell::new(vec![0]));
        let (counted, counts) = (lane.clone(), Rc::clone(&steps));
        let _interposed = interpose(Work::Retention, move || {
            counts.borrow_mut().push(counted.stats().expiry_lookups);
            async {}
        });
        (1..=OWNERS).for_each(|owner| {
            lane.adopt(OwnerId(owner), Retention { bytes: Some(130), ..Retention::FOREVER });
        });
        env.sleep(Duration::from_secs(3)).await;
        let left = |owner| lane.bounds(OwnerId(owner)).expect("known").bytes;
        assert!((1..=OWNERS).all(|owner| left(owner) <= 240), "{}", left(1));
        let steps = steps.take();
        let longest = steps.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
        assert!(longest > 0 && longest <= UPKEEP_BATCH as u64, "{longest} owners in a step");
        lane.close().await;
    })
    .expect("not stopped");
}

fn flip(path: &Path, place: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).expect("opened");
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).expect("read");
    file.write_all_at(&[byte[0] ^ 1], place).expect("written");
}

#[test]
fn an_owner_table_that_rots_is_made_anew_once_and_in_steps() {
    const BYTES: u64 = 4 << 20;
    run(|env, directory| async move {
        let config = LaneConfig {
            segment_bytes: BYTES,
            compaction_bytes_per_second: 0,
            checkpoint_rows_min: u64::MAX,
            entry_bytes_max: 64 << 10,
            queue_bytes_max: 1 << 20,
            group_bytes_max: 1 << 20,
            ..config(directory.path())
        };
        let (lane, _) = Lane::open(env.clone(), config.clone()).await.expect("opened");
        let owner = OwnerId(1);
        lane.adopt(owner, Retention::FOREVER);
        while lane.stats().segments_sealed < 7 {
            lane.append(owner, payload(lane.stats().appended_entries, 60 << 10), 1, Ack::Written)
                .await
                .expect("appended");
        }
        let segments = inspect(&env, &config.directory).await.expect("inspected").segments;
        let sealed = segments.iter().filter(|segment| segment.state == SegmentState::Sealed);
        let middle = sealed.clone().nth(3).expect("there are seven");
        let first = middle.owners[0].first;
        let bytes = fs::read(&middle.path).expect("read");
        let trailer = bytes.len() - 4096 + 32;
        let table = u64::from_le_bytes(bytes[trailer..trailer + 8].try_into().expect("eight"));
        flip(&middle.path, table + 20);

        let steps = Rc::new(Cell::new(0));
        let counted = Rc::clone(&steps);
        let _interposed = interpose(Work::Scan, move || {
            counted.set(counted.get() + 1);
            async {}
        });
        let fetch = |number: u64| {
            let (lane, from) = (lane.clone(), SequenceNumber(first.0 + number));
            async move { times(&lane.fetch(owner, from, 1).await.expect("the entries tell the row"))[0].0 }
        };
        let found = futures_util::future::join3(fetch(0), fetch(3), fetch(9)).await;
        let after = |number| SequenceNumber(first.0 + number);
        assert_eq!(found, (after(0), after(3), after(9)));
        let all = BYTES / SCAN_STEP_BYTES as u64;
        // A step ends with an entry.
        let of_once = all * 3 / 4..=all;
        assert!(of_once.contains(&steps.get()), "{} steps for {BYTES} bytes", steps.get());
        assert_eq!(fs::read(&middle.path).expect("read"), bytes, "it is what it was");
        assert_eq!(fetch(5).await, after(5));
        assert!(of_once.contains(&steps.get()), "nothing is left to be made anew");
        lane.close().await;
    });
}
