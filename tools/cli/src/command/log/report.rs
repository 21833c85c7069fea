//! Lanes and segments as they are printed.

use serde::Serialize;
use tidemill_storage::inspect::{Finding, LaneReport, OwnerReport, SegmentReport, SegmentState, Severity};

use crate::output::Table;
use crate::quantity::{show_bytes, show_count};
use crate::time::show_time;

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// Counts and what is wrong.
    Findings,
    /// And each segment.
    Segments,
    /// And whose records each segment holds.
    Owners,
}

#[derive(Serialize)]
pub(super) struct Report {
    is_sound: bool,
    lanes: Vec<Lane>,
    #[serde(skip)]
    size: Size,
}

#[derive(Serialize)]
struct Lane {
    directory: String,
    segments: Vec<Segment>,
}

#[derive(Serialize)]
struct Segment {
    file: String,
    id: Option<u64>,
    state: &'static str,
    /// Ids of the first and the last segment of the log whose place it takes, if compaction made it.
    covers: Option<(u64, u64)>,
    file_bytes: u64,
    entry_bytes: u64,
    live_bytes: u64,
    entries: u64,
    first_time: Option<String>,
    last_time: Option<String>,
    owners: Vec<Owner>,
    findings: Vec<Found>,
}

#[derive(Serialize)]
struct Owner {
    owner: u64,
    first_sequence: u64,
    next_sequence: u64,
    first_time: String,
    last_time: String,
    payload_bytes: u64,
    is_watermark_only: bool,
    is_live: bool,
}

#[derive(Serialize)]
struct Found {
    is_damage: bool,
    offset: u64,
    expected: String,
    found: String,
}

/// The first damage in words, if there is any.
pub(super) fn first_damage(lanes: &[LaneReport]) -> Option<String> {
    let segments = lanes.iter().flat_map(|lane| &lane.segments);
    let mut damages = segments.flat_map(|segment| {
        segment.findings.iter().filter(|found| is_damage(found)).map(move |found| (segment, found))
    });
    let (segment, first) = damages.next()?;
    let others = match damages.count() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let path = segment.path.display();
    Some(format!(
        "{path} at byte {}: expected {}, found {}{others}",
        first.offset, first.expected, first.found
    ))
}

fn is_damage(finding: &Finding) -> bool {
    finding.severity >= Severity::Damage
}

