//! Repair: makes a lane that recovery refuses one that it opens, with everything that can still be read.
//!
//! Owns the order of the steps: find the damaged segments, salvage their entries, write these to a segment of version 2 that takes the same place in the
//! log, name it, and only then put the original aside. Promises that nothing is changed unless it is asked to, that no original is ever
//! written to or removed, that sequence numbers which may have been given out are not given out again, and that a crash between two steps leaves a lane
//! that the next repair finishes. What is lost is stated in the log by entries that take numbers without a record, so everything before a gap
//! stays. Leaves out who may have the lane open: the caller holds the data directory's lock.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use tidemill_wire::{LaneId, OwnerId, SequenceNumber};

use super::checkpoint::Checkpoint;
use crate::{
    config::LaneConfig,
    env::{Access, Disk, Env},
    error::{Cause, DiskError},
    inspect::{Finding, LaneReport, SegmentReport, SegmentState, Severity, verify},
    segment::{CHECKPOINT_NAME, Place, SegmentId, segment_path},
};

mod borrow;
mod extent;
mod index;
mod numbers;
mod places;
mod rebuild;
mod salvage;
mod traces;

use numbers::{Composed, compose};
use places::Places;
use salvage::{Kind, Salvaged, salvage};
pub(crate) use traces::Traces;

/// What broken entries tell in bytes of a segment in which there should be entries.
pub(crate) fn find_traces(bytes: &[u8], id: SegmentId) -> Traces {
    traces::find(bytes, std::slice::from_ref(&(0..bytes.len() as u64)), id)
}

/// What a repair may do.
#[derive(Clone, Debug)]
pub struct RepairOptions {
    /// Directory of the lane's segments.
    pub directory: PathBuf,
    /// The lane's number.
    pub lane: LaneId,
    /// Where damaged files are moved, on the same file system. It is made if it is missing.
    pub aside: PathBuf,
    /// Whether to do it, or only to tell what would be done.
    pub apply: bool,
    /// Owners that may have had entries here of which nothing is left, so that their numbers go on as well.
    pub owners: Vec<OwnerId>,
}

/// What was done, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairReport {
    /// Directory of the lane's segments.
    pub directory: PathBuf,
    /// Whether it was done.
    pub is_applied: bool,
    /// One for each damaged file, in the order of their places.
    pub segments: Vec<SegmentRepair>,
}

/// The repair of a damaged file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRepair {
    /// The damaged file.
    pub path: PathBuf,
    /// Where it is put.
    pub aside: PathBuf,
    /// What takes its place; `None` if its entries are elsewhere already.
    pub replacement: Option<PathBuf>,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
    /// Entries of all kinds that were salvaged.
    pub entries: u64,
    /// Entries that it has lost, and that were taken from segments which it had replaced.
    pub borrowed: u64,
    /// Parts of the file in which there should be entries and are none. Nothing is lost where only a header or a footer is damaged.
    pub lost_bytes: Vec<Range<u64>>,
    /// Sequence numbers whose records are gone.
    pub losses: Vec<Loss>,
}

/// Sequence numbers of an owner that have no record any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The owner.
    pub owner: OwnerId,
    /// The first number.
    pub from: SequenceNumber,
    /// The number after the last one.
    pub to: SequenceNumber,
    /// How many of them had a record at most. Where key compaction had been they may be few, and none where retention had taken what was between two segments, which a repair cannot always tell from a loss.
    pub records_max: u64,
    /// Whether all of them were given out for certain. Without an index nothing tells where an owner's lost numbers end: then as many are passed
    /// over as the lost bytes can have held.
    pub is_exact: bool,
}

/// Why a lane was not repaired. Nothing was changed, unless the disk failed on the way.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RepairError {
    /// Sound bytes contradict each other.
    #[error("{} at byte {}: expected {}, found {}: which of them is right is not for a repair to tell; restore the directory from a backup", path.display(), finding.offset, finding.expected, finding.found)]
    Disorder {
        /// The file.
        path: PathBuf,
        /// What contradicts what.
        finding: Finding,
    },
    /// A file has the name of another segment.
    #[error("{} holds segment {found:016x}: give it back its name", path.display())]
    Misnamed {
        /// The file.
        path: PathBuf,
        /// The number in its header.
        found: u64,
    },
    /// The header of a compacted segment is gone, and nothing else tells where in the log its entries belong.
    #[error("{} has lost its header, and its entries fit no place in the log: move it away, and what it holds is lost", path.display())]
    Unplaced {
        /// The file.
        path: PathBuf,
    },
    /// More numbers are missing than an index can count.
    #[error("owner {owner} misses numbers {from} to {to} at {}, more than a segment can state", path.display())]
    Gap {
        /// The file.
        path: PathBuf,
        /// The owner.
        owner: OwnerId,
        /// The first number.
        from: SequenceNumber,
        /// The number after the last one.
        to: SequenceNumber,
    },
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// A damaged file on its way.
struct Case {
    id: SegmentId,
    report: SegmentReport,
    salvaged: Salvaged,
    /// Where its replacement goes; `None` if none is needed.
    place: Option<Place>,
}

