//! The checkpoint of the index: a start with it knows what a start without it does, and a bad one is of no use and does no harm.

use std::{fs, path::Path, time::Duration};

use tidemill_storage::{
    Env, Lane, LaneConfig, RecoveryReport, Retention,
    inspect::{SegmentState, inspect},
    local::LocalEnv,
    sim::{Crash, Faults, Sim},
};
use tidemill_wire::{LaneId, OwnerId, SequenceNumber, message::Ack};

use crate::{
    flip::{copy, draws, flip},
    lane::{config, run},
    record::{Seen, payload, read_all},
};

const OWNERS: u64 = 12;
/// What it has goes soon.
const SHORT: OwnerId = OwnerId(1);

pub(crate) fn quiet(directory: &Path) -> LaneConfig {
    LaneConfig {
        compaction_bytes_per_second: 0,
        recycled_segments_max: 0,
        checkpoint_rows_min: 30,
        upkeep_interval: Duration::from_millis(10),
        ..config(directory)
    }
}

pub(crate) async fn open(env: &LocalEnv, config: LaneConfig) -> (Lane<LocalEnv>, RecoveryReport) {
    let (lane, report) = Lane::open(env.clone(), config).await.expect("opened");
    (1..=OWNERS).for_each(|owner| lane.adopt(OwnerId(owner), Retention::FOREVER));
    (lane, report)
}

/// Some segments with an entry of each owner, and each third with more of the first one.
async fn fill(lane: &Lane<LocalEnv>, rounds: std::ops::Range<u64>) {
    for round in rounds {
        let more = if round % 3 == 0 { 6 } else { 0 };
        for owner in (1..=OWNERS).chain(std::iter::repeat_n(1, more)) {
            let appended = lane.append(OwnerId(owner), payload(round * 100 + owner, 2500), 2, Ack::Durable);
            appended.await.expect("appended");
        }
    }
}

async fn wait_for(env: &LocalEnv, lane: &Lane<LocalEnv>, reached: impl Fn(&Lane<LocalEnv>) -> bool) {
    for _ in 0..1000 {
        if reached(lane) {
            return;
        }
        env.sleep(Duration::from_millis(5)).await;
    }
    panic!("{:?}", lane.stats());
}

pub(crate) async fn everything(lane: &Lane<LocalEnv>) -> Vec<(Vec<Seen>, SequenceNumber, u64)> {
    let mut all = Vec::new();
    for owner in (1..=OWNERS).map(OwnerId) {
        let bounds = lane.bounds(owner).expect("known");
        all.push((read_all(lane, owner, 9000).await, bounds.next, bounds.bytes));
    }
    all
}

fn checkpoint(directory: &Path) -> std::path::PathBuf {
    directory.join("lane/index.checkpoint")
}

/// A lane with a checkpoint, and much behind it.
pub(crate) async fn make(env: &LocalEnv, directory: &Path) {
    let (lane, _) = open(env, quiet(directory)).await;
    fill(&lane, 0..20).await;
    wait_for(env, &lane, |lane| lane.stats().checkpoints > 0).await;
    fill(&lane, 20..26).await;
    env.sleep(Duration::from_millis(50)).await;
    lane.close().await;
}

#[test]
fn a_start_from_a_checkpoint_knows_what_another_one_does() {
    run(|env, directory| async move {
        let directory = directory.path();
        make(&env, directory).await;
        let without = directory.join("without");
        copy(&directory.join("lane"), &without.join("lane"));
        fs::remove_file(checkpoint(&without)).expect("there is one");
        let (lane, report) = open(&env, quiet(directory)).await;
        let (other, other_report) = open(&env, quiet(&without)).await;
        assert_eq!((report.owners_listed, other_report.owners_listed), (OWNERS, 0));
        assert_eq!((report.owners, report.bytes), (OWNERS, other_report.bytes));
        assert_eq!(everything(&lane).await, everything(&other).await);
        other.close().await;

        // Each span is counted once: what nobody has any more goes, and nothing else.
        let sealed = lane.stats().segments_sealed;
        (2..=OWNERS).for_each(|owner| lane.forget(OwnerId(owner)));
        env.sleep(Duration::from_millis(100)).await;
        let kept = read_all(&lane, SHORT, 9000).await;
        assert_eq!(kept.len(), 26 + 6 * 9);
        assert!(lane.stats().segments_sealed < sealed);
        lane.adopt(SHORT, Retention { bytes: Some(0), ..Retention::FOREVER });
        // Its newest entries stay.
        wait_for(&env, &lane, |lane| lane.stats().segments_sealed <= 1).await;
        fill_one(&lane).await;
        lane.close().await;
        let (lane, _) = open(&env, quiet(directory)).await;
        assert_eq!(lane.bounds(SHORT).expect("known").next, SequenceNumber(2 * (26 + 6 * 9 + 1)));
        lane.close().await;
    });
}

async fn fill_one(lane: &Lane<LocalEnv>) {
    lane.append(SHORT, payload(1, 100), 2, Ack::Durable).await.expect("appended");
}

