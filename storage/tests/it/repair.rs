//! Repair: whatever was damaged, the lane opens again, everything else is there, and no number comes back.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use tidemill_storage::{
    Lane, LaneConfig, Retention,
    inspect::{SegmentReport, SegmentState, entries, verify},
    lane::repair::{Loss, RepairOptions, RepairReport, repair},
    local::LocalEnv,
};
use tidemill_wire::{LaneId, SequenceNumber, entry::EntryKind, entry::EntryRun, message::Ack};

use crate::{
    flip::{KEPT, copy, draws, fill, flip, read},
    lane::{config, run},
    record::{Seen, payload},
};

fn options(directory: &Path, apply: bool) -> RepairOptions {
    RepairOptions {
        directory: directory.join("lane"),
        lane: LaneId(3),
        aside: directory.join("aside"),
        apply,
        owners: Vec::new(),
    }
}

/// Records of an owner as readers see them, and the number that comes next.
pub(crate) async fn survivors(env: &LocalEnv, directory: &Path) -> Vec<(Vec<Seen>, SequenceNumber)> {
    let quiet = LaneConfig { compaction_bytes_per_second: 0, ..config(directory) };
    let (lane, _) = Lane::open(env.clone(), quiet).await.expect("a repaired lane opens");
    let mut all = Vec::new();
    for owner in KEPT {
        lane.adopt(owner, Retention::FOREVER);
        let (mut entries, mut from) = (Vec::new(), lane.bounds(owner).expect("known").oldest);
        loop {
            let fetched = lane.fetch(owner, from, 3000).await.expect("a repaired lane can be read");
            if fetched.entries.is_empty() {
                break;
            }
            for entry in fetched.entries.iter().flat_map(|run| EntryRun::new(run.clone())) {
                let (header, payload) = entry.expect("a fetch returns valid entries");
                assert!(header.base_sequence >= from && header.owner == owner);
                if header.kind == EntryKind::Batch {
                    let (base, record_count) = (header.base_sequence, header.record_count);
                    entries.push(Seen { base, record_count, payload });
                }
            }
            from = fetched.next;
        }
        let appended = lane.append(owner, payload(1, 8), 1, Ack::Durable).await.expect("appended");
        all.push((entries, appended.base_sequence));
    }
    lane.close().await;
    all
}

/// A filled lane, with a copy of it in the folder `lane`: where it is, and everything of the owners that keep it.
async fn filled(env: &LocalEnv, directory: &Path) -> (PathBuf, Vec<Vec<Seen>>) {
    let original = directory.join("original");
    fs::create_dir(&original).expect("made");
    fill(env, &original).await;
    copy(&original.join("lane"), &directory.join("lane"));
    (original, read(env, directory).await.expect("sound"))
}

fn is_lost(losses: &[Loss], owner: usize, entry: &Seen) -> bool {
    losses.iter().any(|loss| loss.owner == KEPT[owner] && loss.from <= entry.base && entry.base < loss.to)
}

/// Repairs a damaged copy, and checks what is left against what was there.
pub(crate) async fn check(env: &LocalEnv, directory: &Path, whole: &[Vec<Seen>], what: &str) -> RepairReport {
    let lane = directory.join("lane");
    let told = repair(env, &options(directory, false)).await.expect(what);
    assert!(!told.is_applied && !directory.join("aside").exists());
    let done = repair(env, &options(directory, true)).await.expect(what);
    assert_eq!(told.segments, done.segments, "{what}");
    let report = verify(env, &lane).await.expect("verified");
    assert!(report.is_sound(), "{what}: {report:?}");
    let again = repair(env, &options(directory, true)).await.expect(what);
    assert_eq!(again.segments, [], "{what}");
    assert!(done.segments.iter().all(|segment| segment.aside.exists() && !segment.path.exists()), "{what}");
    let losses: Vec<Loss> = done.segments.iter().flat_map(|segment| segment.losses.clone()).collect();
    for (owner, (entries, next)) in survivors(env, directory).await.into_iter().enumerate() {
        let end = whole[owner].last().map_or(0, |last| last.base.0 + u64::from(last.record_count));
        assert!(next.0 >= end, "{what}: number {next} of owner {owner} comes back, there were {end}");
        let kept: Vec<Seen> =
            whole[owner].iter().filter(|entry| !is_lost(&losses, owner, entry)).cloned().collect();
        assert_eq!(entries, kept, "{what}: {done:?}");
    }
    done
}

#[test]
fn after_flipped_bits_everything_else_is_there() {
    run(|env, directory| async move {
        let directory = directory.path();
        let (original, whole) = filled(&env, directory).await;
        let mut repaired = 0;
        for (round, draw) in draws(11).take(250).enumerate() {
            copy(&original.join("lane"), &directory.join("lane"));
            // There is none before the first repair.
            _ = fs::remove_dir_all(directory.join("aside"));
            let places: Vec<_> = (0..=round % 3)
                .map(|n| flip(&directory.join("lane"), draw.rotate_left(n as u32 * 21)))
                .collect();
            let done = check(&env, directory, &whole, &format!("{places:?}")).await;
            repaired += usize::from(!done.segments.is_empty());
        }
        assert!(repaired > 50, "{repaired} repaired");
    });
}

