//! The sealed segments in the order of their places in the log: each stretch of it once, in the segment that holds it now.
//!
//! Leaves out segments whose place another one has taken, though they may still be read by those who know them.

use crate::segment::{Place, SegmentId};

/// Segments by the beginnings of their places.
#[derive(Debug, Default)]
pub(super) struct Places {
    segments: Vec<(SegmentId, SegmentId)>,
    /// How often a segment took the place of others.
    pub(super) changes: u64,
}

impl Places {
    /// Enters a segment, in the place of those within its place.
    pub(super) fn insert(&mut self, place: Place, id: SegmentId) {
        let start = self.segments.partition_point(|(first, _)| *first < place.first);
        let end = self.segments.partition_point(|(first, _)| *first <= place.last);
        self.changes += u64::from(start < end);
        self.segments.splice(start..end, [(place.first, id)]);
    }

    /// Takes a segment out, if it is here.
    pub(super) fn remove(&mut self, place: Place, id: SegmentId) {
        if let Ok(index) = self.segments.binary_search(&(place.first, id)) {
            self.segments.remove(index);
        }
    }

    /// The beginning and the id of each segment between two beginnings, which are outside.
    pub(super) fn between(&self, after: SegmentId, before: SegmentId) -> &[(SegmentId, SegmentId)] {
        let start = self.segments.partition_point(|(first, _)| *first <= after);
        let end = self.segments.partition_point(|(first, _)| *first < before).max(start);
        self.segments.get(start..end).unwrap_or_default()
    }

    /// The segment at a place, which began there or before.
    pub(super) fn at(&self, place: SegmentId) -> Option<(SegmentId, SegmentId)> {
        let behind = self.segments.partition_point(|(first, _)| *first <= place);
        self.segments.get(behind.checked_sub(1)?).copied()
    }

    /// The next segment behind a beginning and before another one.
    pub(super) fn next(&self, after: SegmentId, before: SegmentId) -> Option<(SegmentId, SegmentId)> {
        self.between(after, before).first().copied()
    }
}
