//! Reads a batch in place.

use std::borrow::Cow;

use bytes::Bytes;

use super::{BATCH_HEADER_BYTES, Compression, CompressionError, FLAG_ONE_KEY, FLAG_TIMESTAMPS, MAGIC};
use crate::ids::Timestamp;
use crate::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, KEY_BYTES_MAX, RECORD_BYTES_MAX};

/// Why bytes are not a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// It does not begin with the magic of a known version.
    #[error("batch begins with {found:02x?}, expected {MAGIC:02x?}")]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// The codec is not known.
    #[error("batch names compression {found}, known are 0, 1 and 2")]
    Compression {
        /// The codec's number.
        found: u8,
    },
    /// A flag or a reserved bit that this version does not know is set.
    #[error("batch has unknown flags {found:#06x}")]
    Flags {
        /// Flags and reserved bytes.
        found: u32,
    },
    /// The batch is empty or has too many records.
    #[error("batch has {found} records, must have 1 to {BATCH_RECORDS_MAX}")]
    RecordCount {
        /// The count it announces.
        found: u32,
    },
    /// The batch is longer than any may be.
    #[error("batch has {found} bytes, limit is {BATCH_BYTES_MAX} bytes")]
    TooLarge {
        /// Its bytes.
        found: usize,
    },
    /// The columns do not add up to the batch's length.
    #[error("batch has {found} bytes, its columns add up to {expected}")]
    Length {
        /// Sum of the columns.
        expected: u64,
        /// Bytes that are there.
        found: usize,
    },
    /// The raw data is more than the codec could inflate the stored data to, over its bound, or differs from the
    /// stored data without compression.
    #[error("batch stores {stored} bytes of data and says they are {raw} bytes inflated")]
    RawLength {
        /// Bytes stored.
        stored: u32,
        /// Bytes inflated.
        raw: u32,
    },
    /// An end offset lies before the one ahead of it, or past its column.
    #[error("record {record}: {column} ends at {end}, must lie in {previous}..={limit}")]
    Offset {
        /// Which record.
        record: u32,
        /// Which column.
        column: &'static str,
        /// Its end offset.
        end: u32,
        /// The end offset ahead of it.
        previous: u32,
        /// The furthest it may be.
        limit: u32,
    },
    /// The last end offset does not reach its column's end.
    #[error("{column} column has {length} bytes, its records end at {end}")]
    Leftover {
        /// Which column.
        column: &'static str,
        /// Bytes in the column.
        length: u32,
        /// The last end offset.
        end: u32,
    },
}

/// The fixed part of a batch, its fields checked each by itself.
struct Header {
    compression: Compression,
    flags: u8,
    count: u32,
    keys_bytes: u32,
    data_bytes: u32,
    raw_bytes: u32,
}

impl Header {
    fn parse(header: &[u8; BATCH_HEADER_BYTES]) -> Result<Self, BatchError> {
        if header[..4] != MAGIC {
            return Err(BatchError::Magic { found: [header[0], header[1], header[2], header[3]] });
        }
        let Some(compression) = Compression::from_byte(header[4]) else {
            return Err(BatchError::Compression { found: header[4] });
        };
        let flags = header[5];
        if flags & !(FLAG_ONE_KEY | FLAG_TIMESTAMPS) != 0 || header[6] != 0 || header[7] != 0 {
            let found = u32::from_le_bytes([flags, header[6], header[7], 0]);
            return Err(BatchError::Flags { found });
        }
        let field =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (count, keys_bytes, data_bytes, raw_bytes) = (field(8), field(12), field(16), field(20));
        if count == 0 || count > BATCH_RECORDS_MAX {
            return Err(BatchError::RecordCount { found: count });
        }
        let is_stored_raw = compression == Compression::None;
        if u64::from(raw_bytes) > compression.raw_bytes_max(data_bytes)
            || is_stored_raw && raw_bytes != data_bytes
        {
            return Err(BatchError::RawLength { stored: data_bytes, raw: raw_bytes });
        }
        Ok(Self { compression, flags, count, keys_bytes, data_bytes, raw_bytes })
    }
}

