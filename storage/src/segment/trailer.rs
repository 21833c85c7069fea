//! The segment trailer: the last page of a sealed segment.
//!
//! Invariant: a valid trailer of the segment's epoch is written only after all entries and the footer are stable; the sealer's order of flushes
//! guards it, and the simulator's crashes test it.

use tidemill_wire::Timestamp;

use super::{
    SegmentId,
    bytes::Put,
    footer::{POINT_BYTES, RowFormat},
    header::{StructureError, open_structure, seal_structure},
};
use crate::limits::{SEGMENT_HEADER_BYTES, SEGMENT_TRAILER_BYTES};

const MAGIC: [u8; 8] = *b"TIDEMEND";
/// Before a footer of plain rows: no build writes it any more.
const VERSION_PLAIN_ROWS: u32 = 1;
/// Before one of rows with checksums.
const VERSION: u32 = 2;
/// Bytes of the trailer that have a meaning; the rest of its page is zero.
pub(crate) const TRAILER_BYTES: usize = 96;

/// Where a sealed segment's footer is, and what the segment holds in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub(crate) id: SegmentId,
    pub(crate) rows: RowFormat,
    pub(crate) entries_end: u64,
    pub(crate) footer_position: u64,
    pub(crate) owner_count: u32,
    pub(crate) point_count: u32,
    pub(crate) owners_crc: u32,
    pub(crate) points_crc: u32,
    pub(crate) entry_count: u64,
    pub(crate) first_time: Timestamp,
    pub(crate) last_time: Timestamp,
}

impl Trailer {
    /// The whole last page.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = Vec::with_capacity(TRAILER_BYTES);
        fields.put_u32(match self.rows {
            RowFormat::Plain => VERSION_PLAIN_ROWS,
            RowFormat::Checked(_) => VERSION,
        });
        fields.put_u64(self.id);
        fields.put_u64(self.entries_end);
        fields.put_u64(self.footer_position);
        fields.put_u32(self.owner_count);
        fields.put_u32(self.point_count);
        fields.put_u32(self.owners_crc);
        fields.put_u32(self.points_crc);
        fields.put_u64(self.entry_count);
        fields.put_u64(self.first_time.0);
        fields.put_u64(self.last_time.0);
        fields.resize(TRAILER_BYTES - 12, 0);
        let mut page = seal_structure(MAGIC, &fields);
        page.resize(SEGMENT_TRAILER_BYTES as usize, 0);
        page
    }

    /// Reads the trailer of a file of `file_bytes` bytes.
    pub(crate) fn decode(bytes: &[u8], file_bytes: u64) -> Result<Self, StructureError> {
        let (is_checked, mut fields) = match open_structure(MAGIC, VERSION, bytes, TRAILER_BYTES) {
            Err(StructureError::Version(VERSION_PLAIN_ROWS)) => {
                (false, open_structure(MAGIC, VERSION_PLAIN_ROWS, bytes, TRAILER_BYTES)?)
            }
            opened => (true, opened?),
        };
        let trailer = (|| {
            let id = fields.u64()?;
            Some(Self {
                id,
                rows: if is_checked { RowFormat::Checked(id) } else { RowFormat::Plain },
                entries_end: fields.u64()?,
                footer_position: fields.u64()?,
                owner_count: fields.u32()?,
                point_count: fields.u32()?,
                owners_crc: fields.u32()?,
                points_crc: fields.u32()?,
                entry_count: fields.u64()?,
                first_time: Timestamp(fields.u64()?),
                last_time: Timestamp(fields.u64()?),
            })
        })()
        .ok_or(StructureError::Truncated(bytes.len()))?;
        let fits = trailer.entries_end >= SEGMENT_HEADER_BYTES
            && trailer.entries_end <= trailer.footer_position
            && trailer.entries_end.is_multiple_of(8)
            && trailer
                .footer_position
                .checked_add(trailer.footer_bytes())
                .is_some_and(|end| end <= file_bytes);
        if fits { Ok(trailer) } else { Err(StructureError::Fields) }
    }

    pub(crate) fn owners_bytes(&self) -> u64 {
        u64::from(self.owner_count) * self.rows.row_bytes()
    }

    /// Where a row of the footer is.
    pub(crate) fn row_position(&self, index: u32) -> u64 {
        self.footer_position + u64::from(index) * self.rows.row_bytes()
    }

    pub(crate) fn footer_bytes(&self) -> u64 {
        self.owners_bytes() + u64::from(self.point_count) * POINT_BYTES
    }

    /// Where a point of the footer is.
    pub(crate) fn point_position(&self, index: u32) -> u64 {
        self.footer_position + self.owners_bytes() + u64::from(index) * POINT_BYTES
    }
}
