//! The rows and points of a segment's footer: what each owner has in it, and where.

use tidemill_wire::{OwnerId, SequenceNumber, Timestamp};

use super::{
    SegmentId,
    bytes::{Fields, Put},
};

/// Bytes of the fields of one owner's row.
const ROW_FIELDS_BYTES: usize = 56;
/// Bytes of one owner's row as it is written now.
pub(crate) const OWNER_ROW_BYTES: u64 = ROW_FIELDS_BYTES as u64 + 4;
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

/// How the rows of an owner table are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowFormat {
    /// The fields alone: only the whole table can be checked.
    Plain,
    /// Each with a CRC32 over its fields and the id of its segment, so that a row can be trusted by itself.
    Checked(SegmentId),
}

impl RowFormat {
    /// Bytes of one row.
    pub(crate) fn row_bytes(self) -> u64 {
        match self {
            Self::Plain => ROW_FIELDS_BYTES as u64,
            Self::Checked(_) => OWNER_ROW_BYTES,
        }
    }

    pub(crate) fn encode_into(self, row: &OwnerRow, buffer: &mut Vec<u8>) {
        let start = buffer.len();
        row.encode_into(buffer);
        if let Self::Checked(segment) = self {
            let crc = row_crc(buffer.get(start..).unwrap_or_default(), segment);
            buffer.put_u32(crc);
        }
    }

    /// Reads a row of `row_bytes`; `None` if it is not one.
    pub(crate) fn decode(self, bytes: &[u8]) -> Option<OwnerRow> {
        let (fields, crc) = bytes.split_at_checked(ROW_FIELDS_BYTES)?;
        if let Self::Checked(segment) = self
            && Fields(crc).u32()? != row_crc(fields, segment)
        {
            return None;
        }
        OwnerRow::decode(fields).filter(|row| row.first <= row.next && row.first_time <= row.last_time)
    }
}

fn row_crc(fields: &[u8], segment: SegmentId) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(fields);
    crc.update(&segment.to_le_bytes());
    crc.finalize()
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
    /// Whether the owner has entries in the segment.
    pub(crate) fn has_entries(&self) -> bool {
        self.point_count > 0
    }

    fn encode_into(&self, buffer: &mut Vec<u8>) {
        buffer.put_u64(self.owner.0);
        buffer.put_u64(self.first.0);
        buffer.put_u64(self.next.0);
        buffer.put_u64(self.first_time.0);
        buffer.put_u64(self.last_time.0);
        buffer.put_u64(self.payload_bytes);
        buffer.put_u32(self.first_point);
        buffer.put_u32(self.point_count);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
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
pub(crate) fn decode_owner_table(bytes: &[u8], format: RowFormat, point_count: u32) -> Option<Vec<OwnerRow>> {
    let row_bytes = usize::try_from(format.row_bytes()).ok()?;
    if !bytes.len().is_multiple_of(row_bytes) {
        return None;
    }
    let mut rows: Vec<OwnerRow> = Vec::with_capacity(bytes.len() / row_bytes);
    let mut points = 0_u32;
    for chunk in bytes.chunks_exact(row_bytes) {
        let row = format.decode(chunk)?;
        if rows.last().is_some_and(|last| last.owner >= row.owner) || row.first_point != points {
            return None;
        }
        points = points.checked_add(row.point_count)?;
        rows.push(row);
    }
    (points == point_count).then_some(rows)
}