/// Bytes of the ends of a record's key and data.
const RECORD_ENDS_BYTES: usize = 8;

/// A checked batch.
#[derive(Clone, Debug)]
pub struct BatchView {
    bytes: Bytes,
    compression: Compression,
    count: u32,
    raw_bytes: u32,
    /// Where the columns begin; each ends where the next begins, and the data at the end of the bytes.
    columns: Columns,
}

#[derive(Clone, Copy, Debug)]
struct Columns {
    timestamps: usize,
    data_ends: usize,
    key_ends: usize,
    keys: usize,
    data: usize,
}

/// A record of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The partition key, empty if the producer gave none.
    pub key: Bytes,
    /// The payload.
    pub data: Bytes,
    /// The producer's timestamp.
    pub timestamp: Option<Timestamp>,
}

impl BatchView {
    /// Checks all lengths and offsets in O(records), without touching keys or data.
    pub fn parse(bytes: Bytes) -> Result<Self, BatchError> {
        let Some(header) = bytes.first_chunk::<BATCH_HEADER_BYTES>() else {
            return Err(BatchError::Length { expected: BATCH_HEADER_BYTES as u64, found: bytes.len() });
        };
        let Header { compression, flags, count, keys_bytes, data_bytes, raw_bytes } = Header::parse(header)?;
        if bytes.len() > BATCH_BYTES_MAX as usize {
            return Err(BatchError::TooLarge { found: bytes.len() });
        }
        let records = count as usize;
        let timestamps = BATCH_HEADER_BYTES;
        let data_ends = timestamps + if flags & FLAG_TIMESTAMPS == 0 { 0 } else { 8 * records };
        let key_ends = data_ends + 4 * records;
        let keys = key_ends + if flags & FLAG_ONE_KEY == 0 { 4 * records } else { 0 };
        let expected = keys as u64 + u64::from(keys_bytes) + u64::from(data_bytes);
        if expected != bytes.len() as u64 {
            return Err(BatchError::Length { expected, found: bytes.len() });
        }
        check_ends("data", &bytes[data_ends..key_ends], raw_bytes, RECORD_BYTES_MAX)?;
        if flags & FLAG_ONE_KEY == 0 {
            check_ends("key", &bytes[key_ends..keys], keys_bytes, KEY_BYTES_MAX as u32)?;
        } else {
            check_ends("key", &keys_bytes.to_le_bytes(), keys_bytes, KEY_BYTES_MAX as u32)?;
        }
        let data = keys + keys_bytes as usize;
        let columns = Columns { timestamps, data_ends, key_ends, keys, data };
        Ok(Self { bytes, compression, count, raw_bytes, columns })
    }

