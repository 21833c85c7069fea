//! Damage to segments that compaction has replaced already, and that a crash kept from being retired.

use std::{
    ffi::OsString,
    fs,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tidemill_storage::{
    Env, Lane, LaneConfig, Retention,
    inspect::{LaneReport, SegmentReport, SegmentState, inspect, verify},
    lane::repair::RepairReport,
    local::LocalEnv,
};
use tidemill_wire::{OwnerId, message::Ack};

use crate::{
    flip::{KEPT, copy, read},
    lane::{config, run},
    record::{Seen, payload},
    repair::check,
};

const PASSING: OwnerId = OwnerId(9);

fn flip(path: &Path, place: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).expect("opened");
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).expect("read");
    file.write_all_at(&[byte[0] ^ 1], place).expect("written");
}

/// Where the owner table of a sealed segment begins.
fn owners(path: &Path) -> u64 {
    let file = fs::File::open(path).expect("opened");
    let mut position = [0; 8];
    file.read_exact_at(&mut position, file.metadata().expect("a file").len() - 4096 + 32).expect("read");
    u64::from_le_bytes(position)
}

/// Appends so many entries, mostly of the owner that keeps little.
async fn append(lane: &Lane<LocalEnv>, numbers: Range<u64>) {
    for n in numbers {
        let owner = if n % 3 == 0 { KEPT[(n % 2) as usize] } else { PASSING };
        let bytes = 500 + n as usize % 90 * 20;
        lane.append(owner, payload(n, bytes), 2, Ack::Durable).await.expect("appended");
    }
}

/// Waits until all is done that compaction finds to do: nothing changes for a while. So many compactions and retired segments must be enough.
async fn until_quiet(env: &LocalEnv, lane: &Lane<LocalEnv>, is_enough: impl Fn((u64, u64)) -> bool) {
    let work = || (lane.stats().compactions, lane.stats().retired_segments);
    let (mut quiet, mut done) = (0, work());
    for _ in 0..1000 {
        env.sleep(Duration::from_millis(10)).await;
        quiet = if work() == done { quiet + 1 } else { 0 };
        done = work();
        if quiet > 20 && is_enough(done) {
            return;
        }
    }
    panic!("{done:?} compactions and retired segments");
}

/// A lane in the folder `lane` as a process leaves it that ends before it retires what it compacted: each segment that was replaced is there as well.
/// Returns these segments' names.
async fn fill(env: &LocalEnv, directory: &Path) -> Vec<OsString> {
    let before = directory.join("before");
    let quick = LaneConfig { upkeep_interval: Duration::from_millis(5), ..config(directory) };
    let (lane, _) = Lane::open(env.clone(), quick).await.expect("opened");
    lane.pause_compaction(true);
    KEPT.iter().for_each(|owner| lane.adopt(*owner, Retention::FOREVER));
    lane.adopt(PASSING, Retention { bytes: Some(4 << 10), ..Retention::FOREVER });
    append(&lane, 0..90).await;
    env.sleep(Duration::from_millis(100)).await;
    copy(&directory.join("lane"), &before);
    // What is over goes by itself, copy or no copy.
    let gone = lane.stats().retired_segments;
    lane.pause_compaction(false);
    until_quiet(env, &lane, |done| done.0 > 0 && done.1 > gone).await;
    lane.close().await;
    drop(lane);
    for entry in fs::read_dir(&before).expect("the directory") {
        let path = entry.expect("an entry").path();
        let to = directory.join("lane").join(path.file_name().expect("a name"));
        if path.extension().is_some_and(|suffix| suffix == "segment") && !to.exists() {
            fs::copy(&path, &to).expect("copied");
        }
    }
    let report = inspect(env, &directory.join("lane")).await.expect("inspected");
    let replaced = report.segments.into_iter().filter(|segment| segment.state == SegmentState::Superseded);
    replaced.map(|segment| segment.path.file_name().expect("a name").to_owned()).collect()
}

#[test]
fn a_damaged_segment_that_was_replaced_keeps_no_lane_closed_while_its_footer_tells_its_numbers() {
    run(|env, directory| async move {
        let [original, scratch] = ["original", "scratch"].map(|name| directory.path().join(name));
        fs::create_dir(&original).expect("made");
        let victims = fill(&env, &original).await;
        let victim = victims.first().expect("some were retired");
        let round = |damage: fn(&Path)| {
            let (env, original, scratch) = (env.clone(), original.join("lane"), scratch.clone());
            async move {
                copy(&original, &scratch.join("lane"));
                damage(&scratch.join("lane").join(victim));
                read(&env, &scratch).await
            }
        };
        let whole = round(|_| {}).await.expect("it is a crash like any other");
        assert_eq!(whole.iter().map(Vec::len).sum::<usize>(), 30);
        assert_eq!(round(|path| flip(path, 24)).await.as_ref(), Ok(&whole));
        let error = round(|path| {
            flip(path, 24);
            flip(path, owners(path) + 9);
        });
        let error = error.await.expect_err("nothing tells its numbers");
        assert!(error.contains(&*victim.to_string_lossy()) && error.contains("at offset 0"), "{error}");
    });
}

