//! What the lane keeps in memory about one owner: its numbers, and in which segments its records are.
//!
//! Promises a size that does not grow with the records: one span per segment. Points within a segment are elsewhere.
//!
//! Invariant: an owner stands in the lane's schedule under the time at which its oldest span is over, if there is one; whoever changes its spans or its
//! retention calls `reschedule`. So upkeep looks at those that have something to expire and at no other (`tests/it/owners.rs` counts).

use std::{collections::BTreeSet, rc::Rc};

use tidemill_wire::{OwnerId, SequenceNumber, Timestamp, entry::EntryHeader};

use super::{
    answer::Retention,
    signal::Signal,
    spans::{Span, Spans},
};
use crate::segment::{Segment, SegmentId, footer::OwnerRow};

/// No time: nothing of the owner is over at any.
pub(super) const NEVER: Timestamp = Timestamp(u64::MAX);

/// Owners by the time at which something of theirs is over.
pub(super) type Schedule = BTreeSet<(Timestamp, OwnerId)>;

/// One owner.
pub(super) struct Owner {
    /// The next number to be seen by readers.
    pub(super) next: SequenceNumber,
    /// The next number to be given out: ahead of `next` while a group is being written.
    pub(super) planned: SequenceNumber,
    /// No record below this is shown, though its span may still be there.
    pub(super) trimmed: SequenceNumber,
    pub(super) spans: Spans,
    /// Payload bytes of all spans.
    pub(super) payload_bytes: u64,
    /// The newest segment that tells this owner's next number; 0 for none.
    pub(super) mention: SegmentId,
    /// Retention took spans since the lane was opened: their entries may still be on the disk, and be found by the next start.
    pub(super) is_cut: bool,
    /// It is gone for everybody but upkeep, which has to find its spans yet.
    pub(super) is_forgotten: bool,
    /// `None` for an owner that recovery found and nobody has adopted yet.
    pub(super) retention: Option<Retention>,
    /// Those who wait for the next record.
    pub(super) watchers: Option<Rc<Signal>>,
    /// Under which time it stands in the schedule; `NEVER` if it does not.
    due: Timestamp,
}

impl Default for Owner {
    fn default() -> Self {
        Self {
            next: SequenceNumber(0),
            planned: SequenceNumber(0),
            trimmed: SequenceNumber(0),
            spans: Spans::default(),
            payload_bytes: 0,
            mention: 0,
            is_cut: false,
            is_forgotten: false,
            retention: None,
            watchers: None,
            due: NEVER,
        }
    }
}

impl Owner {
    /// An owner as a checkpoint tells it.
    pub(super) fn of_checkpoint(
        next: SequenceNumber,
        mention: SegmentId,
        payload_bytes: u64,
        is_cut: bool,
        spans: Spans,
    ) -> Self {
        Self { next, planned: next, spans, payload_bytes, mention, is_cut, ..Self::default() }
    }

    /// Whether it was adopted, and not forgotten since.
    pub(super) fn takes_appends(&self) -> bool {
        self.retention.is_some() && !self.is_forgotten
    }

    /// Reads a little of all that an append looks at, to have it in the caches.
    pub(super) fn touch(&self) -> u64 {
        let flags = u64::from(self.takes_appends()) ^ u64::from(self.watchers.is_some());
        self.next.0 ^ self.planned.0 ^ self.payload_bytes ^ self.mention ^ self.due.0 ^ flags
    }

    /// Enters the owner into the schedule where it belongs now.
    pub(super) fn reschedule(&mut self, id: OwnerId, schedule: &mut Schedule) {
        let due = self.next_due();
        if due != self.due {
            self.unschedule(id, schedule);
            if due != NEVER {
                schedule.insert((due, id));
            }
            self.due = due;
        }
    }

    /// Takes the owner out of the schedule.
    pub(super) fn unschedule(&mut self, id: OwnerId, schedule: &mut Schedule) {
        if self.due != NEVER {
            schedule.remove(&(self.due, id));
            self.due = NEVER;
        }
    }

    /// After which time its oldest span is over its retention. Spans of segments without a footer stay: what is too old in them is hidden
    /// entry by entry, and the sealer comes back to it.
    pub(super) fn next_due(&self) -> Timestamp {
        let (Some(span), Some(retention)) = (self.spans.front(), self.retention) else { return NEVER };
        if !span.is_sealed() {
            return NEVER;
        }
        if span.next <= self.trimmed {
            return Timestamp(0);
        }
        let rest = self.payload_bytes.saturating_sub(span.payload_bytes);
        if self.spans.are_several() && retention.bytes.is_some_and(|bytes| rest >= bytes) {
            return Timestamp(0);
        }
        let age_ms = u64::try_from(retention.age.as_millis()).unwrap_or(u64::MAX);
        Timestamp(span.last_time.0.saturating_add(age_ms))
    }

