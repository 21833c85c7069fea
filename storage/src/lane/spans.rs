//! In which segments an owner's records are: one span for each, in the order of their numbers.
//!
//! Promises memory that does not grow with the records: the oldest span is here and the newest ones, and those between them are told by the
//! owner tables of their segments (`lookup`). A hundred thousand owners have millions of spans. Spans are handed out by value, in the plain form that everybody works
//! with. Leaves out the points within a segment: they are in its footer, or with its contents while it has none.
//!
//! Invariant: an owner's numbers have no gap, so spans are missing between two neighbours here exactly where their numbers do not meet. That is
//! only ever between the first and the second one.

use std::collections::VecDeque;

use tidemill_wire::{OwnerId, SequenceNumber, Timestamp};

use crate::segment::{SegmentId, footer::OwnerRow};

/// Spans of one owner that are kept, more only while segments wait to be sealed: the oldest, the one that grows, and one or two before that, which
/// those read who are a little behind.
const SPANS_KEPT: usize = 4;

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

    /// The row that it was made of.
    pub(super) fn row(&self, owner: OwnerId) -> OwnerRow {
        let Self { first, next, first_time, last_time, payload_bytes, first_point, point_count, .. } = *self;
        OwnerRow { owner, first, next, first_time, last_time, payload_bytes, first_point, point_count }
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

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Here(Span),
    /// In one of the spans that are not here.
    Between(Gap),
}

/// The neighbours of the spans that are not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) before: Span,
    pub(super) after: Span,
}

impl Spans {
    /// Whether there is more than one span.
    pub(super) fn are_several(&self) -> bool {
        self.0.len() > 1
    }

    /// Reads a little of the last one, to have it in the caches.
    pub(super) fn touch(&self) -> u64 {
        let touch = |packed: &Packed| packed.segment ^ packed.payload_bytes ^ u64::from(packed.point_count);
        self.0.back().map_or(0, touch) ^ self.0.front().map_or(0, touch)
    }

    pub(super) fn front(&self) -> Option<Span> {
        self.0.front().map(Packed::span)
    }

    pub(super) fn back(&self) -> Option<Span> {
        self.0.back().map(Packed::span)
    }

    /// The spans that are here.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = Span> + ExactSizeIterator {
        self.0.iter().map(Packed::span)
    }

    /// Where spans are missing.
    pub(super) fn gap(&self) -> Option<Gap> {
        let (before, after) = (self.front()?, self.0.get(1)?.span());
        (before.next != after.first).then_some(Gap { before, after })
    }

    /// Where the first record at or after `from` is.
    pub(super) fn at(&self, from: SequenceNumber) -> Option<Found> {
        let index = self.0.partition_point(|packed| packed.span().next <= from);
        let span = self.0.get(index)?.span();
        match self.gap().filter(|_| index == 1) {
            Some(gap) if from < span.first => Some(Found::Between(gap)),
            _ => Some(Found::Here(span)),
        }
    }

    /// Where the first record taken at or after `time` is. If there is none such between, it is in the span after the gap.
    pub(super) fn at_time(&self, time: Timestamp) -> Option<Found> {
        let index = self.0.partition_point(|packed| packed.span().last_time < time);
        let span = self.0.get(index)?.span();
        match self.gap().filter(|_| index == 1) {
            Some(gap) if time <= span.first_time => Some(Found::Between(gap)),
            _ => Some(Found::Here(span)),
        }
    }

    pub(super) fn push_back(&mut self, span: &Span) {
        self.fold();
        if self.0.len() == self.0.capacity() {
            self.0.reserve_exact(1);
        }
        self.0.push_back(Packed::of(span));
    }

    /// Changes the last span.
    pub(super) fn set_back(&mut self, span: &Span) {
        if let Some(back) = self.0.back_mut() {
            *back = Packed::of(span);
        }
    }

    /// Takes the oldest span out, if the one behind it is here.
    pub(super) fn pop_front(&mut self) -> Option<Span> {
        if self.gap().is_some() {
            return None;
        }
        let popped = self.0.pop_front()?;
        self.release();
        Some(popped.span())
    }

    /// Puts the one behind it in the place of the oldest span, which it returns.
    pub(super) fn advance(&mut self, successor: &Span) -> Option<Span> {
        let popped = std::mem::replace(self.0.front_mut()?, Packed::of(successor));
        Some(popped.span())
    }

    /// Says where the points of the span in a segment are, if there is one.
    pub(super) fn set_points(&mut self, segment: SegmentId, first_point: u32, point_count: u32) {
        if let Some(packed) = self.0.iter_mut().rev().find(|packed| packed.segment == segment) {
            packed.first_point = first_point;
            packed.point_count = point_count;
        }
    }

    /// Puts a span in the place of those that are in some segments, which are neighbours.
    pub(super) fn replace(&mut self, is_replaced: impl Fn(SegmentId) -> bool, span: &Span) {
        let Some(start) = self.0.iter().position(|packed| is_replaced(packed.segment)) else { return };
        self.0.retain(|packed| !is_replaced(packed.segment));
        self.0.insert(start, Packed::of(span));
        self.release();
    }

    /// Leaves sealed spans to their segments, but for the oldest and the newest ones.
    fn fold(&mut self) {
        while self.0.len() >= SPANS_KEPT && self.0.iter().skip(1).take(2).all(|packed| packed.point_count > 0)
        {
            self.0.remove(1);
        }
    }

    /// Gives back memory that is not used.
    fn release(&mut self) {
        if self.0.capacity() > self.0.len() + SPANS_KEPT {
            self.0.shrink_to(self.0.len());
        }
    }
}

#[cfg(test)]
mod tests;
