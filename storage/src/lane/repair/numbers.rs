//! Which entries a replacement holds, and which numbers it states as gone.
//!
//! Invariant: after a repair an owner's numbers are dense wherever they were before it, and no number that may have been given out is free;
//! `tests/it/repair.rs` damages lanes everywhere and holds it against a reader and further appends.

use std::collections::BTreeMap;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tidemill_wire::{OwnerId, SequenceNumber, Timestamp, entry::EntryKind};

use super::{Case, Loss, RepairError, is_damaged, report_place, too_wide};
use crate::{
    inspect::{LaneReport, SegmentReport, SegmentState},
    segment::{Place, footer::OwnerRow, scan::Found, watermarks},
};

/// Each record takes this many bytes of its batch at least: the end of its data. So lost bytes bound the numbers that are lost with them.
const RECORD_BYTES_MIN: u64 = 4;

/// A piece of a replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// An entry of the original.
    Entry(Found),
    /// Numbers without records.
    Gap { owner: OwnerId, from: SequenceNumber, to: SequenceNumber, time: Timestamp },
}

/// A damaged segment and what takes its place.
pub(super) struct Composed {
    pub(super) case: Case,
    pub(super) place: Option<Place>,
    /// By owner, each owner's in the order of their numbers.
    pub(super) pieces: Vec<Piece>,
    /// Next numbers that only this segment tells.
    pub(super) watermarks: Vec<(OwnerId, SequenceNumber)>,
    pub(super) losses: Vec<Loss>,
}

/// What the segments before tell of an owner.
#[derive(Clone, Copy, Default)]
struct Known {
    next: SequenceNumber,
    /// Readers reach records before `next`.
    is_live: bool,
    last_time: Timestamp,
}

type KnownOwners = HashMap<OwnerId, Known, FixedState>;

/// A segment in its place.
enum Slot<'a> {
    Sound(&'a SegmentReport),
    Damaged(Box<Case>),
}

/// Composes what takes the places of the damaged segments, in the order of their places.
pub(super) fn compose(
    report: &LaneReport,
    cases: Vec<Case>,
    others: &[OwnerId],
) -> Result<Vec<Composed>, RepairError> {
    let mut known = KnownOwners::default();
    for owner in others {
        known.insert(*owner, Known::default());
    }
    let (mut slots, mut composed) = (Vec::new(), Vec::new());
    for segment in report.segments.iter().filter(|segment| !is_damaged(segment)) {
        if segment.state == SegmentState::Superseded {
            // It tells numbers only, and whenever it does, they stand.
            tell(&mut known, segment.owners.iter().map(|row| (row.owner, row.next)));
        } else if let Some(place) = report_place(segment) {
            slots.push((place.first, Slot::Sound(segment)));
        }
    }
    for case in cases {
        if let Some(place) = case.place {
            slots.push((place.first, Slot::Damaged(Box::new(case))));
        } else {
            composed.push(Composed::aside(case));
        }
    }
    slots.sort_by_key(|(first, _)| *first);
    let mut slots: Vec<Slot> = slots.into_iter().map(|(_, slot)| slot).collect();
    let mut later: Vec<HashMap<OwnerId, SequenceNumber, FixedState>> = Vec::new();
    let mut firsts = HashMap::default();
    for slot in slots.iter().rev() {
        // Only damaged slots ask what is behind them.
        later.push(if matches!(slot, Slot::Damaged(_)) { firsts.clone() } else { HashMap::default() });
        firsts.extend(firsts_of(slot));
    }
    for (slot, later) in slots.drain(..).zip(later.into_iter().rev()) {
        match slot {
            Slot::Sound(segment) => pass(&mut known, segment),
            Slot::Damaged(case) => composed.push(fill(&mut known, *case, &later)?),
        }
    }
    for one in composed.iter_mut().filter(|one| one.place.is_none()) {
        let news = |(owner, next): &(OwnerId, SequenceNumber)| {
            known.get(owner).is_none_or(|known| known.next < *next)
        };
        one.watermarks = one.told().into_iter().filter(news).collect();
    }
    Ok(composed)
}

