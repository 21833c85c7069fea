//! A segment in which the log would be cut, before a damaged one: repaired, interrupted, and repaired again, nothing is hidden.

use std::{
    fs,
    os::unix::fs::{FileExt, symlink},
    path::{Path, PathBuf},
};

use tidemill_storage::{
    Lane, LaneConfig, OpenError, Retention,
    inspect::{SegmentReport, SegmentState, entries, verify},
    lane::repair::{RepairError, RepairOptions, RepairReport, repair},
    local::LocalEnv,
};
use tidemill_wire::{LaneId, SequenceNumber, entry::EntryKind, message::Ack};

use crate::{
    flip::{KEPT, copy, read},
    lane::{config, run},
    record::{Seen, payload},
    repair::survivors,
};

/// The two segments at the end of a log.
struct Ends {
    /// Without its last record and all behind that.
    cut: PathBuf,
    /// Without its header.
    headless: PathBuf,
}

fn options(directory: &Path, aside: &Path) -> RepairOptions {
    let (lane, aside) = (directory.join("lane"), aside.to_owned());
    RepairOptions { directory: lane, lane: LaneId(3), aside, apply: true, owners: Vec::new() }
}

fn zero(path: &Path, from: u64, to: u64) {
    let file = fs::OpenOptions::new().write(true).open(path).expect("opened");
    file.write_all_at(&vec![0; (to - from) as usize], from).expect("written");
}

/// Where the records of a segment are.
async fn records(env: &LocalEnv, segment: &SegmentReport) -> Vec<u64> {
    let mut positions = Vec::new();
    entries(env, &segment.path, segment.id.expect("a segment"), |line| {
        if line.header.kind != EntryKind::Watermarks {
            positions.push(line.position);
        }
    })
    .await
    .expect("read");
    positions
}

/// A log that was never compacted, damaged at its end, and what it held before.
async fn damaged(env: &LocalEnv, directory: &Path) -> (Ends, Vec<Vec<Seen>>) {
    let quiet = LaneConfig { compaction_bytes_per_second: 0, ..config(directory) };
    let (lane, _) = Lane::open(env.clone(), quiet).await.expect("opened");
    KEPT.iter().for_each(|owner| lane.adopt(*owner, Retention::FOREVER));
    for n in 0..60 {
        let owner = KEPT[(n % 2) as usize];
        lane.append(owner, payload(n, 900), 1, Ack::Durable).await.expect("appended");
    }
    lane.close().await;
    let whole = read(env, directory).await.expect("sound");
    let report = verify(env, &directory.join("lane")).await.expect("verified");
    let last = |state| report.segments.iter().rfind(|segment| segment.state == state && segment.entries > 0);
    let cut = last(SegmentState::Sealed).expect("more than one segment");
    let open = last(SegmentState::Open).expect("one in which the log ends");
    assert!(cut.id < open.id && records(env, open).await.len() > 3, "{report:?}");
    let position = *records(env, cut).await.last().expect("some records");
    zero(&cut.path, position, cut.file_bytes);
    zero(&open.path, 0, 512);
    (Ends { cut: cut.path.clone(), headless: open.path.clone() }, whole)
}

/// Checks that all but what the repairs tell is there, that the log goes on, and that nothing of it is hidden by another start.
async fn check(env: &LocalEnv, directory: &Path, whole: &[Vec<Seen>], reports: &[&RepairReport]) {
    let losses = || reports.iter().flat_map(|report| &report.segments).flat_map(|segment| &segment.losses);
    let kept = |(owner, entries): (usize, &Vec<Seen>)| -> Vec<Seen> {
        let is_lost = |entry: &Seen| {
            losses().any(|loss| loss.owner == KEPT[owner] && (loss.from..loss.to).contains(&entry.base))
        };
        entries.iter().filter(|entry| !is_lost(entry)).cloned().collect()
    };
    let mut kept: Vec<Vec<Seen>> = whole.iter().enumerate().map(kept).collect();
    for _ in 0..3 {
        for (owner, (entries, base)) in survivors(env, directory).await.into_iter().enumerate() {
            assert_eq!(entries, kept[owner]);
            kept[owner].push(Seen { base, record_count: 1, payload: payload(1, 8) });
        }
    }
}

