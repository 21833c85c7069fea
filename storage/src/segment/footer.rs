//! The rows and points of a segment's footer: what each owner has in it, and where.

use tidemill_wire::{OwnerId, SequenceNumber, Timestamp};

use super::bytes::{Fields, Put};

/// Bytes of one owner's row.
pub(crate) const OWNER_ROW_BYTES: u64 = 56;
/// Bytes of one point.
pub(crate) const POINT_BYTES: u64 = 16;

/// What one owner has in a segment. Without points it is a watermark: only `next` has a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnerRow {
    pub(crate) owner: OwnerId,
    pub(crate) first: SequenceNumber,
    pub(crate) next: SequenceNumber,
    pub(crate) first_time: Timestamp,
    pub(crate) last_time: Timestamp,
    pub(crate) payload_bytes: u64,
    pub(crate) first_point: u32,
    pub(crate) point_count: u32,
}

/// A run of neighbouring entries of one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    /// First sequence number, counted from the row's first.
    pub(crate) sequence_offset: u32,
    /// Position in the segment, in units of 8 bytes.
    pub(crate) position_units: u32,
    /// Append time of the first entry in milliseconds, counted from the segment's first.
    pub(crate) time_offset: u32,
    /// Bytes of all entries of the run, in units of 8 bytes.
    pub(crate) length_units: u32,
}

impl OwnerRow {
    pub(crate) fn encode_into(&self, buffer: &mut Vec<u8>) {
        buffer.put_u64(self.owner.0);
        buffer.put_u64(self.first.0);
        buffer.put_u64(self.next.0);
        buffer.put_u64(self.first_time.0);
        buffer.put_u64(self.last_time.0);
        buffer.put_u64(self.payload_bytes);
        buffer.put_u32(self.first_point);
        buffer.put_u32(self.point_count);
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        Some(Self {
            owner: OwnerId(fields.u64()?),
            first: SequenceNumber(fields.u64()?),
            next: SequenceNumber(fields.u64()?),
            first_time: Timestamp(fields.u64()?),
            last_time: Timestamp(fields.u64()?),
            payload_bytes: fields.u64()?,
            first_point: fields.u32()?,
            point_count: fields.u32()?,
        })
    }
}

impl Point {
    pub(crate) fn position(&self) -> u64 {
        u64::from(self.position_units) * 8
    }

    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.length_units) * 8
    }

    pub(crate) fn end(&self) -> u64 {
        self.position() + self.bytes()
    }

    pub(crate) fn encode_into(&self, buffer: &mut Vec<u8>) {
        buffer.put_u32(self.sequence_offset);
        buffer.put_u32(self.position_units);
        buffer.put_u32(self.time_offset);
        buffer.put_u32(self.length_units);
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        Some(Self {
            sequence_offset: fields.u32()?,
            position_units: fields.u32()?,
            time_offset: fields.u32()?,
            length_units: fields.u32()?,
        })
    }
}

/// The owner table of a footer: rows in strictly rising order of owners whose points follow one another without a gap.
/// `None` if the bytes are anything else.
pub(crate) fn decode_owner_table(bytes: &[u8], point_count: u32) -> Option<Vec<OwnerRow>> {
    if !bytes.len().is_multiple_of(OWNER_ROW_BYTES as usize) {
        return None;
    }
    let mut rows: Vec<OwnerRow> = Vec::with_capacity(bytes.len() / OWNER_ROW_BYTES as usize);
    let mut points = 0_u32;
    for chunk in bytes.chunks_exact(OWNER_ROW_BYTES as usize) {
        let row = OwnerRow::decode(chunk)?;
        let ordered = rows.last().is_none_or(|last| last.owner < row.owner);
        let sound = row.first <= row.next && row.first_time <= row.last_time && row.first_point == points;
        if !ordered || !sound {
            return None;
        }
        points = points.checked_add(row.point_count)?;
        rows.push(row);
    }
    (points == point_count).then_some(rows)
}