/// A byte of each structure around a segment's entries, of the footer only where there is one.
fn structures(segment: &SegmentReport) -> Vec<(&'static str, u64)> {
    let bytes = fs::read(&segment.path).expect("a segment");
    let end = bytes.len() - 4096;
    let mut places = vec![("header", 24)];
    if segment.state == SegmentState::Sealed {
        let field = |at: usize| u64::from_le_bytes(bytes[end + at..end + at + 8].try_into().expect("eight"));
        let (footer, owners) = (field(32), field(40) & 0xffff_ffff);
        places.extend([("trailer", end as u64 + 24), ("owner table", footer + 9)]);
        if field(44) & 0xffff_ffff > 0 {
            places.push(("points", footer + owners * 60 + 5));
        }
    }
    places
}

#[test]
fn what_entries_tell_as_well_is_repaired_without_a_loss() {
    run(|env, directory| async move {
        let directory = directory.path();
        let (original, whole) = filled(&env, directory).await;
        let report = verify(&env, &directory.join("lane")).await.expect("verified");
        let mut repaired = BTreeSet::new();
        for segment in report.segments.iter().filter(|segment| segment.entries > 0) {
            for (structure, place) in structures(segment) {
                copy(&original.join("lane"), &directory.join("lane"));
                _ = fs::remove_dir_all(directory.join("aside"));
                let file = fs::OpenOptions::new().read(true).write(true).open(&segment.path).expect("opened");
                let mut byte = [0];
                file.read_exact_at(&mut byte, place).expect("read");
                file.write_all_at(&[byte[0] ^ 1], place).expect("written");
                let what = format!("{structure} of {}", segment.path.display());
                let done = check(&env, directory, &whole, &what).await;
                let paths: Vec<&Path> = done.segments.iter().map(|segment| &*segment.path).collect();
                // A start makes an owner table anew, and a trailer of a segment that it need not have been sealed before.
                let is_mended =
                    structure == "owner table" || structure == "trailer" && segment.covers.is_none();
                if is_mended && paths.is_empty() {
                    continue;
                }
                assert_eq!(paths, [&*segment.path], "{what}");
                assert!(done.segments[0].losses.is_empty(), "{what}: {done:?}");
                repaired.insert(structure);
            }
        }
        assert!(repaired.is_superset(&BTreeSet::from(["header", "points"])), "{repaired:?}");
    });
}

#[test]
fn after_zeroed_sectors_everything_else_is_there() {
    run(|env, directory| async move {
        let directory = directory.path();
        let (original, whole) = filled(&env, directory).await;
        let report = verify(&env, &directory.join("lane")).await.expect("verified");
        for segment in report.segments.iter().filter(|segment| segment.entries > 0) {
            let end = 4096 + segment.entry_bytes;
            let places = [0, 4096, 4096 + segment.entry_bytes / 2 / 512 * 512, end / 512 * 512];
            for place in places.into_iter().chain([segment.file_bytes - 4096]) {
                copy(&original.join("lane"), &directory.join("lane"));
                _ = fs::remove_dir_all(directory.join("aside"));
                let file = fs::OpenOptions::new().write(true).open(&segment.path).expect("opened");
                file.write_all_at(&[0; 512], place).expect("written");
                check(&env, directory, &whole, &format!("{} at {place}", segment.path.display())).await;
            }
        }
    });
}

#[test]
fn numbers_of_a_broken_last_entry_do_not_come_back_from_a_segment_without_a_header() {
    run(|env, directory| async move {
        let directory = directory.path();
        fill(&env, directory).await;
        let whole = read(&env, directory).await.expect("sound");
        let report = verify(&env, &directory.join("lane")).await.expect("verified");
        let mut open = report.segments.iter().filter(|segment| segment.state == SegmentState::Open);
        let last = open.next_back().expect("one in which the log ends");
        let mut positions = Vec::new();
        entries(&env, &last.path, last.id.expect("a segment"), |line| {
            positions.push((line.header.kind, line.position));
        })
        .await
        .expect("read");
        // The marks of a close and of what was opened since vouch for what is before them.
        let is_record = |(kind, _): &&(EntryKind, u64)| *kind != EntryKind::Watermarks;
        let (_, position) = *positions.iter().rfind(is_record).expect("some records");
        let file = fs::OpenOptions::new().write(true).open(&last.path).expect("opened");
        file.write_all_at(&[0; 512], 0).expect("written");
        file.write_all_at(&[0xff; 8], position + 100).expect("written");
        for (_, mark) in positions.iter().filter(|(_, other)| *other > position) {
            file.write_all_at(&[0; 64], *mark).expect("written");
        }
        let done = check(&env, directory, &whole, "the last entry and the header").await;
        assert!(done.segments[0].losses.iter().any(|loss| !loss.is_exact), "{done:?}");
    });
}
