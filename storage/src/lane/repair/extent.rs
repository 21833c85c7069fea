//! Which numbers of an owner a replacement has, judged by what is left of the damaged segment and by what the others tell.
//!
//! Promises to leave out no number that may have been given out. Where a row of the index is left it tells, and broken entries tell theirs; else the segments before and behind do, and lost bytes bound
//! the rest.

use std::ops::Range;

use tidemill_wire::{SequenceNumber, Timestamp, entry::ENTRY_HEADER_BYTES};

use crate::segment::{footer::OwnerRow, scan::Found};

/// Each record takes this many bytes of its batch at least: the end of its data. So lost bytes bound the numbers that are lost with them.
pub(super) const RECORD_BYTES_MIN: u64 = 4;
/// A sparse entry takes any number of numbers, and so many bytes at least: its header and a count.
const SPARSE_BYTES_MIN: u64 = ENTRY_HEADER_BYTES as u64 + 4;
/// An owner has fewer numbers than this in a segment: points count them in 32 bits.
pub(super) const NUMBERS_MAX: u64 = u32::MAX as u64;

/// What the segments before tell of an owner.
#[derive(Clone, Copy, Default)]
pub(super) struct Known {
    pub(super) next: SequenceNumber,
    /// Readers reach records before `next`.
    pub(super) is_live: bool,
    pub(super) last_time: Timestamp,
}

/// What is left of an owner.
pub(super) struct Rest {
    /// Of the damaged segment, broken ones included that tell their numbers, in the order of these.
    pub(super) entries: Vec<Found>,
    /// What segments that it has replaced hold of the numbers that are missing, in the same order.
    pub(super) borrowed: Vec<Found>,
    /// The owner's row; `Some(None)` if it had none, `None` if that cannot be told.
    pub(super) row: Option<Option<OwnerRow>>,
    /// Where in the damaged segment entries of it can be lost of which nothing tells, in order.
    pub(super) lost: Vec<Range<u64>>,
    /// These may be sparse: then they may take any number of numbers.
    pub(super) may_be_sparse: bool,
    pub(super) before: Known,
    /// Its first number in a segment behind.
    pub(super) later: Option<SequenceNumber>,
    /// Its next number, as the segments tell that are replaced.
    pub(super) told: SequenceNumber,
}

/// The numbers that an owner has in a replacement, and the entries with records of them.
pub(super) struct Extent {
    pub(super) entries: Vec<Found>,
    /// `None` if there is no record of it, here or before.
    pub(super) start: Option<SequenceNumber>,
    pub(super) end: SequenceNumber,
    /// Whether numbers up to the end were given out for certain.
    pub(super) is_exact: bool,
    /// When the first of them was.
    pub(super) time: Timestamp,
}

impl Rest {
    pub(super) fn extent(mut self) -> Extent {
        self.drop_stale();
        let (before, lost_bytes) = (self.before, self.lost_bytes(0..u64::MAX));
        let behind = self.entries.last().map_or(0, |found| found.position);
        let behind = self.numbers_max(behind..u64::MAX);
        let goes_on = before.is_live && !self.jumps();
        let has_index = self.row.is_some();
        let row = self.row.flatten();
        let entries = match row {
            Some(_) => self.with_borrowed(),
            None if has_index => std::mem::take(&mut self.entries),
            None if goes_on => self.with_borrowed(),
            None => self.with_what_was_lost(),
        };
        let first = entries.first().map(|found| found.header.base_sequence);
        let last = entries.last().map(|found| found.header.next_sequence());
        let start = match row {
            Some(row) if row.point_count > 0 => Some(row.first),
            Some(_) => None,
            None if has_index || lost_bytes == 0 || !goes_on => first,
            None => Some(before.next),
        };
        let mut is_exact = true;
        let end = match (row, self.later) {
            (Some(row), _) => row.next,
            (None, _) if has_index || lost_bytes == 0 => last.unwrap_or_default(),
            (None, Some(_)) if start.is_none() => before.next,
            (None, Some(later)) => {
                // Retention may have taken what was between this segment and the one behind.
                let known = last.unwrap_or(before.next);
                if Self::can_miss(known, later, behind) { later } else { known }
            }
            (None, None) => {
                is_exact = behind == 0;
                let known = last.unwrap_or(before.next).max(before.next).max(self.told);
                let most = start.map_or(u64::MAX, |start| start.0.saturating_add(NUMBERS_MAX - 1));
                SequenceNumber(known.0.saturating_add(behind).min(most)).max(known)
            }
        };
        let end = start.map_or(end, |start| end.max(last.unwrap_or(start)).max(start));
        let time = row.map_or(before.last_time, |row| row.first_time);
        Extent { entries, start, end, is_exact, time }
    }