    /// Records in the batch, at least one.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// How the data column is stored.
    #[must_use]
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// Bytes of keys and data as stored: what a shard's quotas count. A key shared by all records counts once.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.bytes.len() - self.columns.keys
    }

    /// The whole batch.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The whole batch, without the view.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// The key that all records share, if the batch was laid out that way.
    #[must_use]
    pub fn one_key(&self) -> Option<&[u8]> {
        (self.columns.key_ends == self.columns.keys)
            .then(|| &self.bytes[self.columns.keys..self.columns.data])
    }

    /// The partition key of record `index`.
    ///
    /// # Panics
    /// `index` is not below [`count`](Self::count).
    #[must_use]
    pub fn key(&self, index: u32) -> &[u8] {
        assert!(index < self.count, "record {index} of a batch of {}", self.count);
        &self.bytes[self.key_range(index)]
    }

    /// Bytes of the data of record `index`, inflated.
    ///
    /// # Panics
    /// `index` is not below [`count`](Self::count).
    #[must_use]
    pub fn data_bytes(&self, index: u32) -> usize {
        assert!(index < self.count, "record {index} of a batch of {}", self.count);
        self.data_range(index).len()
    }

    /// Bytes that record `index` takes in the batch, about: its key, its share of the data as stored, and its ends.
    ///
    /// # Panics
    /// `index` is not below [`count`](Self::count).
    #[must_use]
    pub fn record_bytes(&self, index: u32) -> usize {
        let stored = (self.bytes.len() - self.columns.data) as u128;
        let share = self.data_bytes(index) as u128 * stored / u128::from(self.raw_bytes.max(1));
        RECORD_ENDS_BYTES + self.key(index).len() + usize::try_from(share).unwrap_or(usize::MAX)
    }

    /// The records in order; inflates compressed data once.
    pub fn records(&self) -> Result<Records<'_>, CompressionError> {
        Ok(Records { batch: Cow::Borrowed(self), raw: self.raw_data()?, next: 0 })
    }

    /// As [`records`](Self::records), for callers that outlive the view.
    pub fn into_records(self) -> Result<Records<'static>, CompressionError> {
        let raw = self.records()?.raw;
        Ok(Records { batch: Cow::Owned(self), raw, next: 0 })
    }

    /// The data column, inflated.
    pub(super) fn raw_data(&self) -> Result<Bytes, CompressionError> {
        let stored = self.bytes.slice(self.columns.data..);
        match self.compression {
            Compression::None => Ok(stored),
            codec => Ok(Bytes::from(codec.inflate(&stored, self.raw_bytes as usize)?)),
        }
    }

    /// Where in the inflated data column the data of record `index` is.
    pub(super) fn data_range(&self, index: u32) -> std::ops::Range<usize> {
        self.span(self.columns.data_ends, index)
    }

    fn end(&self, column: usize, index: u32) -> usize {
        let at = column + 4 * index as usize;
        let bytes: [u8; 4] = self.bytes[at..at + 4].try_into().expect("a slice of four bytes");
        u32::from_le_bytes(bytes) as usize
    }

    fn span(&self, column: usize, index: u32) -> std::ops::Range<usize> {
        let start = if index == 0 { 0 } else { self.end(column, index - 1) };
        start..self.end(column, index)
    }

    fn key_range(&self, index: u32) -> std::ops::Range<usize> {
        let Columns { key_ends, keys, data, .. } = self.columns;
        if key_ends == keys {
            return keys..data;
        }
        let span = self.span(key_ends, index);
        keys + span.start..keys + span.end
    }

    pub(super) fn timestamp(&self, index: u32) -> Option<Timestamp> {
        let Columns { timestamps, data_ends, .. } = self.columns;
        if timestamps == data_ends {
            return None;
        }
        let at = timestamps + 8 * index as usize;
        let bytes: [u8; 8] = self.bytes[at..at + 8].try_into().expect("a slice of eight bytes");
        Some(Timestamp(u64::from_le_bytes(bytes)))
    }
}

/// Checks that end offsets never fall, that no item is over its limit and that the last reaches the column's end.
fn check_ends(column: &'static str, ends: &[u8], length: u32, item_max: u32) -> Result<(), BatchError> {
    let mut previous = 0_u32;
    for (record, end) in ends.chunks_exact(4).enumerate() {
        let end = u32::from_le_bytes([end[0], end[1], end[2], end[3]]);
        let limit = previous.saturating_add(item_max).min(length);
        if end < previous || end > limit {
            return Err(BatchError::Offset { record: record as u32, column, end, previous, limit });
        }
        previous = end;
    }
    if previous == length { Ok(()) } else { Err(BatchError::Leftover { column, length, end: previous }) }
}

/// Walks the records of a batch; each shares the batch's memory.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    batch: Cow<'a, BatchView>,
    raw: Bytes,
    next: u32,
}

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let index = self.next;
        if index == self.batch.count {
            return None;
        }
        self.next += 1;
        Some(Record {
            key: self.batch.bytes.slice(self.batch.key_range(index)),
            data: self.raw.slice(self.batch.data_range(index)),
            timestamp: self.batch.timestamp(index),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let rest = (self.batch.count - self.next) as usize;
        (rest, Some(rest))
    }

    fn nth(&mut self, skip: usize) -> Option<Record> {
        let rest = self.batch.count - self.next;
        self.next += u32::try_from(skip).unwrap_or(rest).min(rest);
        self.next()
    }
}

impl ExactSizeIterator for Records<'_> {}
