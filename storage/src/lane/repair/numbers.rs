//! Which entries a replacement holds, and which numbers it states as gone.
//!
//! Invariant: after a repair an owner's numbers are dense wherever they were before it, and no number that may have been given out is free;
//! `tests/it/repair.rs` damages lanes everywhere and holds it against a reader and further appends.

use std::{
    collections::BTreeMap,
    ops::{Bound, Range},
};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tidemill_wire::{OwnerId, SequenceNumber, Timestamp};

use super::{
    Case, Loss, RepairError,
    extent::{Extent, Known, NUMBERS_MAX, RECORD_BYTES_MIN, Rest},
    is_damaged,
    places::Places,
    report_place,
    salvage::{Kind, Salvaged},
    too_wide,
};
use crate::{
    inspect::{LaneReport, SegmentReport},
    segment::{Place, scan::Found},
};

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

type KnownOwners = HashMap<OwnerId, Known, FixedState>;

/// A segment in its place.
enum Slot<'a> {
    Sound(&'a SegmentReport),
    Damaged(Box<Case>),
}

/// A number for each of some owners.
type Told = HashMap<OwnerId, SequenceNumber, FixedState>;

/// Composes what takes the places of the damaged segments, in the order of their places.
pub(super) fn compose(
    report: &LaneReport,
    places: &Places,
    cases: Vec<Case>,
    others: &[OwnerId],
) -> Result<Vec<Composed>, RepairError> {
    let mut known = KnownOwners::default();
    for owner in others {
        known.insert(*owner, Known::default());
    }
    let (mut slots, mut replaced, mut composed) = (Vec::new(), Vec::new(), Vec::new());
    for segment in report.segments.iter().filter(|segment| !is_damaged(segment)) {
        let (Some(id), Some(place)) = (segment.id, report_place(segment)) else { continue };
        if places.is_taken(id) {
            replaced.push((place, segment));
        } else {
            slots.push((place, Slot::Sound(segment)));
        }
    }
    for case in cases {
        if let Some(place) = case.place {
            slots.push((place, Slot::Damaged(Box::new(case))));
        } else {
            composed.push(Composed::aside(case));
        }
    }
    slots.sort_by_key(|(place, _)| place.first);
    let mut later: Vec<Told> = Vec::new();
    let mut firsts = Told::default();
    for (_, slot) in slots.iter().rev() {
        // Only damaged slots ask what is behind them.
        later.push(if matches!(slot, Slot::Damaged(_)) { firsts.clone() } else { Told::default() });
        firsts.extend(firsts_of(slot));
    }
    for ((place, slot), later) in slots.into_iter().zip(later.into_iter().rev()) {
        // What was replaced tells numbers only, behind what has replaced it.
        let mut told = Told::default();
        for (_, segment) in replaced.iter().filter(|(inner, _)| place.contains(inner)) {
            for row in &segment.owners {
                let told = told.entry(row.owner).or_default();
                *told = row.next.max(*told);
            }
        }
        match slot {
            Slot::Sound(segment) => pass(&mut known, segment),
            Slot::Damaged(case) => composed.push(fill(&mut known, *case, &later, &told)?),
        }
        tell(&mut known, told.into_iter());
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
        Slot::Damaged(case) => {
            let Salvaged { index, .. } = &case.salvaged;
            let rows = index.rows().filter(|row| row.has_entries()).map(|row| (row.owner, row.first));
            let others = case.by_owner().into_iter().filter(|(owner, _)| index.row(*owner).is_none());
            let first = |(owner, entries): (OwnerId, Vec<Found>)| {
                Some((owner, entries.first()?.header.base_sequence))
            };
            rows.chain(others.filter_map(first)).collect()
        }
    }
}