    /// Drops entries whose numbers were given out again behind: they lay behind a torn end of the log that was cut, and what said so is lost.
    fn drop_stale(&mut self) {
        if let Some(later) = self.later.filter(|_| self.row.is_none()) {
            self.entries.retain(|found| found.header.next_sequence() <= later);
            self.borrowed.retain(|found| found.header.next_sequence() <= later);
        }
        if self.before.is_live {
            self.borrowed.retain(|found| found.header.base_sequence >= self.before.next);
        }
    }

    /// Bytes in a part of the segment in which entries are lost.
    fn lost_bytes(&self, part: Range<u64>) -> u64 {
        let within = self.lost.iter().filter(|range| part.contains(&range.start));
        within.map(|range| range.end - range.start).sum()
    }

    /// How many numbers entries can have taken that are lost in a part of the segment.
    fn numbers_max(&self, part: Range<u64>) -> u64 {
        let mut within = self.lost.iter().filter(|range| part.contains(&range.start));
        if self.may_be_sparse && within.any(|range| range.end - range.start >= SPARSE_BYTES_MIN) {
            return NUMBERS_MAX - 1;
        }
        self.lost_bytes(part) / RECORD_BYTES_MIN
    }

    /// Whether these numbers can be among so many that are lost.
    fn can_miss(from: SequenceNumber, to: SequenceNumber, numbers_max: u64) -> bool {
        to.0.saturating_sub(from.0) <= numbers_max
    }

    /// Whether more numbers are missing behind the segments before than can be lost here: then retention took what was between, and they are over as well.
    fn jumps(&self) -> bool {
        let first = self.entries.first();
        let position = first.map_or(u64::MAX, |found| found.position);
        let borrowed = self.borrowed.first().map(|found| found.header.base_sequence);
        let first = first.map(|found| found.header.base_sequence);
        let next = first.into_iter().chain(borrowed).min().or(self.later);
        next.is_some_and(|next| !Self::can_miss(self.before.next, next, self.numbers_max(0..position)))
    }

    fn with_borrowed(&mut self) -> Vec<Found> {
        let mut entries = std::mem::take(&mut self.entries);
        entries.append(&mut self.borrowed);
        entries.sort_by_key(|found| found.header.base_sequence);
        entries
    }

    /// The entries, and of the borrowed ones before the first of them as many as the lost bytes can have held, with the numbers between them. What comes before
    /// was over its retention already when the damaged segment was written.
    fn with_what_was_lost(&mut self) -> Vec<Found> {
        let own_first = self.entries.first().map(|found| found.header.base_sequence);
        let mut entries = self.with_borrowed();
        let mut next = own_first.or(self.later);
        let mut room = self.lost_bytes(0..u64::MAX);
        let mut from = entries.len();
        while let Some(found) = from.checked_sub(1).and_then(|index| entries.get(index)) {
            let header = &found.header;
            if own_first.is_none_or(|first| header.base_sequence < first) {
                let missing = next.map_or(0, |next| next.0.saturating_sub(header.next_sequence().0));
                let bytes = missing.saturating_mul(RECORD_BYTES_MIN).saturating_add(header.stride() as u64);
                let Some(rest) = room.checked_sub(bytes) else { break };
                room = rest;
                next = Some(header.base_sequence);
            }
            from -= 1;
        }
        entries.split_off(from)
    }
}

#[cfg(test)]
mod tests;
