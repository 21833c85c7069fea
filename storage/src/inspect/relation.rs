//! What the segments of a lane say about each other: whose place is whose, where the log ends, and whether owners' numbers go on.
//!
//! Concludes what a start concludes, by the rules in `docs/format/lane-log.md`, and finds what a start would refuse.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tidemill_wire::{OwnerId, SequenceNumber};

use super::{SegmentState, damage, disorder, note, segment::Examined};
use crate::segment::{Place, scan::WalkEnd};

/// Where the header tells the lane, and the place of a compacted segment.
const LANE_OFFSET: u64 = 16;
const PLACE_OFFSET: u64 = 48;

pub(super) fn relate(examined: &mut [Examined]) {
    check_lanes(examined);
    check_places(examined);
    check_end(examined);
    let order = in_place(examined);
    check_numbers(examined, &order);
    for one in examined.iter_mut() {
        let report = &mut one.report;
        let total: u64 = report.owners.iter().map(|owner| owner.payload_bytes).fold(0, u64::saturating_add);
        let live = report.owners.iter().filter(|owner| owner.is_live);
        let live = live.map(|owner| owner.payload_bytes).fold(0, u64::saturating_add);
        let share = u128::from(report.entry_bytes) * u128::from(live) / u128::from(total.max(1));
        report.live_bytes = u64::try_from(share).unwrap_or(u64::MAX);
    }
}

fn check_lanes(examined: &mut [Examined]) {
    let Some(lane) = examined.iter().find_map(|one| one.report.lane) else { return };
    for one in examined.iter_mut() {
        if let Some(found) = one.report.lane.filter(|found| *found != lane) {
            one.report.findings.push(disorder(LANE_OFFSET, format!("lane {lane}"), format!("lane {found}")));
        }
    }
}

/// Places lie apart from each other, or one within the other.
fn check_places(examined: &mut [Examined]) {
    let places: Vec<(u64, Place)> =
        examined.iter().filter_map(|one| Some((one.report.id?, one.place?))).collect();
    for one in examined.iter_mut().filter(|one| one.report.covers.is_some()) {
        let Some(place) = one.place else { continue };
        let crosses = |other: &Place| {
            let apart = other.last < place.first || place.last < other.first;
            !(apart || place.contains(other) || other.contains(&place))
        };
        if let Some((id, other)) = places.iter().find(|(_, other)| crosses(other)) {
            let words = |place: &Place| format!("{:016x} to {:016x}", place.first, place.last);
            let expected = format!("a place apart from that of segment {id:016x}, {}", words(other));
            one.report.findings.push(disorder(PLACE_OFFSET, expected, words(&place)));
        }
    }
}

/// Behind the end of the log there is nothing that was stable.
fn check_end(examined: &mut [Examined]) {
    // Segments that are not closed: the log ends in the first of them, unless something says that they were stable.
    let mut ends: Vec<usize> = Vec::new();
    let taken: Vec<bool> = examined.iter().map(|one| is_taken(one, examined)).collect();
    for index in 0..examined.len() {
        let one = &examined[index];
        if one.report.covers.is_some() || one.place.is_none() {
            continue;
        }
        let proves = one.tail.is_none_or(|tail| tail.claims_stable);
        let witness = format!("segment {:016x}", one.report.id.unwrap_or(0));
        let closed = one.tail.is_none_or(|tail| tail.why == WalkEnd::Closed);
        // What an entry says of its own segment is judged where that is examined.
        for before in if proves { std::mem::take(&mut ends) } else { Vec::new() } {
            let Some(tail) = examined[before].tail.filter(|tail| !tail.is_damaged) else { continue };
            let expected = format!("an entry, since {witness} was written behind it when it was stable");
            examined[before].report.findings.push(damage(tail.end, expected, tail.why.to_string()));
        }
        if !closed && !taken[index] {
            ends.push(index);
        }
    }
    open_before_compacted(examined, &ends);
    unsealed_before_sealed(examined);
}

/// Whether a compacted segment has the place of this one: then the log never ends in it.
fn is_taken(one: &Examined, all: &[Examined]) -> bool {
    let compacted =
        all.iter().filter(|other| other.report.covers.is_some() && other.report.id != one.report.id);
    one.place
        .is_some_and(|place| compacted.filter_map(|other| other.place).any(|other| other.contains(&place)))
}