#[test]
fn what_is_acknowledged_after_a_repair_that_was_interrupted_stays() {
    run(|env, directory| async move {
        let directory = directory.path();
        let (ends, whole) = damaged(&env, directory).await;
        // A link to nowhere is no directory, and none can be made in its place.
        let nowhere = directory.join("nowhere");
        symlink(directory.join("nothing"), &nowhere).expect("linked");
        let files = || fs::read_dir(directory.join("lane")).expect("the directory").count();
        let before = files();
        let error = repair(&env, &options(directory, &nowhere)).await.expect_err("nothing can be put aside");
        assert!(matches!(error, RepairError::Disk(_)), "{error}");
        assert_eq!(files(), before + 1, "the first replacement has its name");
        let done = repair(&env, &options(directory, &directory.join("aside"))).await.expect("repaired");
        let paths: Vec<&PathBuf> = done.segments.iter().map(|segment| &segment.path).collect();
        assert!(paths.contains(&&ends.cut) && paths.contains(&&ends.headless), "{done:?}");
        assert!(verify(&env, &directory.join("lane")).await.expect("verified").is_sound());
        // What the first one lost it could not tell any more.
        let (last, owner) = (SequenceNumber(22), 1);
        assert_eq!(whole[owner].iter().filter(|entry| entry.base == last).count(), 1);
        let mut left = whole;
        left[owner].retain(|entry| entry.base != last);
        check(&env, directory, &left, &[&done]).await;
    });
}

#[test]
fn a_segment_that_a_repair_has_replaced_is_never_the_end_of_the_log() {
    run(|env, directory| async move {
        let directory = directory.path();
        let (ends, whole) = damaged(&env, directory).await;
        let aside = directory.join("aside");
        let done = repair(&env, &options(directory, &aside)).await.expect("repaired");
        assert_eq!(done.segments.len(), 2, "{done:?}");
        let put = |path: &Path| aside.join(path.file_name().expect("a name"));
        fs::copy(put(&ends.cut), &ends.cut).expect("put back");
        check(&env, directory, &whole, &[&done]).await;
    });
}

/// Flips a bit of the first row of a segment's owner table.
fn spoil_table(path: &Path) {
    let mut bytes = fs::read(path).expect("a segment");
    let at = bytes.len() - 4096 + 32;
    let table = u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight")) as usize;
    bytes[table + 20] ^= 1;
    fs::write(path, bytes).expect("written");
}

#[test]
fn an_open_end_before_records_that_were_written_anew_is_refused_also_if_their_table_is_broken() {
    run(|env, directory| async move {
        let directory = directory.path();
        let (ends, whole) = damaged(&env, directory).await;
        let lane = directory.join("lane");
        // Only the one behind is repaired.
        let cut = fs::read(&ends.cut).expect("read");
        let aside = directory.join("aside");
        let done = repair(&env, &options(directory, &aside)).await.expect("repaired");
        let replacement = |path: &Path| {
            let found = done.segments.iter().find(|segment| segment.path == path).expect("repaired");
            found.replacement.clone().expect("replaced")
        };
        let behind = replacement(&ends.headless);
        fs::remove_file(replacement(&ends.cut)).expect("removed");
        fs::write(&ends.cut, cut).expect("put back");
        let half = directory.join("half");
        copy(&lane, &half);
        for is_broken in [false, true] {
            copy(&half, &lane);
            if is_broken {
                spoil_table(&behind);
            }
            assert!(!verify(&env, &lane).await.expect("verified").is_sound());
            let refused = Lane::open(env.clone(), config(directory)).await.map(drop);
            let Err(OpenError::Damaged(damage)) = refused else { panic!("{refused:?}") };
            assert_eq!(damage.path, ends.cut, "{damage}");
            _ = fs::remove_dir_all(&aside);
            let again = repair(&env, &options(directory, &aside)).await.expect("repaired");
            assert!(again.segments.iter().any(|segment| segment.path == ends.cut), "{again:?}");
            assert!(verify(&env, &lane).await.expect("verified").is_sound());
            check(&env, directory, &whole, &[&done, &again]).await;
        }
    });
}
