//! The log entry: what a lane's log holds, and what a fetch returns, byte for byte.
//!
//! ```text
//! offset  size  field             little-endian
//! 0       4     crc32             of bytes 4..length (CRC-32/ISO-HDLC)
//! 4       4     length            header and payload, without the padding
//! 8       1     version           1
//! 9       1     kind              1 record batch, 2 watermarks, 3 sparse batch
//! 10      2     key id            0: not encrypted
//! 12      4     record count      sequence numbers the entry takes
//! 16      8     owner             shard or queue partition
//! 24      8     base sequence     number of the first record
//! 32      8     append time       milliseconds since the epoch, never falling within a lane
//! 40      8     segment epoch     the segment this entry was written for
//! 48      8     durable before    position in that segment up to which the lane was flushed
//! 56      8     reserved          0
//! 64      …     payload           then zeroes up to a multiple of 8
//! ```

use bytes::{BufMut, Bytes, BytesMut};

use crate::ids::{OwnerId, SequenceNumber, Timestamp};

/// Bytes of an entry's header.
pub const ENTRY_HEADER_BYTES: usize = 64;
/// Entries begin at multiples of this.
pub const ENTRY_ALIGNMENT: usize = 8;
/// The layout version written today.
pub const ENTRY_VERSION: u8 = 1;

/// What an entry's payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EntryKind {
    /// A record batch of one shard.
    Batch = 1,
    /// The next sequence numbers of owners whose data is gone.
    Watermarks = 2,
    /// What key compaction has left of one or more record batches.
    Sparse = 3,
}

/// An entry's header, without its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryHeader {
    /// Bytes of header and payload, without padding.
    pub length: u32,
    /// What the payload is.
    pub kind: EntryKind,
    /// The key that encrypts the payload, 0 for none.
    pub key_id: u16,
    /// How many sequence numbers the entry takes; a sparse batch holds fewer records.
    pub record_count: u32,
    /// Shard or queue partition.
    pub owner: OwnerId,
    /// Number of the first record.
    pub base_sequence: SequenceNumber,
    /// When the owner of the lane took it.
    pub append_time: Timestamp,
    /// The segment it was written for.
    pub segment_epoch: u64,
    /// Position in that segment up to which the lane was flushed when the entry was formed.
    pub durable_before: u64,
}

/// Why bytes are not a valid entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Fewer bytes than the entry needs.
    #[error("entry needs {needed} bytes, found {found}")]
    Truncated {
        /// Bytes the entry needs.
        needed: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// The length field is below the header's size.
    #[error("entry length {length} is shorter than its header")]
    Length {
        /// The length field.
        length: u32,
    },
    /// The version is not known to this build.
    #[error("entry version {version} is not known, expected {ENTRY_VERSION}")]
    Version {
        /// The version field.
        version: u8,
    },
    /// The kind is not known to this build.
    #[error("entry kind {kind} is not known")]
    Kind {
        /// The kind field.
        kind: u8,
    },
    /// The checksum does not match.
    #[error("entry checksum is {expected:#010x}, its bytes give {found:#010x}")]
    Checksum {
        /// What the header says.
        expected: u32,
        /// What the bytes give.
        found: u32,
    },
    /// The sequence numbers run past the end of the number space.
    #[error("entry of {count} records at {base} runs past the last sequence number")]
    Sequence {
        /// First number.
        base: SequenceNumber,
        /// How many.
        count: u32,
    },
}

impl EntryHeader {
    /// Bytes from this entry's start to the next one's.
    #[must_use]
    pub fn stride(&self) -> usize {
        stride(self.length as usize)
    }