/// Composes a replacement: what was salvaged, with gaps where an owner's numbers are missing.
fn fill(known: &mut KnownOwners, case: Case, later: &Told, told: &Told) -> Result<Composed, RepairError> {
    let mut by_owner = case.by_owner();
    let windows: Windows = by_owner.iter().filter_map(|(owner, entries)| window(*owner, entries)).collect();
    let mut borrowed = by_number(&case.salvaged.borrowed);
    let Salvaged { index, traces, .. } = &case.salvaged;
    let mut owners: Vec<OwnerId> = by_owner.keys().chain(borrowed.keys()).copied().collect();
    owners.extend(index.rows().map(|row| row.owner));
    if !index.is_whole() && !traces.unknown.is_empty() {
        owners.extend(known.keys());
    }
    owners.sort_unstable();
    owners.dedup();
    let mut composed = Composed {
        place: case.place,
        pieces: Vec::new(),
        watermarks: case.salvaged.watermarks(),
        losses: Vec::new(),
        case,
    };
    tell(known, composed.watermarks.iter().copied());
    for owner in owners {
        let unknown = composed.case.unknown_of(owner, &windows);
        let rest = Rest {
            entries: by_owner.remove(&owner).unwrap_or_default(),
            borrowed: borrowed.remove(&owner).unwrap_or_default(),
            row: composed.case.salvaged.index.row(owner),
            lost: unknown.clone(),
            may_be_sparse: composed.case.salvaged.may_be_sparse(),
            before: known.get(&owner).copied().unwrap_or_default(),
            later: later.get(&owner).copied(),
            told: told.get(&owner).copied().unwrap_or_default(),
        };
        let row = rest.row.flatten();
        let next = rest.before.next;
        let Extent { mut entries, start, end, is_exact, time } = rest.extent();
        let Some(start) = start else {
            // No record of it is left, here or before: its numbers go on all the same.
            if end > next || row.is_some() {
                composed.watermarks.push((owner, end.max(next)));
                tell(known, std::iter::once((owner, end)));
            }
            continue;
        };
        if end.since(start) >= NUMBERS_MAX {
            return Err(too_wide(&composed.case, owner, start, end));
        }
        entries.retain(|found| !composed.case.salvaged.is_trace(found));
        let missing = Missing::of(&composed.case.salvaged, owner, unknown);
        let last_time = composed.add(owner, start..end, &entries, (time, is_exact), &missing);
        known.insert(owner, Known { next: end, is_live: true, last_time });
    }
    Ok(composed)
}

/// From where to where an owner's entries are.
type Windows = BTreeMap<OwnerId, Range<u64>>;

fn window(owner: OwnerId, entries: &[Found]) -> Option<(OwnerId, Range<u64>)> {
    let last = entries.last()?;
    Some((owner, entries.first()?.position..last.position + last.header.stride() as u64))
}

/// Entries by owner, each owner's in the order of their numbers.
fn by_number<'a>(entries: impl IntoIterator<Item = &'a Found>) -> BTreeMap<OwnerId, Vec<Found>> {
    let mut owners: BTreeMap<OwnerId, Vec<Found>> = BTreeMap::new();
    for found in entries {
        owners.entry(found.header.owner).or_default().push(*found);
    }
    owners.values_mut().for_each(|entries| entries.sort_by_key(|found| found.header.base_sequence));
    owners
}

/// What of an owner's records is not there any more.
struct Missing {
    /// The first number of each broken entry, and how many records it had.
    broken: Vec<(SequenceNumber, u64)>,
    /// Where there may have been others of which nothing tells.
    unknown: Vec<Range<u64>>,
}

impl Missing {
    fn of(salvaged: &Salvaged, owner: OwnerId, unknown: Vec<Range<u64>>) -> Self {
        let broken = salvaged.traces.entries.iter().zip(&salvaged.traces.record_counts);
        let broken = broken.filter(|(found, _)| found.header.owner == owner);
        let broken = broken.map(|(found, count)| (found.header.base_sequence, u64::from(*count))).collect();
        Self { broken, unknown }
    }

    /// How many of these numbers had a record at most, if what had them lay in this part of the segment.
    fn records_max(&self, numbers: &Range<SequenceNumber>, part: &Range<u64>) -> u64 {
        let within = self.broken.iter().filter(|(first, _)| numbers.contains(first));
        let broken: u64 = within.map(|(_, count)| count).sum();
        let unknown = self.unknown.iter().filter(|range| part.contains(&range.start));
        let bytes: u64 = unknown.map(|range| range.end - range.start).sum();
        broken.saturating_add(bytes / RECORD_BYTES_MIN).min(numbers.end.since(numbers.start))
    }
}