impl Report {
    pub(super) fn new(lanes: &[LaneReport], size: Size) -> Self {
        let lane = |lane: &LaneReport| Lane {
            directory: lane.directory.display().to_string(),
            segments: lane.segments.iter().map(Segment::from).collect(),
        };
        Self {
            is_sound: lanes.iter().all(LaneReport::is_sound),
            lanes: lanes.iter().map(lane).collect(),
            size,
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for lane in &self.lanes {
            let entries: u64 = lane.segments.iter().map(|segment| segment.entries).sum();
            let bytes: u64 = lane.segments.iter().map(|segment| segment.entry_bytes).sum();
            let live: u64 = lane.segments.iter().map(|segment| segment.live_bytes).sum();
            let disk: u64 = lane.segments.iter().map(|segment| segment.file_bytes).sum();
            let owners = live_owners(&lane.segments);
            text += &format!(
                "{}: {} segments with {}, {} entries with {}, of which {} can be reached, of {} owners\n",
                lane.directory,
                lane.segments.len(),
                show_bytes(disk),
                show_count(entries),
                show_bytes(bytes),
                show_bytes(live),
                show_count(owners)
            );
            if self.size != Size::Findings {
                text += &format!("{}\n", segments_table(&lane.segments));
            }
            if self.size == Size::Owners {
                text += &format!("\n{}\n", owners_table(&lane.segments));
            }
            for segment in &lane.segments {
                for found in &segment.findings {
                    let kind = if found.is_damage { "DAMAGED" } else { "note" };
                    text += &format!(
                        "{kind}: {} at byte {}: expected {}, found {}\n",
                        segment.file, found.offset, found.expected, found.found
                    );
                }
            }
        }
        if self.size == Size::Findings && self.is_sound {
            text += "all sound\n";
        }
        text
    }
}

fn segments_table(segments: &[Segment]) -> String {
    let mut table =
        Table::new(["SEGMENT", "STATE", ">SIZE", ">FILLED", ">LIVE", ">ENTRIES", ">OWNERS", "FIRST", "LAST"]);
    for segment in segments {
        table.row([
            segment.file.rsplit('/').next().unwrap_or_default().to_owned(),
            if segment.covers.is_some() {
                format!("{}, compacted", segment.state)
            } else {
                segment.state.to_owned()
            },
            show_bytes(segment.file_bytes),
            show_bytes(segment.entry_bytes),
            show_bytes(segment.live_bytes),
            show_count(segment.entries),
            show_count(segment.owners.len() as u64),
            segment.first_time.clone().unwrap_or_default(),
            segment.last_time.clone().unwrap_or_default(),
        ]);
    }
    table.render()
}

/// Owners with records that readers can reach.
fn live_owners(segments: &[Segment]) -> u64 {
    let owners = segments.iter().flat_map(|segment| &segment.owners).filter(|owner| owner.is_live);
    owners.map(|owner| owner.owner).collect::<std::collections::BTreeSet<_>>().len() as u64
}

fn owners_table(segments: &[Segment]) -> String {
    let mut table = Table::new(["SEGMENT", ">OWNER", ">FIRST", ">NEXT", ">SIZE", "FROM", "TO", "IS"]);
    for segment in segments {
        for owner in &segment.owners {
            table.row([
                segment.file.rsplit('/').next().unwrap_or_default().to_owned(),
                owner.owner.to_string(),
                owner.first_sequence.to_string(),
                owner.next_sequence.to_string(),
                show_bytes(owner.payload_bytes),
                owner.first_time.clone(),
                owner.last_time.clone(),
                match owner {
                    Owner { is_watermark_only: true, .. } => "number",
                    Owner { is_live: true, .. } => "live",
                    Owner { .. } => "dead",
                }
                .to_owned(),
            ]);
        }
    }
    table.render()
}

impl From<&SegmentReport> for Segment {
    fn from(segment: &SegmentReport) -> Self {
        Self {
            file: segment.path.display().to_string(),
            id: segment.id,
            state: match segment.state {
                SegmentState::Sealed => "sealed",
                SegmentState::Open => "open",
                SegmentState::Spare => "spare",
                SegmentState::Superseded => "superseded",
                SegmentState::Preparing => "preparing",
                SegmentState::Reserve => "reserve",
                SegmentState::Checkpoint => "checkpoint",
                SegmentState::Unreadable => "unreadable",
            },
            covers: segment.covers,
            file_bytes: segment.file_bytes,
            entry_bytes: segment.entry_bytes,
            live_bytes: segment.live_bytes,
            entries: segment.entries,
            first_time: segment.times.map(|(first, _)| show_time(first)),
            last_time: segment.times.map(|(_, last)| show_time(last)),
            owners: segment.owners.iter().map(Owner::from).collect(),
            findings: segment
                .findings
                .iter()
                .map(|finding| Found {
                    is_damage: is_damage(finding),
                    offset: finding.offset,
                    expected: finding.expected.clone(),
                    found: finding.found.clone(),
                })
                .collect(),
        }
    }
}

impl From<&OwnerReport> for Owner {
    fn from(owner: &OwnerReport) -> Self {
        Self {
            owner: owner.owner.get(),
            first_sequence: owner.first.get(),
            next_sequence: owner.next.get(),
            first_time: show_time(owner.first_time),
            last_time: show_time(owner.last_time),
            payload_bytes: owner.payload_bytes,
            is_watermark_only: owner.watermark_only,
            is_live: owner.is_live,
        }
    }
}
