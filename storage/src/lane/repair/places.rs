//! Where in the log the replacements of damaged segments go, and which segments they replace.
//!
//! A header tells it. A segment of the log without one is in its own place, as its entries show. A compacted one goes by its owners' numbers: a segment with
//! some of the same ones was replaced by it if it is older, and has replaced it if it is newer; any other lies before it or behind it.
//!
//! Invariant: no number is in two places that count, and each owner's rise from place to place; `tests/it/superseded.rs` takes headers from compacted segments
//! while some of those that they have replaced are still there.

use std::{collections::BTreeMap, ops::Range};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tidemill_wire::{OwnerId, SequenceNumber};

use super::{Case, RepairError, is_damaged, report_place, salvage::Kind};
use crate::{
    inspect::{LaneReport, SegmentReport},
    segment::{Place, SegmentId},
};

/// The numbers that a segment has of each owner.
type Numbers = HashMap<OwnerId, Range<SequenceNumber>, FixedState>;

/// All segments with a place.
#[derive(Default)]
pub(super) struct Places {
    placed: BTreeMap<SegmentId, Placed>,
}

struct Placed {
    place: Place,
    is_compacted: bool,
    numbers: Numbers,
}

/// Finds the places of sound and of damaged segments.
pub(super) fn find(report: &LaneReport, cases: &[Case]) -> Result<Places, RepairError> {
    let mut places = Places::default();
    for segment in report.segments.iter().filter(|segment| !is_damaged(segment)) {
        let (Some(id), Some(place)) = (segment.id, report_place(segment)) else { continue };
        let is_compacted = segment.covers.is_some();
        places.placed.insert(id, Placed { place, is_compacted, numbers: numbers_of(segment) });
    }
    let mut unknown = Vec::new();
    for case in cases.iter().filter(|case| !case.salvaged.is_empty()) {
        let Some(place) = case.salvaged.place(case.id) else {
            unknown.push(case);
            continue;
        };
        let is_compacted = case.salvaged.kind == Kind::Compacted;
        places.placed.insert(case.id, Placed { place, is_compacted, numbers: case.salvaged.numbers() });
    }
    // In the order in which they were written first, so that each of several between two others finds room behind those before it.
    unknown.sort_by_key(|case| (case.salvaged.first_time(), case.id));
    for case in unknown {
        let numbers = case.salvaged.numbers();
        let may_be_log = case.salvaged.kind == Kind::Unclear;
        let place = places.locate(case.id, &numbers, may_be_log);
        let place = place.ok_or_else(|| RepairError::Unplaced { path: case.report.path.clone() })?;
        let is_compacted = place != Place { first: case.id, last: case.id };
        places.placed.insert(case.id, Placed { place, is_compacted, numbers });
    }
    Ok(places)
}

fn numbers_of(segment: &SegmentReport) -> Numbers {
    let rows = segment.owners.iter().filter(|row| !row.watermark_only);
    rows.map(|row| (row.owner, row.first..row.next)).collect()
}

impl Places {
    pub(super) fn of(&self, id: SegmentId) -> Option<Place> {
        Some(self.placed.get(&id)?.place)
    }

    /// Whether another segment has taken its place: the widest, and of equals the newest.
    pub(super) fn is_taken(&self, id: SegmentId) -> bool {
        let Some(place) = self.of(id) else { return false };
        let mut takers = self.placed.iter().filter(|(_, taker)| taker.is_compacted);
        takers.any(|(by, taker)| {
            *by != id && taker.place.contains(&place) && (taker.place != place || *by > id)
        })
    }

    /// Those whose place nobody has taken, in the order of the log.
    fn standing(&self) -> Vec<(SegmentId, &Placed)> {
        let standing = self.placed.iter().filter(|(id, _)| !self.is_taken(**id));
        let mut standing: Vec<_> = standing.map(|(id, placed)| (*id, placed)).collect();
        standing.sort_unstable_by_key(|(_, placed)| placed.place.first);
        standing
    }

    /// The place of a segment that has lost its header. For one that was replaced it is that of the segment which did.
    fn locate(&self, id: SegmentId, numbers: &Numbers, may_be_log: bool) -> Option<Place> {
        let standing = self.standing();
        let bearings: Vec<Bearing> =
            standing.iter().map(|(_, placed)| Bearing::of(&placed.numbers, numbers)).collect();
        let same: Vec<usize> = (0..standing.len()).filter(|index| bearings[*index].is_same).collect();
        if let Some((_, newer)) = same.iter().map(|index| standing[*index]).rfind(|(by, _)| *by > id) {
            return newer.is_compacted.then_some(newer.place);
        }
        if let (Some(&first), Some(&last)) = (same.first(), same.last()) {
            // It was made of whole neighbours, so what lies between two of them was replaced with them.
            let place = Place { first: standing[first].1.place.first, last: standing[last].1.place.last };
            return fits(&bearings[..first], &bearings[last + 1..]).then_some(place);
        }
        let slots = || {
            (0..=standing.len()).filter_map(|slot| {
                let (before, behind) = standing.split_at(slot);
                let first = before.last().map_or(0, |(_, placed)| placed.place.last + 1);
                let end = behind.first().map_or(SegmentId::MAX, |(_, placed)| placed.place.first);
                fits(&bearings[..slot], &bearings[slot..]).then_some(first..end)
            })
        };
        if may_be_log && slots().any(|slot| slot.contains(&id)) {
            return Some(Place { first: id, last: id });
        }
        let free = slots().find(|slot| slot.start < slot.end.min(id));
        if let Some(slot) = free {
            return Some(Place { first: slot.start, last: slot.start });
        }
        // Where only the place of a newer one is left, nothing that it held was live when that one was made.
        let inside = |index: &usize| {
            let (by, placed) = standing[*index];
            by > id && placed.is_compacted && fits(&bearings[..*index], &bearings[index + 1..])
        };
        (0..standing.len()).find(inside).map(|index| standing[index].1.place)
    }
}

/// Where a segment lies, seen from another one: by the numbers of the owners that both have.
#[derive(Clone, Copy)]
struct Bearing {
    /// Both have some of the same numbers.
    is_same: bool,
    may_be_before: bool,
    may_be_behind: bool,
}

impl Bearing {
    fn of(other: &Numbers, one: &Numbers) -> Self {
        let mut bearing = Self { is_same: false, may_be_before: true, may_be_behind: true };
        let (few, many) = if one.len() < other.len() { (one, other) } else { (other, one) };
        for owner in few.keys().filter(|owner| many.contains_key(*owner)) {
            let (other, one) = (&other[owner], &one[owner]);
            bearing.may_be_before &= other.end <= one.start;
            bearing.may_be_behind &= one.end <= other.start;
            bearing.is_same |= other.start < one.end && one.start < other.end;
        }
        bearing
    }
}

fn fits(before: &[Bearing], behind: &[Bearing]) -> bool {
    before.iter().all(|other| other.may_be_before) && behind.iter().all(|other| other.may_be_behind)
}

#[cfg(test)]
mod tests;