    /// Notes that a segment tells the next number, and that the one that told it before no longer has to.
    pub(super) fn mention_in<F>(&mut self, segment: &Segment<F>, before: Option<&Rc<Segment<F>>>) {
        if let Some(before) = before {
            before.mentions.set(before.mentions.get() - 1);
        }
        segment.mentions.set(segment.mentions.get() + 1);
        self.mention = segment.id;
    }

    pub(super) fn oldest(&self) -> SequenceNumber {
        self.spans.front().map_or(self.next, |span| span.first.max(self.trimmed))
    }

    /// Payload bytes of the oldest span that are over the retention, though the span as a whole is not: an estimate.
    pub(super) fn overdue(&self, now: Timestamp) -> u64 {
        let (Some(span), Some(retention)) = (self.spans.front(), self.retention) else { return 0 };
        let passed = retention.cutoff(now).0.saturating_sub(span.first_time.0);
        let whole = span.last_time.0.saturating_sub(span.first_time.0).saturating_add(1);
        let share = u128::from(span.payload_bytes) * u128::from(passed.min(whole)) / u128::from(whole);
        let by_age = u64::try_from(share).unwrap_or(u64::MAX);
        let (trimmed, numbers) = (self.trimmed.since(span.first), span.next.since(span.first).max(1));
        let share = u128::from(span.payload_bytes) * u128::from(trimmed.min(numbers)) / u128::from(numbers);
        let by_number = u64::try_from(share).unwrap_or(u64::MAX);
        by_age.max(by_number).max(self.over_bytes(&retention)).min(span.payload_bytes)
    }

    /// When each span that is kept is expected to be over its retention, from the newest to the oldest: by its age, or when as many bytes will have come after it as are kept, if they go
    /// on coming as they did since the oldest span began.
    pub(super) fn expected_ends(&self, now: Timestamp) -> impl Iterator<Item = (SegmentId, Timestamp)> {
        let age_ms = self
            .retention
            .map_or(u64::MAX, |retention| u64::try_from(retention.age.as_millis()).unwrap_or(u64::MAX));
        let kept_bytes = self.retention.and_then(|retention| retention.bytes);
        let oldest = self.spans.front().map_or(now, |span| span.first_time);
        let elapsed_ms = u128::from(now.0.saturating_sub(oldest.0));
        let come_bytes = u128::from(self.payload_bytes);
        let mut later_bytes = 0_u64;
        self.spans.iter().rev().map(move |span| {
            let by_age = span.last_time.0.saturating_add(age_ms);
            let by_bytes = kept_bytes.map_or(u64::MAX, |kept| {
                let missing = u128::from(kept.saturating_sub(later_bytes));
                let wait_ms = (missing * elapsed_ms).checked_div(come_bytes).unwrap_or(u128::MAX);
                now.0.saturating_add(u64::try_from(wait_ms).unwrap_or(u64::MAX))
            });
            later_bytes = later_bytes.saturating_add(span.payload_bytes);
            (span.segment, Timestamp(by_age.min(by_bytes)))
        })
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
        if let Some(span) = self.spans.back().filter(|span| span.segment == segment) {
            let payload_bytes = span.payload_bytes.saturating_add(bytes);
            self.spans.set_back(&Span {
                next: self.next,
                last_time: header.append_time,
                payload_bytes,
                ..span
            });
            return false;
        }
        self.spans.push_back(&Span {
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
    pub(super) fn recover(&mut self, segment: SegmentId, row: &OwnerRow) -> Spans {
        let mut lost = Spans::default();
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
            self.spans.push_back(&Span::of_row(segment, row));
            self.payload_bytes = self.payload_bytes.saturating_add(row.payload_bytes);
            self.next = row.next;
        } else {
            self.next = self.next.max(row.next);
        }
        self.planned = self.next;
        lost
    }

    /// Takes the oldest span away, if the one behind it is known.
    pub(super) fn pop_span(&mut self) -> Option<Span> {
        let span = self.spans.pop_front()?;
        self.cut(&span);
        Some(span)
    }

    /// The same with a span that was looked up.
    pub(super) fn pop_span_for(&mut self, successor: &Span) -> Option<Span> {
        let span = self.spans.advance(successor)?;
        self.cut(&span);
        Some(span)
    }

    fn cut(&mut self, span: &Span) {
        self.is_cut = true;
        self.payload_bytes = self.payload_bytes.saturating_sub(span.payload_bytes);
    }
}

#[cfg(test)]
mod tests;