impl Case {
    /// Its entries with records, broken ones included of whose numbers is known, by owner.
    fn by_owner(&self) -> BTreeMap<OwnerId, Vec<Found>> {
        by_number(self.salvaged.told_records())
    }

    /// Where entries of an owner can be lost of which nothing tells. In a compacted segment they are between those of the owners before and behind.
    fn unknown_of(&self, owner: OwnerId, windows: &Windows) -> Vec<Range<u64>> {
        let (mut from, mut to) = (0, u64::MAX);
        if self.salvaged.kind == Kind::Compacted {
            from = windows.range(..owner).next_back().map_or(0, |(_, before)| before.end);
            let behind = windows.range((Bound::Excluded(owner), Bound::Unbounded)).next();
            to = behind.map_or(u64::MAX, |(_, behind)| behind.start);
        }
        let lost = self.salvaged.traces.unknown.iter().filter(|range| from <= range.start && range.end <= to);
        lost.cloned().collect()
    }
}

impl Composed {
    /// A file whose entries are elsewhere.
    fn aside(case: Case) -> Self {
        Self { case, place: None, pieces: Vec::new(), watermarks: Vec::new(), losses: Vec::new() }
    }

    /// All next numbers that the original tells.
    fn told(&self) -> Vec<(OwnerId, SequenceNumber)> {
        let mut told: BTreeMap<OwnerId, SequenceNumber> =
            self.case.salvaged.watermarks().into_iter().collect();
        let rows = self.case.salvaged.index.rows().map(|row| (row.owner, row.next));
        let entries = self.case.by_owner().into_iter();
        let last =
            entries.filter_map(|(owner, entries)| Some((owner, entries.last()?.header.next_sequence())));
        for (owner, next) in rows.chain(last) {
            let told = told.entry(owner).or_default();
            *told = next.max(*told);
        }
        told.into_iter().collect()
    }

    /// How many of its entries other segments have given.
    pub(super) fn borrowed(&self) -> u64 {
        let first = self.case.salvaged.borrowed.first().map_or(u64::MAX, |found| found.position);
        let is_borrowed = |piece: &&Piece| matches!(piece, Piece::Entry(found) if found.position >= first);
        self.pieces.iter().filter(is_borrowed).count() as u64
    }

    /// Adds an owner's numbers: its entries, and gaps between them. Returns the time of its last piece.
    fn add(
        &mut self,
        owner: OwnerId,
        numbers: Range<SequenceNumber>,
        entries: &[Found],
        (before, is_exact): (Timestamp, bool),
        missing: &Missing,
    ) -> Timestamp {
        let mut next = numbers.start;
        let own = self.case.salvaged.borrowed.first().map_or(u64::MAX, |found| found.position);
        let mut part = 0..u64::MAX;
        let mut time = entries.first().map_or(before, |found| found.header.append_time);
        for found in entries.iter().filter(|found| found.header.base_sequence >= numbers.start) {
            if found.header.base_sequence < next {
                continue;
            }
            // What is borrowed lies elsewhere.
            let is_own = found.position < own;
            part.end = if is_own { found.position } else { u64::MAX };
            self.gap(owner, next..found.header.base_sequence, (time, true), missing, &part);
            part.start = if is_own { found.position } else { part.start };
            time = found.header.append_time;
            next = found.header.next_sequence();
            self.pieces.push(Piece::Entry(*found));
        }
        part.end = u64::MAX;
        self.gap(owner, next..numbers.end, (time, is_exact), missing, &part);
        time
    }

    fn gap(
        &mut self,
        owner: OwnerId,
        numbers: Range<SequenceNumber>,
        (time, is_exact): (Timestamp, bool),
        missing: &Missing,
        part: &Range<u64>,
    ) {
        let (from, to) = (numbers.start, numbers.end);
        if from < to {
            let records_max = missing.records_max(&numbers, part);
            self.pieces.push(Piece::Gap { owner, from, to, time });
            self.losses.push(Loss { owner, from, to, records_max, is_exact });
        }
    }
}
