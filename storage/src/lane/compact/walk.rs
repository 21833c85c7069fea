//! The walk over one owner's entries in the segments that are rewritten.
//!
//! Promises each entry checked: its checksum, its owner, its place within its point, and a number that follows the one before. Leaves out what
//! is done with them.

use std::{collections::VecDeque, rc::Rc};

use bytes::Bytes;
use tidemill_wire::{
    SequenceNumber,
    entry::{ENTRY_HEADER_BYTES, EntryHeader, EntryKind},
};

use super::{
    super::reader::{Stretch, entry_at, points_between, points_of_step, stretches},
    Setback,
    gather::{POINTS_MAX, Part},
};
use crate::{
    env::File,
    error::Damage,
    limits::CHUNK_BYTES,
    segment::{Segment, footer::Point},
};

/// An entry and its payload.
pub(super) type Entry = (EntryHeader, Bytes);

/// Where a walk is.
pub(super) struct Walk<'a, F: File> {
    part: &'a Part,
    victims: &'a [Rc<Segment<F>>],
    /// Index of the span in the part, and of the next point to be looked up in the span's footer.
    span: usize,
    point: u32,
    /// What was brought in, and how many points of its first stretch are done.
    stretches: VecDeque<Stretch>,
    done: usize,
    next: Option<SequenceNumber>,
}

impl<'a, F: File> Walk<'a, F> {
    pub(super) fn new(part: &'a Part, victims: &'a [Rc<Segment<F>>]) -> Self {
        let point = part.spans.first().map_or(0, |(_, span)| span.first_point.saturating_add(part.skipped));
        Self { part, victims, span: 0, point, stretches: VecDeque::new(), done: 0, next: None }
    }

    /// Puts the entries of the next point into `entries`. Returns the index of their segment, or nothing at the end of the part.
    pub(super) async fn next_point(&mut self, entries: &mut Vec<Entry>) -> Result<Option<usize>, Setback> {
        entries.clear();
        while self.stretches.is_empty() {
            let Some((index, span)) = self.part.spans.get(self.span) else {
                let Some((index, last)) = self.part.spans.last() else { return Ok(None) };
                if self.next == Some(last.next) {
                    return Ok(None);
                }
                let victim = &self.victims[*index];
                let (expected, found) =
                    (format!("points up to sequence number {}", last.next), format!("{:?}", self.next));
                let offset =
                    victim.trailer.get().map_or(0, |trailer| trailer.point_position(last.first_point));
                let damage = Damage { path: victim.path.clone(), offset, expected, found };
                return Err(Setback::Damaged { segment: victim.id, damage });
            };
            let end = span.first_point.saturating_add(span.point_count);
            if self.point >= end {
                self.span += 1;
                self.point = self.part.spans.get(self.span).map_or(0, |(_, span)| span.first_point);
                continue;
            }
            let victim = &self.victims[*index];
            let failed = |error| Setback::of_read(victim.id, error);
            let stop = end.min(self.point.saturating_add(POINTS_MAX));
            let mut points = points_between(victim, self.point..stop).await.map_err(failed)?;
            points.truncate(points_of_step(&points, CHUNK_BYTES).max(1));
            self.point = self.point.saturating_add(u32::try_from(points.len()).unwrap_or(u32::MAX));
            self.stretches = stretches(victim, &points).await.map_err(failed)?.into();
            self.done = 0;
        }
        let (span, stretch) = (self.part.spans.get(self.span), self.stretches.front());
        let Some(((index, _), stretch)) = span.zip(stretch) else { return Ok(None) };
        let (index, point) = (*index, stretch.points().get(self.done).copied());
        if let Some(point) = point {
            self.next = read(self.part, &self.victims[index], stretch, &point, self.next, entries)?;
        }
        self.done += 1;
        if self.done >= stretch.points().len() {
            self.stretches.pop_front();
            self.done = 0;
        }
        Ok(Some(index))
    }

    /// Whether the next point has to be looked up: a good moment to let others run.
    pub(super) fn is_between_steps(&self) -> bool {
        self.stretches.is_empty()
    }
}

/// Reads the entries of a point, of which the first has the number `next`. Returns the number after the last one.
fn read<F: File>(
    part: &Part,
    victim: &Segment<F>,
    stretch: &Stretch,
    point: &Point,
    mut next: Option<SequenceNumber>,
    entries: &mut Vec<Entry>,
) -> Result<Option<SequenceNumber>, Setback> {
    let damaged = |offset, expected, found| {
        let damage = Damage { path: victim.path.clone(), offset, expected, found };
        Setback::Damaged { segment: victim.id, damage }
    };
    let mut position = point.position();
    while position < point.end() {
        let header = entry_at(victim, stretch, position, part.owner)
            .map_err(|error| Setback::of_read(victim.id, error))?;
        let dense = next.is_none_or(|next| next == header.base_sequence);
        let within = position + header.stride() as u64 <= point.end();
        if header.kind == EntryKind::Watermarks || !dense || !within {
            let expected = format!("sequence number {next:?} up to {}", point.end());
            let found = format!("{} up to {}", header.base_sequence, position + header.stride() as u64);
            return Err(damaged(position, expected, found));
        }
        let payload = position + ENTRY_HEADER_BYTES as u64..position + u64::from(header.length);
        entries.push((header, stretch.slice(payload)));
        next = Some(header.next_sequence());
        position += header.stride() as u64;
    }
    let last = part.spans.iter().rfind(|(_, span)| span.segment == victim.id).map(|(_, span)| span.next);
    match (next, last) {
        (Some(found), Some(last)) if found > last => {
            let expected = format!("sequence numbers below {last}");
            Err(damaged(victim.written.get(), expected, found.to_string()))
        }
        _ => Ok(next),
    }
}
