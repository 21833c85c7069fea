//! What a repair did, or would do, as it is printed; and the lock under which it is done.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use tidemill_storage::inspect::Severity;
use tidemill_storage::repair::{Loss, RepairError, RepairOptions, RepairReport, SegmentRepair, repair};
use tidemill_wire::LaneId;

use super::{Place, lane_number, local_env, owners};
use crate::command::serve::arm_failpoint;
use crate::failure::{CommandError, Exit, Outcome, chain};
use crate::output::Output;

#[derive(Serialize)]
struct Report {
    is_applied: bool,
    lanes: Vec<Lane>,
}

#[derive(Serialize)]
struct Lane {
    directory: String,
    segments: Vec<Segment>,
}

#[derive(Serialize)]
struct Segment {
    file: String,
    moved_to: String,
    replaced_by: Option<String>,
    findings: Vec<Finding>,
    entries_kept: u64,
    /// Entries that it has lost and files had that it had replaced.
    entries_taken: u64,
    lost_bytes: Vec<(u64, u64)>,
    lost_records: Vec<Lost>,
}

#[derive(Serialize)]
struct Finding {
    offset: u64,
    expected: String,
    found: String,
}

#[derive(Serialize)]
struct Lost {
    owner: u64,
    from_sequence: u64,
    to_sequence: u64,
    /// How many of them had a record at most.
    records_max: u64,
    /// Without an index nothing tells where the lost numbers end; then as many are passed over as can be lost.
    is_exact: bool,
}

/// Repairs the lanes of a directory that no server has open.
pub(super) fn run(place: &Place, aside: Option<&Path>, apply: bool, output: Output) -> Outcome {
    let lanes = place.lanes()?;
    let data = data_of(&place.directory, &lanes);
    let _lock = lock(data)?;
    if apply {
        arm_failpoint()?;
    }
    let known = owners::recorded(data);
    let env = local_env()?;
    let mut report = Report { is_applied: apply, lanes: Vec::new() };
    for directory in lanes {
        let lane = LaneId(lane_number(&directory).unwrap_or(0));
        let aside = aside.map_or_else(
            || beside(&directory),
            |aside| aside.join(directory.file_name().unwrap_or_default()),
        );
        let owners = known.iter().filter(|(home, _)| *home == lane).map(|(_, owner)| *owner).collect();
        let options = RepairOptions { directory, lane, aside, apply, owners };
        let done = env.block_on(repair(&env, &options)).map_err(|error| {
            let exit = if matches!(error, RepairError::Disk(_)) { Exit::Failure } else { Exit::Damaged };
            CommandError::new(exit, chain(&error))
        })?;
        report.lanes.push(Lane::from(&done));
    }
    let damaged = report.lanes.iter().map(|lane| lane.segments.len()).sum::<usize>();
    output.print(&report, Report::text)?;
    if damaged == 0 || apply {
        return Ok(());
    }
    Err(CommandError::new(
        Exit::Damaged,
        format!("{damaged} damaged files; nothing was changed, --apply repairs them"),
    ))
}

/// Beside the lane, with a name that is no lane's.
fn beside(directory: &Path) -> PathBuf {
    directory.with_extension("damaged")
}

/// The data directory, where one of its lanes may have been named.
fn data_of<'a>(directory: &'a Path, lanes: &[PathBuf]) -> &'a Path {
    let is_lane = lanes.iter().any(|lane| lane == directory);
    if is_lane { directory.parent().unwrap_or(directory) } else { directory }
}

/// Holds the data directory's lock, as a server does.
fn lock(data: &Path) -> Outcome<File> {
    let path = data.join("LOCK");
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let file = opened.map_err(|error| CommandError::at_path(&path, &error))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
        CommandError::new(Exit::Refused, format!("a server runs on {}: stop it first", data.display()))
    })?;
    Ok(file)
}

impl From<&RepairReport> for Lane {
    fn from(report: &RepairReport) -> Self {
        Self {
            directory: report.directory.display().to_string(),
            segments: report.segments.iter().map(Segment::from).collect(),
        }
    }
}

impl From<&SegmentRepair> for Segment {
    fn from(segment: &SegmentRepair) -> Self {
        let findings = segment.findings.iter().filter(|finding| finding.severity >= Severity::Damage);
        let finding = |finding: &tidemill_storage::inspect::Finding| Finding {
            offset: finding.offset,
            expected: finding.expected.clone(),
            found: finding.found.clone(),
        };
        let lost = |loss: &Loss| Lost {
            owner: loss.owner.get(),
            from_sequence: loss.from.get(),
            to_sequence: loss.to.get(),
            records_max: loss.records_max,
            is_exact: loss.is_exact,
        };
        Self {
            file: segment.path.display().to_string(),
            moved_to: segment.aside.display().to_string(),
            replaced_by: segment.replacement.as_ref().map(|path| path.display().to_string()),
            findings: findings.map(finding).collect(),
            entries_kept: segment.entries,
            entries_taken: segment.borrowed,
            lost_bytes: segment.lost_bytes.iter().map(|range| (range.start, range.end)).collect(),
            lost_records: segment.losses.iter().map(lost).collect(),
        }
    }
}

impl Report {
    fn text(&self) -> String {
        let will = if self.is_applied { "" } else { "would be " };
        let mut text = String::new();
        for lane in &self.lanes {
            if lane.segments.is_empty() {
                text += &format!("{}: nothing to repair\n", lane.directory);
            }
            for segment in &lane.segments {
                text += &segment.text(will);
            }
        }
        text
    }
}

impl Segment {
    fn text(&self, will: &str) -> String {
        let mut text = String::new();
        for Finding { offset, expected, found } in &self.findings {
            text += &format!("DAMAGED: {} at byte {offset}: expected {expected}, found {found}\n", self.file);
        }
        match &self.replaced_by {
            Some(path) => text += &format!("  {} entries {will}kept in {path}\n", self.entries_kept),
            None => text += "  its entries are in other files already\n",
        }
        if self.entries_taken > 0 {
            text +=
                &format!("  {} entries {will}taken from files that it had replaced\n", self.entries_taken);
        }
        for (from, to) in &self.lost_bytes {
            text += &format!("  no entry in bytes {from} to {to}\n");
        }
        if self.lost_records.is_empty() {
            text += "  no record is lost\n";
        }
        for Lost { owner, from_sequence, to_sequence, records_max, is_exact } in &self.lost_records {
            let bound = if *is_exact { "" } else { " at most" };
            let few = if *records_max < to_sequence - from_sequence {
                format!(", {records_max} records at most")
            } else {
                String::new()
            };
            text += &format!(
                "  LOST: owner {owner}, sequence numbers {from_sequence} to {to_sequence} (excluded){bound}{few}\n"
            );
        }
        text + &format!("  the original {will}moved to {}\n", self.moved_to)
    }
}
