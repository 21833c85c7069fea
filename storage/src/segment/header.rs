//! The segment header: the first page of the file.
//!
//! Written and made stable before the file gets its `.segment` name, so that every file of that name says what it is.

use tidemill_wire::{LaneId, Timestamp};

use super::{
    Place, SegmentId,
    bytes::{Fields, Put},
};
use crate::limits::{SEGMENT_BYTES_MAX, SEGMENT_HEADER_BYTES, SEGMENT_TRAILER_BYTES};

const MAGIC: [u8; 8] = *b"TIDEMSEG";
const VERSION: u32 = 1;
/// Of segments that compaction made: a build that takes them for parts of the log must refuse them.
const VERSION_COMPACTED: u32 = 2;
/// Of those with sparse entries: a build that does not know these must refuse them before it answers readers with damage.
const VERSION_SPARSE: u32 = 3;
/// Bytes of the header that have a meaning; the rest of its page is zero.
pub(crate) const HEADER_BYTES: usize = 64;

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) lane: LaneId,
    pub(crate) id: SegmentId,
    pub(crate) segment_bytes: u64,
    pub(crate) created: Timestamp,
    /// For a segment that compaction made: the stretch of the log whose place it takes.
    pub(crate) covers: Option<Place>,
    /// It may hold sparse entries. Only a segment that compaction made does.
    pub(crate) is_sparse: bool,
}

/// Why a fixed structure is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StructureError {
    #[error("{0} bytes, too few")]
    Truncated(usize),
    #[error("other magic bytes")]
    Magic,
    #[error("checksum {found:#010x} where {expected:#010x} is stored")]
    Checksum { expected: u32, found: u32 },
    #[error("unknown version {0}")]
    Version(u32),
    #[error("fields that contradict each other or the file's size")]
    Fields,
}

impl SegmentHeader {
    /// The whole first page.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = Vec::with_capacity(SEGMENT_HEADER_BYTES as usize);
        fields.put_u32(match self.covers {
            Some(_) if self.is_sparse => VERSION_SPARSE,
            Some(_) => VERSION_COMPACTED,
            None => VERSION,
        });
        fields.put_u32(self.lane.0);
        fields.put_u32(0);
        fields.put_u64(self.id);
        fields.put_u64(self.segment_bytes);
        fields.put_u64(self.created.0);
        if let Some(place) = self.covers {
            fields.put_u64(place.first);
            fields.put_u64(place.last);
        }
        fields.resize(HEADER_BYTES - 12, 0);
        let mut page = seal_structure(MAGIC, &fields);
        page.resize(SEGMENT_HEADER_BYTES as usize, 0);
        page
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StructureError> {
        let (version, mut fields) = match open_structure(MAGIC, VERSION, bytes, HEADER_BYTES) {
            Err(StructureError::Version(version @ (VERSION_COMPACTED | VERSION_SPARSE))) => {
                (version, open_structure(MAGIC, version, bytes, HEADER_BYTES)?)
            }
            opened => (VERSION, opened?),
        };
        let header = (|| {
            let lane = LaneId(fields.u32()?);
            fields.u32()?;
            Some(Self {
                lane,
                id: fields.u64()?,
                segment_bytes: fields.u64()?,
                created: Timestamp(fields.u64()?),
                covers: if version != VERSION {
                    Some(Place { first: fields.u64()?, last: fields.u64()? })
                } else {
                    None
                },
                is_sparse: version == VERSION_SPARSE,
            })
        })()
        .ok_or(StructureError::Truncated(bytes.len()))?;
        let sound = header.covers.is_none_or(|place| place.first <= place.last && place.last < header.id);
        let room = SEGMENT_HEADER_BYTES + SEGMENT_TRAILER_BYTES..=SEGMENT_BYTES_MAX;
        if sound && room.contains(&header.segment_bytes) && header.segment_bytes.is_multiple_of(4096) {
            Ok(header)
        } else {
            Err(StructureError::Fields)
        }
    }
}

/// Magic bytes, a CRC32 over the fields, and the fields, which begin with the version.
pub(crate) fn seal_structure(magic: [u8; 8], fields: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4096);
    bytes.extend_from_slice(&magic);
    bytes.put_u32(crc32fast::hash(fields));
    bytes.extend_from_slice(fields);
    bytes
}

/// Checks what `seal_structure` made, and stands behind the version.
pub(crate) fn open_structure(
    magic: [u8; 8],
    version: u32,
    bytes: &[u8],
    structure_bytes: usize,
) -> Result<Fields<'_>, StructureError> {
    let truncated = StructureError::Truncated(bytes.len());
    let mut fields = Fields(bytes.get(..structure_bytes).ok_or(truncated)?);
    if fields.array().ok_or(truncated)? != magic {
        return Err(StructureError::Magic);
    }
    let expected = fields.u32().ok_or(truncated)?;
    let found = crc32fast::hash(fields.0);
    if expected != found {
        return Err(StructureError::Checksum { expected, found });
    }
    match fields.u32().ok_or(truncated)? {
        known if known == version => Ok(fields),
        other => Err(StructureError::Version(other)),
    }
}