/// Places all over a segment, one in each structure, each with a number of bytes.
fn places(segment: &SegmentReport) -> Vec<(&'static str, u64, usize)> {
    let end = 4096 + segment.entry_bytes;
    vec![
        ("header", 0, 512),
        ("first entries", 4096, 512),
        ("middle entries", 4096 + segment.entry_bytes / 2 / 512 * 512, 512),
        ("last entries", (end - 1) / 512 * 512, 512),
        ("owner table", owners(&segment.path), 60),
        ("points", segment.file_bytes - 4096 - 16, 16),
        ("trailer", segment.file_bytes - 4096, 512),
    ]
}

/// Sets so many of a file's bytes to zero.
fn zero(path: &Path, place: u64, bytes: usize) {
    let file = fs::OpenOptions::new().write(true).open(path).expect("opened");
    file.write_all_at(&vec![0; bytes], place).expect("written");
}

/// A lane in which some of the segments are still there that compaction has replaced.
struct Remains {
    name: String,
    directory: PathBuf,
    compacted: Vec<SegmentReport>,
    /// Those that are there.
    replaced: Vec<SegmentReport>,
    /// All of the replaced ones are there.
    is_whole: bool,
}

/// Lanes with all of the replaced segments, with none, with each of them alone, with all but each, and with every other one.
async fn remains(env: &LocalEnv, directory: &Path) -> Vec<Remains> {
    let original = directory.join("original");
    fs::create_dir(&original).expect("made");
    let victims = fill(env, &original).await;
    assert!(victims.len() > 3, "{victims:?}");
    let mut choices = vec![victims.clone(), Vec::new()];
    for victim in &victims {
        choices.push(vec![victim.clone()]);
        choices.push(victims.iter().filter(|other| *other != victim).cloned().collect());
    }
    choices.extend((0..2).map(|odd| victims.iter().skip(odd).step_by(2).cloned().collect()));
    let mut all = Vec::new();
    for (number, kept) in choices.into_iter().enumerate() {
        let directory = directory.join(format!("remains-{number}"));
        copy(&original.join("lane"), &directory);
        for victim in victims.iter().filter(|victim| !kept.contains(victim)) {
            fs::remove_file(directory.join(victim)).expect("removed");
        }
        let report = verify(env, &directory).await.expect("verified");
        assert!(report.is_sound(), "{report:?}");
        let (replaced, others): (Vec<_>, Vec<_>) =
            report.segments.into_iter().partition(|segment| segment.state == SegmentState::Superseded);
        let compacted = others.into_iter().filter(|segment| segment.covers.is_some()).collect();
        let is_whole = kept.len() == victims.len();
        all.push(Remains { name: format!("{kept:?}"), directory, compacted, replaced, is_whole });
    }
    all
}

/// Damages a copy of a lane with some remains, and repairs it.
async fn damaged_and_repaired(
    env: &LocalEnv,
    directory: &Path,
    remains: &Remains,
    whole: &[Vec<Seen>],
    damages: &[(&SegmentReport, u64, usize)],
) -> RepairReport {
    let lane = directory.join("lane");
    copy(&remains.directory, &lane);
    _ = fs::remove_dir_all(directory.join("aside"));
    let mut what = format!("with {}", remains.name);
    for (segment, place, bytes) in damages {
        let name = segment.path.file_name().expect("a name");
        zero(&lane.join(name), *place, *bytes);
        what += &format!(", {bytes} zeroes at {place} of {}", name.display());
    }
    check(env, directory, whole, &what).await
}

#[test]
fn a_compacted_segment_without_a_header_replaces_after_a_repair_what_it_had_replaced() {
    run(|env, directory| async move {
        let directory = directory.path();
        for remains in remains(&env, directory).await {
            copy(&remains.directory, &directory.join("lane"));
            let whole = read(&env, directory).await.expect("sound");
            for segment in &remains.compacted {
                let done =
                    damaged_and_repaired(&env, directory, &remains, &whole, &[(segment, 0, 512)]).await;
                assert_eq!(done.segments.len(), 1);
                assert_eq!(done.segments[0].losses, []);
                assert!(done.segments[0].replacement.is_some());
            }
            // Nor do two of them need anything else.
            let headers: Vec<_> = remains.compacted.iter().map(|segment| (segment, 0, 4096)).collect();
            let done = damaged_and_repaired(&env, directory, &remains, &whole, &headers).await;
            assert_eq!(done.segments.len(), headers.len());
            assert!(done.segments.iter().all(|segment| segment.losses.is_empty()), "{done:?}");
        }
    });
}