/// Records that compaction or a repair has written anew have their place only when all before it is closed for good. A repair puts numbers alone anywhere.
fn open_before_compacted(examined: &mut [Examined], ends: &[usize]) {
    let compacted = examined.iter().filter(|one| one.report.covers.is_some());
    let has_records = |one: &Examined| one.report.owners.iter().any(|owner| !owner.watermark_only);
    let compacted: Vec<(u64, Place, bool)> =
        compacted.filter_map(|one| Some((one.report.id?, one.place?, has_records(one)))).collect();
    for &index in ends {
        let one = &mut examined[index];
        let (Some(place), Some(tail)) = (one.place, one.tail.filter(|tail| !tail.is_damaged)) else {
            continue;
        };
        let behind =
            compacted.iter().find(|(_, other, has_records)| *has_records && other.first > place.last);
        if let Some((id, ..)) = behind {
            let expected = format!("an entry, since segment {id:016x} lies behind it");
            one.report.findings.push(damage(tail.end, expected, tail.why.to_string()));
        }
    }
}

/// Segments are sealed in their order: one without a trailer before one with it has lost it, and gets it again.
fn unsealed_before_sealed(examined: &mut [Examined]) {
    let is_log = |one: &&mut Examined| one.report.covers.is_none() && one.place.is_some();
    let mut sealed_follows = false;
    for one in examined.iter_mut().filter(is_log).collect::<Vec<_>>().into_iter().rev() {
        let closed = one.tail.is_some_and(|tail| tail.why == WalkEnd::Closed);
        if closed && sealed_follows {
            let offset = one.report.file_bytes.saturating_sub(crate::limits::SEGMENT_TRAILER_BYTES);
            let found = "no valid one; the next start makes it anew from the entries";
            one.report.findings.push(note(offset, "the trailer of a full segment", found));
        }
        sealed_follows |= one.tail.is_none();
    }
}

/// Indexes of the readable segments in the order of their places; one whose place was taken by another comes behind that one.
fn in_place(examined: &mut [Examined]) -> Vec<usize> {
    let takers: Vec<(Place, u64)> = examined
        .iter()
        .filter(|one| one.report.covers.is_some())
        .filter_map(|one| Some((one.place?, one.report.id?)))
        .collect();
    let mut order = Vec::new();
    for (index, one) in examined.iter_mut().enumerate() {
        let (Some(place), Some(id)) = (one.place, one.report.id) else { continue };
        // The widest, and of equals the newest.
        let takes = |(taker, taken_by): &&(Place, u64)| {
            taker.contains(&place) && *taken_by != id && (*taker != place || *taken_by > id)
        };
        let taker = takers.iter().filter(takes).max_by_key(|(taker, id)| (taker.last - taker.first, *id));
        if taker.is_some() {
            one.report.state = SegmentState::Superseded;
        }
        order.push((taker.map_or(place.first, |(taker, _)| taker.first), taker.is_some(), id, index));
    }
    order.sort_unstable();
    order.into_iter().map(|(_, _, _, index)| index).collect()
}

/// Tells which rows a start would lead readers to, and finds numbers that were given twice.
fn check_numbers(examined: &mut [Examined], order: &[usize]) {
    #[derive(Default)]
    struct Known {
        next: SequenceNumber,
        /// Rows that readers can reach, as segment and row.
        live: Vec<(usize, usize)>,
    }
    let mut owners: HashMap<OwnerId, Known, FixedState> = HashMap::default();
    for &index in order {
        let one = &mut examined[index];
        let superseded = one.report.state == SegmentState::Superseded;
        for (number, row) in one.rows.iter().enumerate() {
            let known = owners.entry(row.owner).or_default();
            if superseded || row.point_count == 0 {
                if row.next > known.next {
                    known.live.clear();
                }
                known.next = known.next.max(row.next);
                continue;
            }
            if row.first < known.next {
                let expected = format!("sequence numbers of owner {} from {} on", row.owner, known.next);
                one.report.findings.push(disorder(0, expected, row.first.to_string()));
            }
            // Retention takes whole segments: where numbers are missing, everything before them was over its time.
            if row.first != known.next {
                known.live.clear();
            }
            known.live.push((index, number));
            known.next = row.next;
        }
    }
    for (segment, row) in owners.into_values().flat_map(|known| known.live) {
        if let Some(owner) = examined[segment].report.owners.get_mut(row) {
            owner.is_live = true;
        }
    }
}