/// Repairs a lane, or tells what that would do. A lane without damage is left as it is.
pub async fn repair<E: Env>(env: &E, options: &RepairOptions) -> Result<RepairReport, RepairError> {
    let mut report = verify(env, &options.directory).await?;
    refuse_disorder(&report)?;
    tell_cuts(env, options, &mut report).await?;
    let highest = env.disk().list(&options.directory)?.iter().filter_map(|name| number_of(name)).max();
    let mut next_id = highest.unwrap_or(0) + 1;
    let (cases, places) = cases(env, options, &report).await?;
    let mut done = RepairReport {
        directory: options.directory.clone(),
        is_applied: options.apply,
        segments: Vec::new(),
    };
    for mut composed in compose(&report, &places, cases, &options.owners)? {
        if composed.place.is_none() && !composed.watermarks.is_empty() {
            // Numbers that only a superseded file told: they go on from anywhere.
            composed.place = Some(Place { first: next_id, last: next_id });
            next_id += 1;
        }
        let id = next_id;
        next_id += u64::from(composed.place.is_some());
        done.segments.push(mend(env, options, &composed, id).await?);
    }
    Ok(done)
}

/// Counts among the damaged ones each segment in which a start would see the end of the log, though a damaged one behind it still has entries. Left as it is, it would be cut, and the numbers
/// that go on behind would hide all that their owners have before. One whose place a repair had already given to another when it was interrupted is put aside.
async fn tell_cuts<E: Env>(
    env: &E,
    options: &RepairOptions,
    report: &mut LaneReport,
) -> Result<(), RepairError> {
    let mut behind = None;
    for segment in report.segments.iter_mut().rev().filter(|segment| segment.covers.is_none()) {
        let Some(id) = segment.id else { continue };
        let damaged = is_damaged(segment);
        let matters = match segment.state {
            _ if damaged => behind.is_none(),
            SegmentState::Superseded => true,
            SegmentState::Open | SegmentState::Spare => behind.is_some(),
            _ => false,
        };
        if !matters {
            continue;
        }
        let file = env.disk().open(segment.path.clone(), Access::Read).await?;
        let salvaged = salvage(&file, id, options.lane).await?;
        if damaged {
            let has_entries = !salvaged.is_empty() || salvaged.broken.is_some();
            behind = (salvaged.kind != Kind::Compacted && has_entries).then_some(id);
            continue;
        }
        let is_replaced = segment.state == SegmentState::Superseded;
        let Some(cut) = salvaged.cut().filter(|_| !(is_replaced && salvaged.has_trailer)) else { continue };
        let expected = match behind.filter(|_| !is_replaced) {
            Some(behind) => format!("an entry, since segment {behind:016x} lies behind it"),
            None => "a segment that is closed, since another one has taken its place".to_owned(),
        };
        let found = "none that is whole".to_owned();
        segment.findings.push(Finding { severity: Severity::Damage, offset: cut, expected, found });
    }
    Ok(())
}

fn refuse_disorder(report: &LaneReport) -> Result<(), RepairError> {
    for segment in &report.segments {
        if let Some(finding) = segment.findings.iter().find(|found| found.severity == Severity::Disorder) {
            return Err(RepairError::Disorder { path: segment.path.clone(), finding: finding.clone() });
        }
    }
    Ok(())
}

/// The number in a file's name, whatever the file is.
fn number_of(name: &str) -> Option<SegmentId> {
    SegmentId::from_str_radix(name.split('.').next()?, 16).ok()
}

fn is_damaged(segment: &SegmentReport) -> bool {
    segment.findings.iter().any(|found| found.severity >= Severity::Damage)
}

