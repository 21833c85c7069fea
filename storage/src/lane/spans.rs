//! In which segments an owner's records are: one span for each, in the order of their numbers.
//!
//! Promises 48 bytes a span and hardly any room that is not used: a hundred thousand owners have millions of spans. Spans are handed out by value, in the
//! plain form that everybody works with. Leaves out the points within a segment: they are in its footer, or with its contents while it has none.

use std::{collections::VecDeque, ops::Range};

use tidemill_wire::{SequenceNumber, Timestamp};

use crate::segment::{SegmentId, footer::OwnerRow};

/// An owner's part of one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) segment: SegmentId,
    pub(super) first: SequenceNumber,
    pub(super) next: SequenceNumber,
    pub(super) first_time: Timestamp,
    pub(super) last_time: Timestamp,
    pub(super) payload_bytes: u64,
    /// Where its points are in the footer; without a count the segment's contents are still in memory.
    pub(super) first_point: u32,
    pub(super) point_count: u32,
}

impl Span {
    pub(super) fn of_row(segment: SegmentId, row: &OwnerRow) -> Self {
        Self {
            segment,
            first: row.first,
            next: row.next,
            first_time: row.first_time,
            last_time: row.last_time,
            payload_bytes: row.payload_bytes,
            first_point: row.first_point,
            point_count: row.point_count,
        }
    }

    /// Whether its points are in a footer.
    pub(super) fn is_sealed(&self) -> bool {
        self.point_count > 0
    }
}

/// A span as it is kept. Within a segment points count numbers and times in 32 bits, so appends go to the next segment before
/// that is too little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Packed {
    segment: SegmentId,
    first: u64,
    first_time: u64,
    payload_bytes: u64,
    count: u32,
    duration: u32,
    first_point: u32,
    point_count: u32,
}

const _: () = assert!(size_of::<Packed>() == 48);

impl Packed {
    fn of(span: &Span) -> Self {
        let narrow = |wide: u64| u32::try_from(wide).unwrap_or(u32::MAX);
        Self {
            segment: span.segment,
            first: span.first.0,
            first_time: span.first_time.0,
            payload_bytes: span.payload_bytes,
            count: narrow(span.next.since(span.first)),
            duration: narrow(span.last_time.0.saturating_sub(span.first_time.0)),
            first_point: span.first_point,
            point_count: span.point_count,
        }
    }

    fn span(&self) -> Span {
        Span {
            segment: self.segment,
            first: SequenceNumber(self.first),
            next: SequenceNumber(self.first.saturating_add(u64::from(self.count))),
            first_time: Timestamp(self.first_time),
            last_time: Timestamp(self.first_time.saturating_add(u64::from(self.duration))),
            payload_bytes: self.payload_bytes,
            first_point: self.first_point,
            point_count: self.point_count,
        }
    }
}

/// The spans of one owner.
#[derive(Default)]
pub(super) struct Spans(VecDeque<Packed>);

impl Spans {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn front(&self) -> Option<Span> {
        self.0.front().map(Packed::span)
    }

    pub(super) fn back(&self) -> Option<Span> {
        self.0.back().map(Packed::span)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = Span> + ExactSizeIterator {
        self.0.iter().map(Packed::span)
    }

    /// The span with the first record at or after `from`.
    pub(super) fn at(&self, from: SequenceNumber) -> Option<Span> {
        self.0.get(self.0.partition_point(|packed| packed.span().next <= from)).map(Packed::span)
    }

    /// The span with the first record taken at or after `time`.
    pub(super) fn at_time(&self, time: Timestamp) -> Option<Span> {
        self.0.get(self.0.partition_point(|packed| packed.span().last_time < time)).map(Packed::span)
    }

    pub(super) fn push_back(&mut self, span: &Span) {
        if self.0.len() == self.0.capacity() {
            // Owners with few spans have room for these and no more; where there are many, an eighth saves copies.
            self.0.reserve_exact(1 + self.0.len() / 8);
        }
        self.0.push_back(Packed::of(span));
    }

    /// Changes the last span.
    pub(super) fn set_back(&mut self, span: &Span) {
        if let Some(back) = self.0.back_mut() {
            *back = Packed::of(span);
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<Span> {
        let popped = self.0.pop_front()?;
        self.release();
        Some(popped.span())
    }

    /// Says where the points of the span in a segment are, if there is one.
    pub(super) fn set_points(&mut self, segment: SegmentId, first_point: u32, point_count: u32) {
        if let Some(packed) = self.0.iter_mut().rev().find(|packed| packed.segment == segment) {
            packed.first_point = first_point;
            packed.point_count = point_count;
        }
    }

    /// Puts one span in the place of some that follow one another, and returns those.
    pub(super) fn replace(&mut self, range: Range<usize>, span: &Span) -> Vec<Span> {
        let start = range.start;
        let replaced = self.0.drain(range).map(|packed| packed.span()).collect();
        self.0.insert(start, Packed::of(span));
        self.release();
        replaced
    }

    /// Gives back memory that is not used.
    fn release(&mut self) {
        let used = self.0.len() + self.0.len() / 8;
        if self.0.capacity() > used + used / 8 {
            self.0.shrink_to(used);
        }
    }
}

#[cfg(test)]
mod tests;
