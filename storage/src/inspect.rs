//! Looking at a lane's files from outside: for the offline tool.
//!
//! Promises to change nothing, to need no right to write, and to go on after whatever it finds: every file gets a report. Leaves out whether the lane
//! may be opened: recovery decides that, with the same readers.

use std::path::{Path, PathBuf};

use tidemill_wire::{LaneId, OwnerId, SequenceNumber, Timestamp};

use crate::{
    env::{Access, Disk, Env, File},
    error::DiskError,
    limits::{SEGMENT_HEADER_BYTES, SEGMENT_TRAILER_BYTES},
    segment::{
        COMPACTING_SUFFIX, PREPARING_SUFFIX,
        contents::Contents,
        footer::{OwnerRow, POINT_BYTES, Point},
        load::{LoadError, Loaded, Scanned, load, scan, scan_bytes},
        scan::WalkEnd,
        segment_id_of, segment_path,
    },
};

/// What a segment file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentState {
    /// Full, with a footer.
    Sealed,
    /// With entries and without a footer: the active one, or one that waits for its footer.
    Open,
    /// Ready to be used, without entries.
    Spare,
    /// Not yet a segment; the next start removes it.
    Preparing,
    /// Not to be read as a segment.
    Unreadable,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// What a crash leaves behind; the next start deals with it.
    Note,
    /// Bytes that were stable are wrong.
    Damage,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where in the file.
    pub offset: u64,
    /// What must be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

/// One owner's part of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerReport {
    /// The owner.
    pub owner: OwnerId,
    /// Its first number in the segment.
    pub first: SequenceNumber,
    /// The number after its last one.
    pub next: SequenceNumber,
    /// When its first entry was taken.
    pub first_time: Timestamp,
    /// When its last entry was taken.
    pub last_time: Timestamp,
    /// Bytes of its payloads.
    pub payload_bytes: u64,
    /// Whether only its next number is kept here, and no entry.
    pub watermark_only: bool,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentReport {
    /// The file.
    pub path: PathBuf,
    /// Number of the segment, if the name tells it.
    pub id: Option<u64>,
    /// What it is.
    pub state: SegmentState,
    /// The lane in its header.
    pub lane: Option<LaneId>,
    /// When it was made ready.
    pub created: Option<Timestamp>,
    /// For a segment that compaction made: ids of the first and the last segment of the stretch of the log whose place it takes.
    pub covers: Option<(u64, u64)>,
    /// Size of the file.
    pub file_bytes: u64,
    /// Bytes of entries.
    pub entry_bytes: u64,
    /// Entries of all kinds.
    pub entries: u64,
    /// When its first and its last entry were taken.
    pub times: Option<(Timestamp, Timestamp)>,
    /// What each owner has in it, in rising order.
    pub owners: Vec<OwnerReport>,
    /// What is not as it should be.
    pub findings: Vec<Finding>,
}

/// A lane's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneReport {
    /// The directory.
    pub directory: PathBuf,
    /// Its files in the order of their names.
    pub segments: Vec<SegmentReport>,
}

impl LaneReport {
    /// Whether nothing stable is damaged, as far as was looked.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let mut findings = self.segments.iter().flat_map(|segment| &segment.findings);
        findings.all(|finding| finding.severity < Severity::Damage)
    }
}

/// Reads headers and footers, and the entries of segments without a footer.
pub async fn inspect<E: Env>(env: &E, directory: &Path) -> Result<LaneReport, DiskError> {
    report(env, directory, false).await
}

/// Reads every byte: checks all entries, and each footer against what it describes.
pub async fn verify<E: Env>(env: &E, directory: &Path) -> Result<LaneReport, DiskError> {
    report(env, directory, true).await
}

async fn report<E: Env>(env: &E, directory: &Path, whole: bool) -> Result<LaneReport, DiskError> {
    let mut segments = Vec::new();
    for name in env.disk().list(directory)? {
        if let Some(id) = segment_id_of(&name) {
            segments.push(segment_report(env, segment_path(directory, id), id, whole).await);
        } else if name.ends_with(PREPARING_SUFFIX) {
            let mut report = empty_report(directory.join(&name), None, SegmentState::Preparing);
            report.findings.push(note(0, "a finished segment", "a file that was being prepared"));
            segments.push(report);
        } else if name.ends_with(COMPACTING_SUFFIX) {
            let mut report = empty_report(directory.join(&name), None, SegmentState::Preparing);
            report.findings.push(note(0, "a finished segment", "a copy that compaction had not finished"));
            segments.push(report);
        }
    }
    Ok(LaneReport { directory: directory.to_owned(), segments })
}

fn empty_report(path: PathBuf, id: Option<u64>, state: SegmentState) -> SegmentReport {
    SegmentReport {
        path,
        id,
        state,
        lane: None,
        created: None,
        covers: None,
        file_bytes: 0,
        entry_bytes: 0,
        entries: 0,
        times: None,
        owners: Vec::new(),
        findings: Vec::new(),
    }
}