    /// Bytes of the payload.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        (self.length as usize).saturating_sub(ENTRY_HEADER_BYTES)
    }

    /// The number after the last one that the entry takes.
    #[must_use]
    pub fn next_sequence(&self) -> SequenceNumber {
        SequenceNumber(self.base_sequence.0.saturating_add(u64::from(self.record_count)))
    }

    /// The header's 64 bytes, checksum over itself and `payload` included.
    ///
    /// # Panics
    /// `length` is not that of header and payload.
    #[must_use]
    pub fn encode(&self, payload: &[u8]) -> [u8; ENTRY_HEADER_BYTES] {
        let mut bytes = self.fields(payload);
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&bytes[4..]);
        hasher.update(payload);
        bytes[..4].copy_from_slice(&hasher.finalize().to_le_bytes());
        bytes
    }

    /// Appends the whole entry to `out`: header, payload and padding. The checksum is taken of the copy, in one piece, which for small
    /// payloads is cheaper than in two.
    ///
    /// # Panics
    /// `length` is not that of header and payload.
    pub fn put(&self, payload: &[u8], out: &mut BytesMut) {
        let start = out.len();
        let length = self.length as usize;
        out.reserve(self.stride());
        out.put_slice(&self.fields(payload));
        out.put_slice(payload);
        let checksum = crc32fast::hash(&out[start + 4..]);
        out[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
        out.put_slice(&[0; ENTRY_ALIGNMENT][..stride(length) - length]);
    }

    /// The header's bytes with zeroes for the checksum.
    fn fields(&self, payload: &[u8]) -> [u8; ENTRY_HEADER_BYTES] {
        assert_eq!(self.length as usize, ENTRY_HEADER_BYTES + payload.len(), "an entry tells its length");
        let mut bytes = [0; ENTRY_HEADER_BYTES];
        bytes[4..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[8] = ENTRY_VERSION;
        bytes[9] = self.kind as u8;
        bytes[10..12].copy_from_slice(&self.key_id.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.record_count.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.owner.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.base_sequence.0.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.append_time.0.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.segment_epoch.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.durable_before.to_le_bytes());
        bytes
    }

    /// Reads a header without looking at the payload or the checksum.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let Some(header) = bytes.first_chunk::<ENTRY_HEADER_BYTES>() else {
            return Err(EntryError::Truncated { needed: ENTRY_HEADER_BYTES, found: bytes.len() });
        };
        let length = u32_at(header, 4);
        if (length as usize) < ENTRY_HEADER_BYTES {
            return Err(EntryError::Length { length });
        }
        if header[8] != ENTRY_VERSION {
            return Err(EntryError::Version { version: header[8] });
        }
        let kind = match header[9] {
            1 => EntryKind::Batch,
            2 => EntryKind::Watermarks,
            3 => EntryKind::Sparse,
            kind => return Err(EntryError::Kind { kind }),
        };
        let base_sequence = SequenceNumber(u64_at(header, 24));
        let record_count = u32_at(header, 12);
        if base_sequence.checked_add(u64::from(record_count)).is_none() {
            return Err(EntryError::Sequence { base: base_sequence, count: record_count });
        }
        Ok(Self {
            length,
            kind,
            key_id: u16::from_le_bytes([header[10], header[11]]),
            record_count,
            owner: OwnerId(u64_at(header, 16)),
            base_sequence,
            append_time: Timestamp(u64_at(header, 32)),
            segment_epoch: u64_at(header, 40),
            durable_before: u64_at(header, 48),
        })
    }

    /// Reads the entry that begins at `bytes` and checks its checksum.
    pub fn verify(bytes: &[u8]) -> Result<Self, EntryError> {
        let header = Self::decode(bytes)?;
        let Some(covered) = bytes.get(4..header.length as usize) else {
            return Err(EntryError::Truncated { needed: header.length as usize, found: bytes.len() });
        };
        let expected = u32_at(bytes.first_chunk().expect("decode has seen a whole header"), 0);
        let found = crc32fast::hash(covered);
        if expected != found {
            return Err(EntryError::Checksum { expected, found });
        }
        Ok(header)
    }
}

/// Bytes an entry of `length` bytes takes up, padding included.
#[must_use]
pub fn stride(length: usize) -> usize {
    length.next_multiple_of(ENTRY_ALIGNMENT)
}

/// Walks a run of whole entries, as a fetch returns them, checking each.
#[derive(Clone, Debug)]
pub struct EntryRun {
    rest: Bytes,
}

impl EntryRun {
    /// A walk over `run`.
    #[must_use]
    pub fn new(run: Bytes) -> Self {
        Self { rest: run }
    }
}

impl Iterator for EntryRun {
    type Item = Result<(EntryHeader, Bytes), EntryError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let header = match EntryHeader::verify(&self.rest) {
            Ok(header) => header,
            Err(error) => {
                self.rest.clear();
                return Some(Err(error));
            }
        };
        let step = header.stride().min(self.rest.len());
        let entry = self.rest.split_to(step);
        Some(Ok((header, entry.slice(ENTRY_HEADER_BYTES..header.length as usize))))
    }
}

fn u32_at(header: &[u8; ENTRY_HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

fn u64_at(header: &[u8; ENTRY_HEADER_BYTES], at: usize) -> u64 {
    u64::from(u32_at(header, at)) | u64::from(u32_at(header, at + 4)) << 32
}

#[cfg(test)]
mod tests;