/// Takes in numbers that stand without records.
fn tell(known: &mut KnownOwners, rows: impl Iterator<Item = (OwnerId, SequenceNumber)>) {
    for (owner, next) in rows {
        let known = known.entry(owner).or_default();
        if next > known.next {
            *known = Known { next, is_live: false, last_time: known.last_time };
        }
    }
}

/// Takes in a sound segment, as a start does.
fn pass(known: &mut KnownOwners, segment: &SegmentReport) {
    for row in &segment.owners {
        if row.watermark_only {
            tell(known, std::iter::once((row.owner, row.next)));
        } else {
            known.insert(row.owner, Known { next: row.next, is_live: true, last_time: row.last_time });
        }
    }
}

/// Each owner's first number in a segment.
fn firsts_of(slot: &Slot) -> Vec<(OwnerId, SequenceNumber)> {
    match slot {
        Slot::Sound(segment) => {
            let rows = segment.owners.iter().filter(|row| !row.watermark_only);
            rows.map(|row| (row.owner, row.first)).collect()
        }
        Slot::Damaged(case) => match &case.salvaged.rows {
            Some(rows) => {
                rows.iter().filter(|row| row.point_count > 0).map(|row| (row.owner, row.first)).collect()
            }
            None => case
                .by_owner()
                .into_iter()
                .filter_map(|(owner, entries)| Some((owner, entries.first()?.header.base_sequence)))
                .collect(),
        },
    }
}

/// Composes a replacement: what was salvaged, with gaps where an owner's numbers are missing.
fn fill(
    known: &mut KnownOwners,
    case: Case,
    later: &HashMap<OwnerId, SequenceNumber, FixedState>,
) -> Result<Composed, RepairError> {
    let mut by_owner = case.by_owner();
    let rows: Option<BTreeMap<OwnerId, OwnerRow>> =
        case.salvaged.rows.as_ref().map(|rows| rows.iter().map(|row| (row.owner, *row)).collect());
    let lost_bytes = case.salvaged.lost_bytes();
    let mut owners: Vec<OwnerId> = by_owner.keys().copied().collect();
    match &rows {
        Some(rows) => owners.extend(rows.keys()),
        None if lost_bytes > 0 => owners.extend(known.keys()),
        None => {}
    }
    owners.sort_unstable();
    owners.dedup();
    let mut composed = Composed {
        place: case.place,
        pieces: Vec::new(),
        watermarks: case.watermarks(),
        losses: Vec::new(),
        case,
    };
    tell(known, composed.watermarks.iter().copied());
    for owner in owners {
        let before = known.get(&owner).copied().unwrap_or_default();
        let entries = by_owner.remove(&owner).unwrap_or_default();
        let row = rows.as_ref().and_then(|rows| rows.get(&owner));
        let told = rows.is_some();
        let first = entries.first().map(|found| found.header.base_sequence);
        let last = entries.last().map(|found| found.header.next_sequence());
        let start = match row {
            Some(row) if row.point_count > 0 => Some(row.first),
            Some(_) => None,
            None if told || lost_bytes == 0 || !before.is_live => first,
            None => match entries.first() {
                // More than that was lost before: retention took it, and everything before it was over its time.
                Some(found) if !composed.case.may_miss(before.next, found) => first,
                _ => Some(before.next),
            },
        };
        let mut is_exact = true;
        let end = match (row, later.get(&owner)) {
            (Some(row), _) => row.next,
            (None, _) if told || lost_bytes == 0 => last.unwrap_or_default(),
            (None, Some(later)) => *later,
            (None, None) => {
                is_exact = false;
                let end = last.unwrap_or(before.next).max(before.next);
                SequenceNumber(end.0.saturating_add(lost_bytes / RECORD_BYTES_MIN))
            }
        };
        let Some(start) = start else {
            // No record of it is left, here or before: its numbers go on all the same.
            if end > before.next || row.is_some() {
                composed.watermarks.push((owner, end.max(before.next)));
                tell(known, std::iter::once((owner, end)));
            }
            continue;
        };
        let end = end.max(last.unwrap_or(start)).max(start);
        if end.since(start) >= u64::from(u32::MAX) {
            return Err(too_wide(&composed.case, owner, start, end));
        }
        let time = row.map_or(before.last_time, |row| row.first_time);
        let last_time = composed.add(owner, start..end, &entries, time, is_exact);
        known.insert(owner, Known { next: end, is_live: true, last_time });
    }
    Ok(composed)
}