#[test]
fn what_a_damaged_segment_has_lost_is_taken_from_those_that_it_replaced() {
    run(|env, directory| async move {
        let directory = directory.path();
        let (mut borrowed, mut lost) = (0, 0);
        for (round, remains) in remains(&env, directory).await.into_iter().enumerate() {
            copy(&remains.directory, &directory.join("lane"));
            let whole = read(&env, directory).await.expect("sound");
            for segment in remains.compacted.iter().chain(&remains.replaced) {
                let places = places(segment);
                let is_needed = segment.state != SegmentState::Superseded && !remains.is_whole;
                let pairs = (0..places.len()).flat_map(|one| (0..=one).map(move |other| [one, other]));
                // Each pair is taken in one of three rounds, and each place alone in all of them.
                let is_due = |[one, other]: &[usize; 2]| one == other || (one + other + round) % 3 == 0;
                for damages in pairs.filter(is_due).map(|pair| pair.map(|index| places[index])) {
                    let is_hit = |what: &str| damages.iter().any(|(name, _, _)| name.ends_with(what));
                    // Without an index nothing tells of entries before the first one that is left, but where bytes are lost.
                    if is_needed && is_hit("entries") && (is_hit("owner table") || is_hit("trailer")) {
                        continue;
                    }
                    let damages: Vec<_> =
                        damages.iter().map(|(_, place, bytes)| (segment, *place, *bytes)).collect();
                    let done = damaged_and_repaired(&env, directory, &remains, &whole, &damages).await;
                    borrowed += done.segments.iter().map(|segment| segment.borrowed).sum::<u64>();
                    // Without a trailer nothing tells which of the replaced owners had still been there.
                    let losses = done.segments.iter().flat_map(|segment| &segment.losses);
                    let is_lost = losses.filter(|loss| KEPT.contains(&loss.owner)).count() > 0;
                    lost += u32::from(is_lost);
                    assert!(!is_lost || is_needed, "{damages:?}: {done:?}");
                }
            }
        }
        assert!(borrowed > 0 && lost > 0, "{borrowed} borrowed, {lost} lost");
    });
}

/// Compacted segments whose number lies within the place of another one.
fn surrounded(report: &LaneReport) -> Vec<&SegmentReport> {
    let compacted = || report.segments.iter().filter(|segment| segment.state == SegmentState::Sealed);
    let is_around =
        |id, places: Option<(u64, u64)>| places.is_some_and(|(first, last)| first <= id && id <= last);
    let is_surrounded = |segment: &&SegmentReport| {
        let id = segment.id.unwrap_or(0);
        segment.covers.is_some() && compacted().any(|other| is_around(id, other.covers))
    };
    compacted().filter(is_surrounded).collect()
}

#[test]
fn a_compacted_segment_is_not_taken_for_replaced_because_another_ones_place_goes_around_its_number() {
    run(|env, directory| async move {
        let directory = directory.path();
        let original = directory.join("original");
        fs::create_dir(&original).expect("made");
        let quick = LaneConfig { upkeep_interval: Duration::from_millis(5), ..config(&original) };
        let (lane, _) = Lane::open(env.clone(), quick).await.expect("opened");
        KEPT.iter().for_each(|owner| lane.adopt(*owner, Retention::FOREVER));
        lane.adopt(PASSING, Retention { bytes: Some(4 << 10), ..Retention::FOREVER });
        // The outputs have numbers between those of segments that are compacted later.
        for round in 0..30 {
            lane.pause_compaction(true);
            append(&lane, round * 90..(round + 1) * 90).await;
            lane.pause_compaction(false);
            until_quiet(&env, &lane, |done| done.0 > 0).await;
            let report = inspect(&env, &original.join("lane")).await.expect("inspected");
            if !surrounded(&report).is_empty() {
                break;
            }
        }
        lane.close().await;
        drop(lane);
        let lane = directory.join("lane");
        copy(&original.join("lane"), &lane);
        let whole = read(&env, directory).await.expect("sound");
        let report = verify(&env, &lane).await.expect("verified");
        let surrounded = surrounded(&report);
        assert!(!surrounded.is_empty(), "{report:?}");
        for segment in surrounded {
            copy(&original.join("lane"), &lane);
            _ = fs::remove_dir_all(directory.join("aside"));
            zero(&segment.path, 0, 512);
            let refused = read(&env, directory).await.expect_err("nothing else has its entries");
            assert!(refused.contains(&*segment.path.to_string_lossy()), "{refused}");
            let done = check(&env, directory, &whole, &refused).await;
            assert_eq!(done.segments[0].losses, []);
        }
    });
}
