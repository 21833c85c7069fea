//! What a repair says is lost: no more than what the rest of a segment, its neighbours and the checkpoint leave open.

use std::{fs, os::unix::fs::FileExt, path::Path};

use tidemill_storage::{
    LaneConfig,
    inspect::{EntryLine, LaneReport, SegmentReport, SegmentState, Severity, entries, verify},
    lane::repair::{Loss, RepairOptions, repair},
    local::LocalEnv,
};
use tidemill_wire::{LaneId, SequenceNumber, entry::EntryKind};

use crate::{
    checkpoint,
    fixture::IMAGES,
    flip::{PASSING, copy, fill},
    image::unpack,
    lane::run,
};

const HEADER_BYTES: u64 = 64;
const PAGE_BYTES: u64 = 4096;

fn options(directory: &Path, lane: u32, apply: bool) -> RepairOptions {
    RepairOptions {
        directory: directory.join("lane"),
        lane: LaneId(lane),
        aside: directory.join("aside"),
        apply,
        owners: Vec::new(),
    }
}

fn flip(path: &Path, place: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).expect("opened");
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).expect("read");
    file.write_all_at(&[byte[0] ^ 1], place).expect("written");
}

/// Makes zeroes of what is behind a segment's entries.
fn wipe_footer(segment: &SegmentReport) {
    let file = fs::OpenOptions::new().write(true).open(&segment.path).expect("opened");
    let end = PAGE_BYTES + segment.entry_bytes;
    file.write_all_at(&vec![0; (segment.file_bytes - end) as usize], end).expect("written");
}

/// The entries with records of the segments that count.
async fn records(env: &LocalEnv, report: &LaneReport) -> Vec<(SegmentReport, EntryLine)> {
    let mut found = Vec::new();
    let counts = |segment: &&SegmentReport| {
        matches!(segment.state, SegmentState::Sealed | SegmentState::Open) && segment.entries > 0
    };
    for segment in report.segments.iter().filter(counts) {
        let lines = |line: EntryLine| found.push((segment.clone(), line));
        entries(env, &segment.path, segment.id.expect("a segment"), lines).await.expect("read");
    }
    found.retain(|(_, line)| line.header.kind != EntryKind::Watermarks);
    found
}

/// How many records the bytes of an entry hold.
fn record_count(segment: &SegmentReport, line: &EntryLine) -> u64 {
    let bytes = fs::read(&segment.path).expect("read");
    let at = (line.position + HEADER_BYTES) as usize;
    match line.header.kind {
        EntryKind::Sparse => u64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four"))),
        _ => u64::from(line.header.record_count),
    }
}

/// What a repair would say is lost; nothing where there is nothing to repair.
async fn losses(env: &LocalEnv, directory: &Path, lane: u32) -> Option<Vec<Loss>> {
    let told = repair(env, &options(directory, lane, false)).await.expect("repaired");
    (!told.segments.is_empty())
        .then(|| told.segments.iter().flat_map(|segment| segment.losses.clone()).collect())
}

/// Has each entry of a lane lose a bit, and its segment all of its footer.
///
/// Numbers of `PASSING` below `passed` are over.
async fn each_entry_alone(
    env: &LocalEnv,
    directory: &Path,
    original: &Path,
    (lane, passed): (u32, SequenceNumber),
) -> (u32, u32) {
    let copied = directory.join("lane");
    copy(original, &copied);
    let report = verify(env, &copied).await.expect("verified");
    let (mut told, mut sparse) = (0, 0);
    for (segment, line) in records(env, &report).await {
        copy(original, &copied);
        let records_max = record_count(&segment, &line);
        flip(&segment.path, line.position + HEADER_BYTES + line.header.payload_bytes() as u64 / 2);
        if segment.state == SegmentState::Sealed {
            wipe_footer(&segment);
        }
        // Behind the last entry of all nothing says that it was stable.
        let Some(mut losses) = losses(env, directory, lane).await else { continue };
        // What retention took between two segments a repair cannot tell from a loss. No segment that counts has any of it.
        let is_over = |owner, to| owner == PASSING && to <= passed;
        losses.retain(|loss| !is_over(loss.owner, loss.to));
        for loss in losses.iter_mut().filter(|loss| loss.owner == PASSING) {
            loss.from = loss.from.max(passed);
        }
        let (from, to) = (line.header.base_sequence, line.header.next_sequence());
        let owner = line.header.owner;
        if is_over(owner, to) {
            continue;
        }
        let expected = Loss { owner, from, to, records_max, is_exact: true };
        assert_eq!(losses, [expected], "{line:?} of {segment:?}");
        told += 1;
        sparse += u32::from(records_max < to.since(from));
    }
    (told, sparse)
}