async fn segment_report<E: Env>(env: &E, path: PathBuf, id: u64, whole: bool) -> SegmentReport {
    let mut report = empty_report(path.clone(), Some(id), SegmentState::Unreadable);
    let loaded = match load(env.disk(), &path, id, Access::Read).await {
        Ok(loaded) => loaded,
        Err(error) => {
            report.findings.push(load_finding(error));
            return report;
        }
    };
    report.lane = Some(loaded.header.lane);
    report.created = Some(loaded.header.created);
    report.covers = loaded.header.covers.map(|place| (place.first, place.last));
    report.file_bytes = loaded.file.bytes();
    if let Err(error) = fill(&mut report, &loaded, whole).await {
        report.findings.push(load_finding(LoadError::Disk(error)));
    }
    report
}

async fn fill<F: File>(report: &mut SegmentReport, loaded: &Loaded<F>, whole: bool) -> Result<(), DiskError> {
    let (Some(trailer), Some(rows)) = (&loaded.trailer, &loaded.rows) else {
        let scanned = scan(&loaded.file, loaded.header.id).await?;
        fill_from_scan(report, &scanned);
        if report.covers.is_some() && loaded.trailer.is_none() {
            let expected = "the trailer that a compacted segment has before its name".to_owned();
            let found = "no valid trailer of this segment".to_owned();
            report.findings.push(damage(loaded.file.bytes() - SEGMENT_TRAILER_BYTES, expected, found));
        }
        if let Some(trailer) = &loaded.trailer {
            report.state = SegmentState::Sealed;
            let found = "other bytes; the next start makes it anew from the entries";
            report.findings.push(note(trailer.footer_position, "the owner table of the footer", found));
        }
        return Ok(());
    };
    report.state = SegmentState::Sealed;
    report.entry_bytes = trailer.entries_end - SEGMENT_HEADER_BYTES;
    report.entries = trailer.entry_count;
    report.times = Some((trailer.first_time, trailer.last_time));
    report.owners = rows.iter().map(owner_report).collect();
    if !whole {
        return Ok(());
    }
    loaded.file.populate(0..loaded.file.bytes()).await?;
    let scanned = scan_bytes(&loaded.file.view(0..trailer.entries_end), loaded.header.id);
    if scanned.end != trailer.entries_end {
        let expected = format!("entries up to {}", trailer.entries_end);
        report.findings.push(damage(scanned.end, expected, scanned.why.to_string()));
        return Ok(());
    }
    let points = loaded.file.view(trailer.point_position(0)..trailer.point_position(trailer.point_count));
    let expected = expected_footer(&scanned.contents);
    if *rows != expected.0 {
        let found = "rows that differ from the entries".to_owned();
        report.findings.push(damage(
            trailer.footer_position,
            "rows of what the entries hold".to_owned(),
            found,
        ));
    }
    let stored = points.chunks_exact(POINT_BYTES as usize).filter_map(Point::decode);
    if crc32fast::hash(&points) != trailer.points_crc || !stored.eq(expected.1) {
        let found = "points that differ from the entries".to_owned();
        let expected = "points of where the entries are".to_owned();
        report.findings.push(damage(trailer.point_position(0), expected, found));
    }
    Ok(())
}

fn fill_from_scan(report: &mut SegmentReport, scanned: &Scanned) {
    let contents = &scanned.contents;
    report.state = if contents.entry_count == 0 { SegmentState::Spare } else { SegmentState::Open };
    report.entry_bytes = scanned.end - SEGMENT_HEADER_BYTES;
    report.entries = contents.entry_count;
    report.times = (contents.entry_count > 0).then_some((contents.first_time, contents.last_time));
    report.owners = expected_footer(contents).0.iter().map(owner_report).collect();
    if let Some((position, stable)) = scanned.stray.witness {
        let expected =
            format!("an entry, since one at {position} says that the lane was stable up to {stable}");
        report.findings.push(damage(scanned.end, expected, scanned.why.to_string()));
    } else if scanned.stray.entries > 0 || matches!(scanned.why, WalkEnd::Broken(_)) {
        let found = format!("{}, and {} entries behind it", scanned.why, scanned.stray.entries);
        report.findings.push(note(scanned.end, "the end of the log, or another entry", &found));
    }
}

/// The rows and points that a segment with these contents must have.
fn expected_footer(contents: &Contents) -> (Vec<OwnerRow>, Vec<Point>) {
    let (mut rows, mut points) = (Vec::new(), Vec::new());
    for id in contents.sorted_owners() {
        if let Some(part) = contents.owner(id) {
            rows.push(part.row(id, u32::try_from(points.len()).unwrap_or(u32::MAX)));
            points.extend_from_slice(&part.points);
        }
    }
    (rows, points)
}

fn owner_report(row: &OwnerRow) -> OwnerReport {
    OwnerReport {
        owner: row.owner,
        first: row.first,
        next: row.next,
        first_time: row.first_time,
        last_time: row.last_time,
        payload_bytes: row.payload_bytes,
        watermark_only: row.point_count == 0,
    }
}

fn load_finding(error: LoadError) -> Finding {
    match error {
        LoadError::Damaged(found) => damage(found.offset, found.expected, found.found),
        LoadError::Disk(error) => {
            damage(error.offset, "a file that can be read".to_owned(), error.to_string())
        }
    }
}

fn note(offset: u64, expected: &str, found: &str) -> Finding {
    Finding { severity: Severity::Note, offset, expected: expected.to_owned(), found: found.to_owned() }
}

fn damage(offset: u64, expected: String, found: String) -> Finding {
    Finding { severity: Severity::Damage, offset, expected, found }
}
