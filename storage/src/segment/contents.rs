//! What a segment holds, in memory: built while it is written or scanned, and the source of its footer.
//!
//! Promises the same result for the same entries, whether they were appended or found by a scan.

use std::ops::Deref;

use tidemill_wire::{
    OwnerId, SequenceNumber, Timestamp,
    entry::{EntryHeader, EntryKind},
};

use super::{
    footer::{OWNER_ROW_BYTES, OwnerRow, POINT_BYTES, Point, RowFormat},
    watermarks,
};
use crate::{limits::POINT_BYTES_MAX, owner_map::OwnerMap};

/// All owners' parts of a segment.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    owners: OwnerMap<OwnerContents>,
    point_count: u64,
    pub(crate) entry_count: u64,
    pub(crate) first_time: Timestamp,
    pub(crate) last_time: Timestamp,
}

/// One owner's part.
#[derive(Debug)]
pub(crate) struct OwnerContents {
    pub(crate) first: SequenceNumber,
    pub(crate) next: SequenceNumber,
    pub(crate) first_time: Timestamp,
    pub(crate) last_time: Timestamp,
    pub(crate) payload_bytes: u64,
    pub(crate) points: Points,
}

/// The points of one owner in the order of their positions. Where owners are many most have one in a segment, which takes no memory of its own.
#[derive(Debug, Default)]
pub(crate) enum Points {
    #[default]
    None,
    One(Point),
    Many(Vec<Point>),
}

const _: () = assert!(size_of::<Points>() == size_of::<Vec<Point>>());

impl Deref for Points {
    type Target = [Point];

    fn deref(&self) -> &[Point] {
        match self {
            Self::None => &[],
            Self::One(point) => std::slice::from_ref(point),
            Self::Many(points) => points,
        }
    }
}

impl Points {
    fn last_mut(&mut self) -> Option<&mut Point> {
        match self {
            Self::None => None,
            Self::One(point) => Some(point),
            Self::Many(points) => points.last_mut(),
        }
    }

    fn push(&mut self, point: Point) {
        match self {
            Self::None => *self = Self::One(point),
            Self::One(first) => *self = Self::Many(vec![*first, point]),
            Self::Many(points) => points.push(point),
        }
    }
}

impl OwnerContents {
    fn new(next: SequenceNumber) -> Self {
        Self {
            first: next,
            next,
            first_time: Timestamp(0),
            last_time: Timestamp(0),
            payload_bytes: 0,
            points: Points::None,
        }
    }

    pub(crate) fn row(&self, owner: OwnerId, first_point: u32) -> OwnerRow {
        OwnerRow {
            owner,
            first: self.first,
            next: self.next,
            first_time: self.first_time,
            last_time: self.last_time,
            payload_bytes: self.payload_bytes,
            first_point,
            point_count: u32::try_from(self.points.len()).unwrap_or(u32::MAX),
        }
    }
}

impl Contents {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Says how many owners will come: about as many as to the segment before.
    pub(crate) fn expect(&mut self, owners: usize) {
        self.owners.expect(owners);
    }

    /// Takes in an entry at a position. Entries come in the order of their positions.
    pub(crate) fn add(&mut self, position: u64, header: &EntryHeader, payload: &[u8]) {
        if self.entry_count == 0 {
            self.first_time = header.append_time;
        }
        self.entry_count += 1;
        self.last_time = self.last_time.max(header.append_time);
        match header.kind {
            EntryKind::Batch | EntryKind::Sparse => self.add_batch(position, header),
            EntryKind::Watermarks => {
                for (owner, next) in watermarks::decode(payload) {
                    self.add_watermark(owner, next);
                }
            }
        }
    }

    fn add_watermark(&mut self, owner: OwnerId, next: SequenceNumber) {
        let part = self.owners.get_or_insert_with(owner, || OwnerContents::new(next));
        if part.points.is_empty() {
            *part = OwnerContents::new(next.max(part.next));
        }
    }

    fn add_batch(&mut self, position: u64, header: &EntryHeader) {
        let part = self.owners.get_or_insert_with(header.owner, || OwnerContents::new(header.base_sequence));
        // Numbers are dense within a life of an owner. Where they are not, an older life under the same id has ended.
        if part.points.is_empty() || part.next != header.base_sequence {
            self.point_count -= part.points.len() as u64;
            *part = OwnerContents::new(header.base_sequence);
            part.first_time = header.append_time;
        }
        let offset = |from: u64, to: u64| u32::try_from(to.saturating_sub(from)).unwrap_or(u32::MAX);
        let units = |bytes: u64| u32::try_from(bytes / 8).unwrap_or(u32::MAX);
        let stride = header.stride() as u64;
        match part.points.last_mut() {
            Some(point) if point.end() == position && point.bytes() + stride <= POINT_BYTES_MAX => {
                point.length_units += units(stride);
            }
            _ => {
                part.points.push(Point {
                    sequence_offset: offset(part.first.0, header.base_sequence.0),
                    position_units: units(position),
                    time_offset: offset(self.first_time.0, header.append_time.0),
                    length_units: units(stride),
                });
                self.point_count += 1;
            }
        }
        part.next = header.next_sequence();
        part.last_time = part.last_time.max(header.append_time).max(part.first_time);
        part.payload_bytes += header.payload_bytes() as u64;
    }

    pub(crate) fn owner(&self, owner: OwnerId) -> Option<&OwnerContents> {
        self.owners.get(&owner)
    }

    /// Reads a little of an owner's part, to have it in the caches.
    pub(crate) fn touch(&self, owner: OwnerId) -> u64 {
        self.owner(owner).map_or(0, |part| part.first.0 ^ part.payload_bytes ^ part.points.len() as u64)
    }

    /// The same with its last point.
    pub(crate) fn touch_points(&self, owner: OwnerId) -> u64 {
        let last = self.owner(owner).and_then(|part| part.points.last());
        last.map_or(0, |point| u64::from(point.position_units))
    }

    /// The owners of one of the `OWNER_MAP_PARTS` parts.
    pub(crate) fn owners_of(&self, part: usize) -> impl Iterator<Item = OwnerId> {
        self.owners.part(part).map(|(owner, _)| owner)
    }

    /// Takes some of it out, as long as there is any.
    pub(crate) fn take_part(&mut self) -> Option<impl Sized> {
        self.owners.take_part()
    }

    /// Owners in rising order, for where nobody waits.
    pub(crate) fn sorted_owners(&self) -> Vec<OwnerId> {
        let mut owners: Vec<OwnerId> = self.owners.iter().map(|(owner, _)| owner).collect();
        owners.sort_unstable();
        owners
    }

    pub(crate) fn owner_count(&self) -> u64 {
        self.owners.len() as u64
    }

    /// Bytes of a footer whose rows have no checksums.
    pub(crate) fn plain_footer_bytes(&self) -> u64 {
        self.owner_count() * RowFormat::Plain.row_bytes() + self.point_count * POINT_BYTES
    }

    /// Bytes of the footer if so many owners and points were added.
    pub(crate) fn footer_bytes(&self, more_owners: u64, more_points: u64) -> u64 {
        (self.owner_count() + more_owners) * OWNER_ROW_BYTES + (self.point_count + more_points) * POINT_BYTES
    }
}
