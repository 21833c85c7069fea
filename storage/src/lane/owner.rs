//! What the lane keeps in memory about one owner: its numbers, and in which segments its records are.
//!
//! Promises a size that does not grow with the records: one span per segment. Points within a segment are elsewhere.

use std::{collections::VecDeque, rc::Rc};

use tidemill_wire::{SequenceNumber, Timestamp, entry::EntryHeader};

use super::{answer::Retention, signal::Signal};
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
}

/// One owner.
#[derive(Default)]
pub(super) struct Owner {
    /// The next number to be seen by readers.
    pub(super) next: SequenceNumber,
    /// The next number to be given out: ahead of `next` while a group is being written.
    pub(super) planned: SequenceNumber,
    /// No record below this is shown, though its span may still be there.
    pub(super) trimmed: SequenceNumber,
    pub(super) spans: VecDeque<Span>,
    /// Payload bytes of all spans.
    pub(super) payload_bytes: u64,
    /// The newest segment that tells this owner's next number.
    pub(super) mention: SegmentId,
    /// `None` for an owner that recovery found and nobody has adopted yet.
    pub(super) retention: Option<Retention>,
    /// Those who wait for the next record.
    pub(super) watchers: Option<Rc<Signal>>,
}

impl Owner {
    pub(super) fn oldest(&self) -> SequenceNumber {
        self.spans.front().map_or(self.next, |span| span.first.max(self.trimmed))
    }

    /// The span with the first record at or after `from`.
    pub(super) fn span_at(&self, from: SequenceNumber) -> Option<&Span> {
        self.spans.get(self.spans.partition_point(|span| span.next <= from))
    }

    /// The span with the first record taken at or after `time`.
    pub(super) fn span_at_time(&self, time: Timestamp) -> Option<&Span> {
        self.spans.get(self.spans.partition_point(|span| span.last_time < time))
    }

    /// Payload bytes of the oldest span that are over the retention, though the span as a whole is not: an estimate.
    pub(super) fn overdue(&self, now: Timestamp) -> u64 {
        let (Some(span), Some(retention)) = (self.spans.front(), self.retention) else { return 0 };
        let passed = retention.cutoff(now).0.saturating_sub(span.first_time.0);
        let whole = span.last_time.0.saturating_sub(span.first_time.0).saturating_add(1);
        let share = u128::from(span.payload_bytes) * u128::from(passed.min(whole)) / u128::from(whole);
        let by_age = u64::try_from(share).unwrap_or(u64::MAX);
        by_age.max(self.over_bytes(&retention)).min(span.payload_bytes)
    }

    /// Payload bytes beyond what the retention asks to keep.
    pub(super) fn over_bytes(&self, retention: &Retention) -> u64 {
        retention.bytes.map_or(0, |bytes| self.payload_bytes.saturating_sub(bytes))
    }

    /// Takes in an entry that is now readable. Returns whether a span began with it.
    pub(super) fn add(&mut self, segment: SegmentId, header: &EntryHeader) -> bool {
        let bytes = header.payload_bytes() as u64;
        self.next = header.next_sequence();
        self.payload_bytes = self.payload_bytes.saturating_add(bytes);
        self.mention = segment;
        if let Some(span) = self.spans.back_mut().filter(|span| span.segment == segment) {
            span.next = self.next;
            span.last_time = header.append_time;
            span.payload_bytes = span.payload_bytes.saturating_add(bytes);
            return false;
        }
        self.spans.push_back(Span {
            segment,
            first: header.base_sequence,
            next: self.next,
            first_time: header.append_time,
            last_time: header.append_time,
            payload_bytes: bytes,
            first_point: 0,
            point_count: 0,
        });
        true
    }

    /// Takes in what a segment says about the owner, when segments are read in order. Returns the spans that are no longer reachable.
    pub(super) fn recover(&mut self, segment: SegmentId, row: &OwnerRow) -> VecDeque<Span> {
        let mut lost = VecDeque::new();
        // Retention takes whole segments: where numbers are missing, everything before them was over its time already.
        let jumps = if row.point_count > 0 { row.first != self.next } else { row.next > self.next };
        if jumps {
            lost = std::mem::take(&mut self.spans);
            self.payload_bytes = 0;
        }
        // A watermark may be older than what is known: then it tells nothing.
        if row.point_count > 0 || row.next >= self.next {
            self.mention = segment;
        }
        if row.point_count > 0 {
            self.spans.push_back(Span::of_row(segment, row));
            self.payload_bytes = self.payload_bytes.saturating_add(row.payload_bytes);
            self.next = row.next;
        } else {
            self.next = self.next.max(row.next);
        }
        self.planned = self.next;
        lost
    }

    pub(super) fn pop_span(&mut self) -> Option<Span> {
        let span = self.spans.pop_front()?;
        self.payload_bytes = self.payload_bytes.saturating_sub(span.payload_bytes);
        Some(span)
    }
}