#[test]
fn an_entry_with_one_wrong_bit_is_lost_alone_though_no_footer_tells_of_it() {
    run(|env, directory| async move {
        let directory = directory.path();
        let original = directory.join("original");
        fs::create_dir(&original).expect("made");
        let passed = fill(&env, &original).await;
        let (told, _) = each_entry_alone(&env, directory, &original.join("lane"), (3, passed)).await;
        assert!(told > 25, "{told}");
    });
}

#[test]
fn a_sparse_entry_with_one_wrong_bit_is_lost_alone_though_no_footer_tells_of_it() {
    run(|env, directory| async move {
        let directory = directory.path();
        let original = directory.join("original");
        fs::create_dir(&original).expect("made");
        unpack(&fs::read(Path::new(IMAGES).join("lane-checkpoint-1.image")).expect("the image"), &original);
        fs::remove_file(original.join("index.checkpoint")).expect("there is one");
        let (told, sparse) = each_entry_alone(&env, directory, &original, (3, SequenceNumber(0))).await;
        assert!(told > 40 && sparse > 0, "{told}, {sparse} of them sparse");
    });
}

/// Rows of the owner table of a sealed segment: where it begins, and how many bytes each takes.
fn rows(path: &Path) -> (u64, u64) {
    let bytes = fs::read(path).expect("a segment");
    let at = bytes.len() - PAGE_BYTES as usize + 32;
    (u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight")), 60)
}

/// Zeroes in the middle of an entry, of which no single bit makes another one.
fn spoil(path: &Path, line: &EntryLine) {
    let file = fs::OpenOptions::new().write(true).open(path).expect("opened");
    file.write_all_at(&[0x5a; 9], line.position + 33).expect("written");
}

#[test]
fn sound_rows_tell_what_is_lost_though_the_table_is_not_whole() {
    run(|env, directory| async move {
        let directory = directory.path();
        let original = directory.join("original");
        fs::create_dir(&original).expect("made");
        fill(&env, &original).await;
        let (original, lane) = (original.join("lane"), directory.join("lane"));
        copy(&original, &lane);
        let report = verify(&env, &lane).await.expect("verified");
        let mut told = 0;
        for (segment, line) in records(&env, &report).await {
            let owner = line.header.owner;
            let other = segment.owners.iter().position(|row| row.owner != owner && !row.watermark_only);
            let (Some(other), SegmentState::Sealed) = (other, segment.state) else { continue };
            copy(&original, &lane);
            spoil(&segment.path, &line);
            let (table, row_bytes) = rows(&segment.path);
            flip(&segment.path, table + other as u64 * row_bytes + 20);
            let losses = losses(&env, directory, 3).await.expect("something to repair");
            let (from, to) = (line.header.base_sequence, line.header.next_sequence());
            let own: Vec<Loss> = losses.into_iter().filter(|loss| loss.owner == owner).collect();
            let is_right = |loss: &Loss| (loss.from, loss.to, loss.is_exact) == (from, to, true);
            assert!(own.len() == 1 && is_right(&own[0]), "{line:?} of {segment:?}: {own:?}");
            told += 1;
        }
        assert!(told > 10, "{told}");
    });
}

#[test]
fn a_checkpoint_tells_rows_of_a_segment_that_has_lost_its_footer() {
    run(|env, directory| async move {
        let directory = directory.path();
        checkpoint::make(&env, directory).await;
        let (original, lane) = (directory.join("original"), directory.join("lane"));
        copy(&lane, &original);
        let report = verify(&env, &lane).await.expect("verified");
        let first = report.segments.iter().find(|segment| segment.state == SegmentState::Sealed);
        let first = first.expect("a sealed one").clone();
        let (mut told, mut untold) = (0, 0);
        for (segment, line) in records(&env, &report).await {
            if segment.id != first.id {
                continue;
            }
            for has_checkpoint in [true, false] {
                copy(&original, &lane);
                spoil(&segment.path, &line);
                wipe_footer(&segment);
                if !has_checkpoint {
                    fs::remove_file(lane.join("index.checkpoint")).expect("there is one");
                }
                let losses = losses(&env, directory, 3).await.expect("something to repair");
                let (from, to) = (line.header.base_sequence, line.header.next_sequence());
                let is_right = |loss: &Loss| (loss.from, loss.to, loss.is_exact) == (from, to, true);
                let is_told = losses.len() == 1 && is_right(&losses[0]);
                assert!(is_told || !has_checkpoint, "{line:?}: {losses:?}");
                told += u32::from(has_checkpoint);
                untold += u32::from(!is_told);
            }
        }
        assert!(told > 3 && untold > 3, "{told} told, without the checkpoint {untold} not");
    });
}

#[test]
fn points_that_are_damaged_with_their_table_are_repaired_where_a_start_does_not_read_the_table() {
    run(|env, directory| async move {
        let directory = directory.path();
        checkpoint::make(&env, directory).await;
        let (original, lane) = (directory.join("original"), directory.join("lane"));
        copy(&lane, &original);
        let quiet = || LaneConfig { checkpoint_rows_min: u64::MAX, ..checkpoint::quiet(directory) };
        let (whole, _) = checkpoint::open(&env, quiet()).await;
        let all = checkpoint::everything(&whole).await;
        whole.close().await;
        let report = verify(&env, &original).await.expect("verified");
        let mut repaired = 0;
        for segment in report.segments.iter().filter(|segment| segment.state == SegmentState::Sealed) {
            copy(&original, &lane);
            let path = lane.join(segment.path.file_name().expect("a name"));
            let (table, row_bytes) = rows(&path);
            flip(&path, table + 20);
            flip(&path, table + segment.owners.len() as u64 * row_bytes + 5);
            assert!(!verify(&env, &lane).await.expect("verified").is_sound());
            // There is none before the first repair.
            _ = fs::remove_dir_all(directory.join("aside"));
            let done = repair(&env, &options(directory, 3, true)).await.expect("repaired");
            assert_eq!(done.segments.len(), 1);
            assert_eq!(done.segments[0].losses, []);
            let (open, _) = checkpoint::open(&env, quiet()).await;
            assert_eq!(checkpoint::everything(&open).await, all);
            open.close().await;
            repaired += 1;
        }
        assert!(repaired > 5, "{repaired}");
    });
}

#[test]
fn each_of_several_damaged_segments_at_the_end_of_the_log_is_told() {
    run(|env, directory| async move {
        let directory = directory.path();
        checkpoint::make(&env, directory).await;
        let lane = directory.join("lane");
        fs::remove_file(lane.join("index.checkpoint")).expect("there is one");
        let report = verify(&env, &lane).await.expect("verified");
        let sealed = report.segments.iter().filter(|segment| segment.state == SegmentState::Sealed);
        let last: Vec<&SegmentReport> = sealed.rev().take(2).collect();
        for segment in &last {
            // The second entry: one behind it says that it was stable.
            let mut lines = Vec::new();
            entries(&env, &segment.path, segment.id.expect("an id"), |line| lines.push(line))
                .await
                .expect("read");
            let line = if segment.id == last[1].id { lines[1] } else { lines[lines.len() - 2] };
            spoil(&segment.path, &line);
            wipe_footer(segment);
        }
        let report = verify(&env, &lane).await.expect("verified");
        for segment in &last {
            let found = report.segments.iter().find(|found| found.path == segment.path).expect("it is there");
            assert!(found.findings.iter().any(|finding| finding.severity == Severity::Damage), "{found:?}");
        }
        let done = repair(&env, &options(directory, 3, true)).await.expect("repaired");
        assert_eq!(done.segments.len(), 2, "{done:?}");
        assert!(verify(&env, &lane).await.expect("verified").is_sound());
        let (open, _) = checkpoint::open(&env, checkpoint::quiet(directory)).await;
        open.close().await;
    });
}