#[test]
fn numbers_go_on_whoever_told_them() {
    run(|env, directory| async move {
        let directory = directory.path();
        make(&env, directory).await;
        let (lane, _) = open(&env, quiet(directory)).await;
        let next: Vec<SequenceNumber> =
            (1..=OWNERS).map(|owner| lane.bounds(OwnerId(owner)).expect("known").next).collect();
        // Nothing is left of any owner; a start finds their numbers in watermarks, and the next ones in those of that start.
        (1..=OWNERS)
            .for_each(|owner| lane.adopt(OwnerId(owner), Retention { bytes: Some(0), ..Retention::FOREVER }));
        fill(&lane, 100..105).await;
        env.sleep(Duration::from_millis(100)).await;
        lane.close().await;
        for _ in 0..3 {
            let (lane, _) = open(&env, quiet(directory)).await;
            for (owner, next) in (1..=OWNERS).zip(&next) {
                let more = if owner == 1 { 2 * (5 + 6) } else { 2 * 5 };
                let found = lane.bounds(OwnerId(owner)).expect("known").next;
                assert_eq!(found, SequenceNumber(next.0 + more), "owner {owner}");
            }
            env.sleep(Duration::from_millis(60)).await;
            lane.close().await;
        }
    });
}

#[test]
fn a_checkpoint_that_is_not_whole_is_passed_over() {
    run(|env, directory| async move {
        let directory = directory.path();
        make(&env, directory).await;
        let (original, only) = (directory.join("original"), directory.join("only"));
        copy(&directory.join("lane"), &original);
        let (lane, _) = open(&env, quiet(directory)).await;
        let whole = everything(&lane).await;
        lane.close().await;
        for draw in draws(3).take(40) {
            copy(&original, &directory.join("lane"));
            fs::create_dir_all(&only).expect("made");
            fs::copy(original.join("index.checkpoint"), only.join("index.checkpoint")).expect("copied");
            let place = flip(&only, draw);
            fs::copy(only.join("index.checkpoint"), checkpoint(directory)).expect("copied");
            let told = inspect(&env, &directory.join("lane")).await.expect("inspected").segments;
            let told = told.into_iter().find(|file| file.state == SegmentState::Checkpoint).expect("listed");
            assert_eq!(told.findings.len(), 1, "{place:?}: {told:?}");
            let (lane, report) = open(&env, quiet(directory)).await;
            assert_eq!(report.owners_listed, 0, "{place:?}");
            assert_eq!(everything(&lane).await, whole, "{place:?}");
            lane.close().await;
        }
        copy(&original, &directory.join("lane"));
        fs::write(checkpoint(directory), b"").expect("written");
        let (_lane, report) = open(&env, quiet(directory)).await;
        assert_eq!(report.owners_listed, 0);
    });
}

#[test]
fn a_checkpoint_of_other_segments_is_passed_over() {
    run(|env, directory| async move {
        let directory = directory.path();
        make(&env, directory).await;
        let original = directory.join("original");
        copy(&directory.join("lane"), &original);
        let segments = inspect(&env, &original).await.expect("inspected").segments;
        let name = |n: usize| segments[n].path.file_name().expect("a name").to_owned();
        // One that it needs went; what is left begins behind it.
        fs::remove_file(directory.join("lane").join(name(0))).expect("removed");
        let (lane, report) = open(&env, quiet(directory)).await;
        assert_eq!(report.owners_listed, 0);
        assert!(!checkpoint(directory).exists() || lane.stats().checkpoints > 0);
        lane.close().await;
        // The trailer of one is gone: it is made anew, and the owners are read.
        copy(&original, &directory.join("lane"));
        let path = directory.join("lane").join(name(3));
        let mut bytes = fs::read(&path).expect("read");
        let trailer = bytes.len() - 4096;
        bytes[trailer + 20] ^= 1;
        fs::write(&path, bytes).expect("written");
        let (lane, report) = open(&env, quiet(directory)).await;
        assert_eq!((report.owners_listed, report.segments_scanned > 0), (0, true));
        lane.close().await;
    });
}

#[test]
fn a_retired_segment_that_waits_to_be_used_again_spoils_no_checkpoint() {
    run(|env, directory| async move {
        let directory = directory.path();
        let little = Retention { bytes: Some(25_000), ..Retention::FOREVER };
        // When upkeep retires segments and writes checkpoints is a matter of time, so the lane is closed again and again.
        let mut is_listed = false;
        for round in 0..60 {
            let (lane, _) = Lane::open(env.clone(), quiet(directory)).await.expect("opened");
            (1..=OWNERS).for_each(|owner| lane.adopt(OwnerId(owner), little));
            fill(&lane, round * 10..round * 10 + 10).await;
            env.sleep(Duration::from_millis(50)).await;
            let waits = lane.stats().segments_retired > 0;
            lane.close().await;
            let (lane, report) = Lane::open(env.clone(), quiet(directory)).await.expect("opened");
            lane.close().await;
            is_listed = waits && report.owners_listed == OWNERS;
            if is_listed {
                break;
            }
        }
        assert!(is_listed, "no start beside a retired segment has used a checkpoint");
    });
}