/// Reads what is left of the damaged files, finds their places, and what else is left of what was in them.
async fn cases<E: Env>(
    env: &E,
    options: &RepairOptions,
    report: &LaneReport,
) -> Result<(Vec<Case>, Places), RepairError> {
    let mut cases = Vec::new();
    for segment in report.segments.iter().filter(|segment| is_damaged(segment)) {
        let Some(id) = segment.id else { continue };
        let file = env.disk().open(segment.path.clone(), Access::Read).await?;
        let salvaged = salvage(&file, id, options.lane).await?;
        if let Some(found) = salvaged.foreign_id {
            return Err(RepairError::Misnamed { path: segment.path.clone(), found });
        }
        cases.push(Case { id, report: segment.clone(), salvaged, place: None });
    }
    let end = end_of_log(report, &cases);
    for case in &mut cases {
        // Behind the last entry of the segment in which the log ends only a broken one is missed.
        let is_end = case.id >= end && case.salvaged.kind != Kind::Compacted;
        let Salvaged { lost, tail, broken, .. } = &mut case.salvaged;
        lost.extend(if is_end { broken.take() } else { tail.take() });
    }
    let checkpoint = read_checkpoint(env, options).await?;
    for case in &mut cases {
        let rows = checkpoint.iter().flat_map(|checkpoint| checkpoint.rows_of(case.id));
        rows.for_each(|row| case.salvaged.index.add(row));
        case.salvaged.trace(case.id);
    }
    let places = places::find(report, &cases)?;
    for case in &mut cases {
        case.place = places.of(case.id).filter(|_| !places.is_taken(case.id));
    }
    borrow::borrow(env, options, report, &places, &mut cases).await?;
    Ok((cases, places))
}

/// The checkpoint of the index, if there is one that is whole: it tells some rows of owner tables.
async fn read_checkpoint<E: Env>(
    env: &E,
    options: &RepairOptions,
) -> Result<Option<Checkpoint>, RepairError> {
    if !env.disk().list(&options.directory)?.iter().any(|name| name == CHECKPOINT_NAME) {
        return Ok(None);
    }
    let config = LaneConfig::production(options.directory.clone(), options.lane);
    Ok(super::checkpoint::read(env, &config).await?)
}

/// The newest segment of the log in which there is anything.
fn end_of_log(report: &LaneReport, cases: &[Case]) -> SegmentId {
    let sound = report.segments.iter().filter(|segment| !is_damaged(segment));
    // A repair has written some anew, with the place that they had; numbers alone it puts anywhere.
    let last = |segment: &SegmentReport| match segment.covers {
        Some((_, last)) => segment.owners.iter().any(|row| !row.watermark_only).then_some(last),
        None => segment.id.filter(|_| segment.entries > 0),
    };
    // In one of which nothing is left there may have been something.
    let damaged = cases.iter().filter(|case| case.salvaged.kind != Kind::Compacted).map(|case| case.id);
    sound.filter_map(last).chain(damaged).max().unwrap_or(0)
}

fn report_place(segment: &SegmentReport) -> Option<Place> {
    let id = segment.id?;
    segment.lane?;
    Some(segment.covers.map_or(Place { first: id, last: id }, |(first, last)| Place { first, last }))
}

/// Writes the replacement and puts the original aside.
async fn mend<E: Env>(
    env: &E,
    options: &RepairOptions,
    composed: &Composed,
    id: SegmentId,
) -> Result<SegmentRepair, RepairError> {
    let case = &composed.case;
    let aside = free_name(env, &options.aside, &case.report.path)?;
    let replacement = composed.place.map(|_| segment_path(&options.directory, id));
    if options.apply {
        if let Some(place) = composed.place {
            let config = LaneConfig::production(options.directory.clone(), options.lane);
            rebuild::rebuild(env, &config, composed, id, place).await?;
        }
        // The replacement has its stable name, so the original is superseded, and the lane opens without it.
        env.disk().create_directory(&options.aside)?;
        let file = env.disk().open(case.report.path.clone(), Access::Read).await?;
        env.disk().rename(&file, aside.clone()).await?;
        env.disk().sync_directory(options.aside.clone()).await?;
        env.disk().sync_directory(options.directory.clone()).await?;
    }
    Ok(SegmentRepair {
        path: case.report.path.clone(),
        aside,
        replacement,
        findings: case.report.findings.clone(),
        entries: case.salvaged.entries.len() as u64,
        borrowed: composed.borrowed(),
        lost_bytes: case.salvaged.lost.clone(),
        losses: composed.losses.clone(),
    })
}

/// A name beside what earlier repairs left there.
fn free_name<E: Env>(env: &E, aside: &Path, path: &Path) -> Result<PathBuf, RepairError> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    const NO_SUCH_FILE: i32 = rustix::io::Errno::NOENT.raw_os_error();
    let there = match env.disk().list(aside) {
        Err(error) if error.cause == Cause::Os(NO_SUCH_FILE) => Vec::new(),
        listed => listed?,
    };
    let numbered = (1..).map(|number| format!("{name}.{number}"));
    let free = std::iter::once(name.clone()).chain(numbered).find(|name| !there.contains(name));
    Ok(aside.join(free.unwrap_or(name)))
}

/// A gap that a segment cannot state.
fn too_wide(case: &Case, owner: OwnerId, from: SequenceNumber, to: SequenceNumber) -> RepairError {
    RepairError::Gap { path: case.report.path.clone(), owner, from, to }
}
