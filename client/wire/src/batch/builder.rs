//! Builds a batch record by record, for producers.

use bytes::Bytes;

use super::{BATCH_HEADER_BYTES, Compression, FLAG_ONE_KEY, FLAG_TIMESTAMPS, MAGIC};
use crate::ids::Timestamp;
use crate::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, KEY_BYTES_MAX, RECORD_BYTES_MAX};

/// Collects records and lays them out as columns.
#[derive(Clone, Debug, Default)]
pub struct BatchBuilder {
    data: Vec<u8>,
    data_ends: Vec<u32>,
    keys: Vec<u8>,
    key_ends: Vec<u32>,
    timestamps: Vec<u64>,
    /// All keys so far are equal; then only the first is in `keys`.
    one_key: bool,
}

/// Why a record does not go into a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The batch holds its most; send it and begin another.
    #[error("batch is full: {records} records, {bytes} bytes")]
    Full {
        /// Records in it.
        records: u32,
        /// Bytes in it.
        bytes: usize,
    },
    /// The record can never go into a batch.
    #[error("record data has {bytes} bytes, limit is {RECORD_BYTES_MAX} bytes")]
    RecordTooLarge {
        /// Bytes of the data.
        bytes: usize,
    },
    /// The key is too long.
    #[error("partition key has {bytes} bytes, limit is {KEY_BYTES_MAX} bytes")]
    KeyTooLong {
        /// Bytes of the key.
        bytes: usize,
    },
    /// Either every record of a batch has a timestamp or none.
    #[error("batch mixes records with and without timestamps")]
    MixedTimestamps,
}

impl BatchBuilder {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self { one_key: true, ..Self::default() }
    }

    /// Records so far.
    #[must_use]
    pub fn records(&self) -> u32 {
        u32::try_from(self.data_ends.len()).expect("bounded by BATCH_RECORDS_MAX")
    }

    /// Whether there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.data_ends.is_empty()
    }

    /// Bytes of keys and data so far: what a shard's write quota counts.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.keys.len() + self.data.len()
    }

    /// Bytes of the batch if it were built now without compression, at most.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes_with(self.data_ends.len(), self.keys.len(), self.data.len())
    }

    fn bytes_with(&self, records: usize, keys: usize, data: usize) -> usize {
        let per_record = 8 + if self.timestamps.is_empty() { 0 } else { 8 };
        BATCH_HEADER_BYTES + records * per_record + keys + data
    }

    /// Adds a record. An error leaves the batch as it was.
    pub fn push(&mut self, key: &[u8], data: &[u8], timestamp: Option<Timestamp>) -> Result<(), BuildError> {
        if key.len() > KEY_BYTES_MAX {
            return Err(BuildError::KeyTooLong { bytes: key.len() });
        }
        if data.len() > RECORD_BYTES_MAX as usize {
            return Err(BuildError::RecordTooLarge { bytes: data.len() });
        }
        let records = self.data_ends.len();
        if records > 0 && timestamp.is_some() == self.timestamps.is_empty() {
            return Err(BuildError::MixedTimestamps);
        }
        let keeps_one_key = self.one_key && (records == 0 || self.keys == key);
        let spelled_keys = if self.one_key { self.keys.len() * records } else { self.keys.len() };
        let keys_after = if keeps_one_key { key.len() } else { spelled_keys + key.len() };
        // 16 more for the first timestamp, which `bytes_with` cannot know of.
        let bytes_after = self.bytes_with(records + 1, keys_after, self.data.len() + data.len()) + 16;
        if records >= BATCH_RECORDS_MAX as usize || bytes_after > BATCH_BYTES_MAX as usize {
            return Err(BuildError::Full { records: self.records(), bytes: self.bytes() });
        }
        self.push_key(key, keeps_one_key);
        self.data.extend_from_slice(data);
        self.data_ends.push(length(&self.data));
        self.timestamps.extend(timestamp.map(Timestamp::get));
        Ok(())
    }

    fn push_key(&mut self, key: &[u8], keeps_one_key: bool) {
        if keeps_one_key {
            if self.is_empty() {
                self.keys.extend_from_slice(key);
            }
            return;
        }
        if self.one_key {
            let first = std::mem::take(&mut self.keys);
            for _ in 0..self.data_ends.len() {
                self.keys.extend_from_slice(&first);
                self.key_ends.push(length(&self.keys));
            }
            self.one_key = false;
        }
        self.keys.extend_from_slice(key);
        self.key_ends.push(length(&self.keys));
    }

    /// Lays the batch out, or `None` when it has no records. The builder is empty afterwards.
    pub fn build(&mut self, compression: Compression) -> Option<Bytes> {
        if self.is_empty() {
            return None;
        }
        let packed = compression.deflate(&self.data);
        let (codec, data) = match &packed {
            Some(packed) => (compression, packed.as_slice()),
            None => (Compression::None, self.data.as_slice()),
        };
        let timestamps = !self.timestamps.is_empty();
        let flags =
            if self.one_key { FLAG_ONE_KEY } else { 0 } | if timestamps { FLAG_TIMESTAMPS } else { 0 };
        let mut out = Vec::with_capacity(self.bytes());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[codec as u8, flags, 0, 0]);
        for field in [self.records(), length(&self.keys), length(data), length(&self.data)] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend(self.timestamps.iter().flat_map(|t| t.to_le_bytes()));
        out.extend(self.data_ends.iter().flat_map(|end| end.to_le_bytes()));
        out.extend(self.key_ends.iter().flat_map(|end| end.to_le_bytes()));
        out.extend_from_slice(&self.keys);
        out.extend_from_slice(data);
        *self = Self::new();
        Some(Bytes::from(out))
    }
}

fn length(column: &[u8]) -> u32 {
    u32::try_from(column.len()).expect("bounded by BATCH_BYTES_MAX")
}
