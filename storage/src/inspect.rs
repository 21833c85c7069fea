//! Looking at a lane's files from outside: for the offline tool.
//!
//! Owns the reports: `segment` looks at one file, `relation` at what the files say about each other, `listing` names each entry. Promises to change
//! nothing, to need no right to write, and to go on after whatever it finds: every file gets a report. A lane that is sound can be opened and read to its last
//! entry; the tests flip bits to hold that against recovery and the reader.

use std::path::{Path, PathBuf};

use tidemill_wire::{LaneId, OwnerId, SequenceNumber, Timestamp};

mod listing;
mod order;
mod relation;
mod segment;

pub use listing::{EntryLine, entries};
pub(crate) use segment::expected_footer;

use crate::{
    env::{Access, Disk, Env, File},
    error::DiskError,
    lane::is_whole_checkpoint,
    segment::{
        CHECKPOINT_NAME, COMPACTING_SUFFIX, PREPARING_SUFFIX, RESERVE_SUFFIX, segment_id_of, segment_path,
    },
};
use segment::Examined;

/// What a segment file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentState {
    /// Full, with a footer.
    Sealed,
    /// With entries and without a footer: the active one, or one that waits for its footer.
    Open,
    /// Ready to be used, without entries.
    Spare,
    /// Another segment holds all of it: one that was compacted, and that the next start retires.
    Superseded,
    /// Not yet a segment; the next start removes it.
    Preparing,
    /// Room kept for compaction on a full disk: nothing in it counts.
    Reserve,
    /// No segment: what the index has of the sealed ones, for a quick start.
    Checkpoint,
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
    /// Sound bytes that contradict each other, such as a number that was given twice or a segment of another lane: no bit does that, and no repair knows
    /// which of them is right.
    Disorder,
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
    /// Whether a start would let readers reach it. What retention will say of it is not known here.
    pub is_live: bool,
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
    /// Bytes of the entries that a start would let readers reach, by their share of the payload. The rest is garbage.
    pub live_bytes: u64,
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
    let (mut examined, mut others) = (Vec::new(), Vec::new());
    for name in env.disk().list(directory)? {
        let path = directory.join(&name);
        let (state, found) = if let Some(id) = segment_id_of(&name) {
            examined.push(segment::examine(env, segment_path(directory, id), id, whole).await);
            continue;
        } else if name == CHECKPOINT_NAME {
            let file = env.disk().open(path.clone(), Access::Read).await?;
            let bytes = usize::try_from(file.bytes()).unwrap_or(0);
            let is_whole = file.read(0, bytes).await.is_ok_and(|bytes| is_whole_checkpoint(&bytes));
            let found = "other bytes: the next start reads all owner tables instead";
            (SegmentState::Checkpoint, if is_whole { "" } else { found })
        } else if name.ends_with(PREPARING_SUFFIX) {
            (SegmentState::Preparing, "a file that was being prepared")
        } else if name.ends_with(COMPACTING_SUFFIX) {
            (SegmentState::Preparing, "a copy that compaction had not finished")
        } else if name.ends_with(RESERVE_SUFFIX) {
            (SegmentState::Reserve, "")
        } else {
            (SegmentState::Preparing, "a file that is no part of a lane, which a start leaves alone")
        };
        let mut report = empty_report(path, None, state);
        if !found.is_empty() {
            let expected = match state {
                SegmentState::Checkpoint => "a checkpoint of the index",
                _ => "a finished segment",
            };
            report.findings.push(note(0, expected, found));
        }
        others.push(report);
    }
    relation::relate(&mut examined);
    let mut segments: Vec<SegmentReport> = examined.into_iter().map(Examined::into_report).collect();
    segments.append(&mut others);
    segments.sort_by(|one, other| one.path.cmp(&other.path));
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
        live_bytes: 0,
        entries: 0,
        times: None,
        owners: Vec::new(),
        findings: Vec::new(),
    }
}

fn note(offset: u64, expected: &str, found: &str) -> Finding {
    Finding { severity: Severity::Note, offset, expected: expected.to_owned(), found: found.to_owned() }
}

fn damage(offset: u64, expected: String, found: String) -> Finding {
    Finding { severity: Severity::Damage, offset, expected, found }
}

fn disorder(offset: u64, expected: String, found: String) -> Finding {
    Finding { severity: Severity::Disorder, offset, expected, found }
}