impl Case {
    /// Its entries with records, by owner, each owner's with rising numbers.
    fn by_owner(&self) -> BTreeMap<OwnerId, Vec<Found>> {
        let mut owners: BTreeMap<OwnerId, Vec<Found>> = BTreeMap::new();
        let records = self.salvaged.entries.iter().filter(|found| found.header.kind != EntryKind::Watermarks);
        for found in records {
            owners.entry(found.header.owner).or_default().push(*found);
        }
        owners
    }

    /// Whether the bytes that are lost before an entry can have held the numbers from `next` up to it.
    fn may_miss(&self, next: SequenceNumber, entry: &Found) -> bool {
        let before = self.salvaged.lost.iter().filter(|lost| lost.start < entry.position);
        let bytes: u64 = before.map(|lost| lost.end - lost.start).sum();
        entry.header.base_sequence.0.saturating_sub(next.0) <= bytes / RECORD_BYTES_MIN
    }

    /// The rows of its watermark entries, and the numbers that only its owner table tells.
    fn watermarks(&self) -> Vec<(OwnerId, SequenceNumber)> {
        let mut told: BTreeMap<OwnerId, SequenceNumber> = BTreeMap::new();
        for found in self.salvaged.entries.iter().filter(|found| found.header.kind == EntryKind::Watermarks) {
            let start = usize::try_from(found.position).unwrap_or(usize::MAX);
            let entry = self.salvaged.bytes.get(start..).unwrap_or_default();
            let payload = entry
                .get(tidemill_wire::entry::ENTRY_HEADER_BYTES..found.header.length as usize)
                .unwrap_or_default();
            for (owner, next) in watermarks::decode(payload) {
                let told = told.entry(owner).or_default();
                *told = next.max(*told);
            }
        }
        told.into_iter().collect()
    }
}

impl Composed {
    /// A file whose entries are elsewhere.
    fn aside(case: Case) -> Self {
        Self { case, place: None, pieces: Vec::new(), watermarks: Vec::new(), losses: Vec::new() }
    }

    /// All next numbers that the original tells.
    fn told(&self) -> Vec<(OwnerId, SequenceNumber)> {
        let mut told: BTreeMap<OwnerId, SequenceNumber> = self.case.watermarks().into_iter().collect();
        let rows = self.case.salvaged.rows.iter().flatten().map(|row| (row.owner, row.next));
        let entries = self.case.by_owner().into_iter();
        let last =
            entries.filter_map(|(owner, entries)| Some((owner, entries.last()?.header.next_sequence())));
        for (owner, next) in rows.chain(last) {
            let told = told.entry(owner).or_default();
            *told = next.max(*told);
        }
        told.into_iter().collect()
    }

    /// Adds an owner's numbers: its entries, and gaps between them. Returns the time of its last piece.
    fn add(
        &mut self,
        owner: OwnerId,
        numbers: std::ops::Range<SequenceNumber>,
        entries: &[Found],
        before: Timestamp,
        is_exact: bool,
    ) -> Timestamp {
        let mut next = numbers.start;
        let mut time = entries.first().map_or(before, |found| found.header.append_time);
        for found in entries.iter().filter(|found| found.header.base_sequence >= numbers.start) {
            if found.header.base_sequence < next {
                continue;
            }
            self.gap(owner, next..found.header.base_sequence, time, true);
            time = found.header.append_time;
            next = found.header.next_sequence();
            self.pieces.push(Piece::Entry(*found));
        }
        self.gap(owner, next..numbers.end, time, is_exact);
        time
    }

    fn gap(
        &mut self,
        owner: OwnerId,
        numbers: std::ops::Range<SequenceNumber>,
        time: Timestamp,
        is_exact: bool,
    ) {
        let (from, to) = (numbers.start, numbers.end);
        if from < to {
            self.pieces.push(Piece::Gap { owner, from, to, time });
            self.losses.push(Loss { owner, from, to, is_exact });
        }
    }
}