const KEPT: OwnerId = OwnerId(2);

fn in_simulator(checkpoint_rows_min: u64) -> LaneConfig {
    LaneConfig {
        compaction_bytes_per_second: 0,
        recycled_segments_max: 0,
        checkpoint_rows_min,
        // What is written is not stable until something needs it.
        flush_interval: Duration::from_secs(3600),
        upkeep_interval: Duration::from_secs(1),
        ..LaneConfig::test_min("lane".into(), LaneId(1))
    }
}

/// Lives of a lane whose checkpoint knows the number of an owner that nothing else tells: what told it was behind the listed segments and went with the power. Returns whether it did.
fn told_by_the_checkpoint_only(seed: u64) -> bool {
    let sim = Sim::new(seed);
    let little = Retention { bytes: Some(0), ..Retention::FOREVER };
    let open = async |rows_min| Lane::open(sim.env(), in_simulator(rows_min)).await.expect("opened");
    sim.run(async {
        let (lane, _) = open(u64::MAX).await;
        [SHORT, KEPT].iter().for_each(|owner| lane.adopt(*owner, Retention::FOREVER));
        for n in 0..5 {
            lane.append(SHORT, payload(n, 100), 1, Ack::Durable).await.expect("appended");
        }
        for n in 0..60 {
            lane.append(KEPT, payload(n, 3000), 1, Ack::Durable).await.expect("appended");
        }
        lane.close().await;
        let (lane, _) = open(1).await;
        lane.adopt(KEPT, Retention::FOREVER);
        lane.adopt(SHORT, little);
        lane.append(SHORT, payload(5, 100), 1, Ack::Written).await.expect("appended");
        sim.env().sleep(Duration::from_secs(3)).await;
        assert_eq!(lane.bounds(SHORT).expect("known").bytes, 100, "only the last one is left");
        assert_eq!(lane.stats().checkpoints, 1);
    })
    .expect("not stopped");
    sim.crash(Crash::Power);
    sim.run(async {
        // From now on none is worth to be written, so the segments have to tell the number before the last one goes that this one needs.
        let (lane, report) = open(u64::MAX).await;
        assert_eq!(report.owners_listed, 2);
        lane.adopt(SHORT, little);
        lane.adopt(KEPT, Retention::FOREVER);
        let next = lane.bounds(SHORT).expect("known").next;
        lane.forget(KEPT);
        sim.env().sleep(Duration::from_secs(3)).await;
        assert!(lane.stats().retired_segments > 3, "{:?}", lane.stats());
        lane.close().await;
        let (lane, report) = open(u64::MAX).await;
        assert_eq!(report.owners_listed, 0);
        lane.adopt(SHORT, little);
        assert_eq!(lane.bounds(SHORT).expect("known").next, next, "numbers come back");
        lane.close().await;
        next == SequenceNumber(5)
    })
    .expect("not stopped")
}

#[test]
fn a_number_that_only_the_checkpoint_tells_is_written_down_before_it_goes() {
    let told = (0..40).filter(|seed| told_by_the_checkpoint_only(*seed)).count();
    assert!(told > 3, "{told} of 40 lost the entry that told it");
}

#[test]
fn a_checkpoint_that_finds_no_room_is_tried_less_and_less_often() {
    let sim = Sim::new(1);
    let env = sim.env();
    sim.run(async {
        let config = |rows| LaneConfig { upkeep_interval: Duration::from_millis(200), ..in_simulator(rows) };
        let (lane, _) = Lane::open(env.clone(), config(u64::MAX)).await.expect("opened");
        lane.adopt(KEPT, Retention::FOREVER);
        for n in 0..60 {
            lane.append(KEPT, payload(n, 3000), 1, Ack::Durable).await.expect("appended");
        }
        lane.close().await;
        let (lane, _) = Lane::open(env.clone(), config(1)).await.expect("opened");
        sim.set_faults(Faults { capacity_bytes: Some(sim.disk_bytes()), ..Faults::default() });
        lane.adopt(KEPT, Retention::FOREVER);
        env.sleep(Duration::from_secs(100)).await;
        let stats = lane.stats();
        // After 0.2 s, 0.4 s, and so on up to 51 s; each pass would have been five hundred times.
        assert!((7..=10).contains(&stats.checkpoint_failures), "{stats:?}");
        assert!(stats.checkpoint_wait_ms > 1000 && stats.checkpoints == 0, "{stats:?}");
        // The time between is bounded.
        env.sleep(Duration::from_secs(3 * 3600)).await;
        let later = lane.stats().checkpoint_failures - stats.checkpoint_failures;
        assert!((3 * 6..3 * 6 + 5).contains(&later), "{later} in three hours");
        sim.set_faults(Faults::default());
        env.sleep(Duration::from_secs(601)).await;
        let stats = lane.stats();
        assert_eq!((stats.checkpoints, stats.checkpoint_wait_ms), (1, 0), "{stats:?}");
        lane.close().await;
    })
    .expect("not stopped");
}
