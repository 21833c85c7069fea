//! The columns of a batch beside its data, as they are gathered record by record.

use super::{BATCH_HEADER_BYTES, Compression, FLAG_ONE_KEY, FLAG_TIMESTAMPS, MAGIC};
use crate::ids::Timestamp;
use crate::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, KEY_BYTES_MAX, RECORD_BYTES_MAX};

/// Keys, ends and timestamps.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    pub(super) data_ends: Vec<u32>,
    pub(super) keys: Vec<u8>,
    pub(super) key_ends: Vec<u32>,
    pub(super) timestamps: Vec<u64>,
    /// All keys so far are equal; then only the first is in `keys`.
    pub(super) one_key: bool,
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

impl Columns {
    pub(super) const fn new() -> Self {
        Self {
            data_ends: Vec::new(),
            keys: Vec::new(),
            key_ends: Vec::new(),
            timestamps: Vec::new(),
            one_key: true,
        }
    }

    /// Records so far.
    pub(super) fn records(&self) -> u32 {
        u32::try_from(self.data_ends.len()).expect("bounded by BATCH_RECORDS_MAX")
    }

    /// Bytes of their data.
    pub(super) fn data_bytes(&self) -> usize {
        self.data_ends.last().map_or(0, |end| *end as usize)
    }

    /// Bytes of the batch with its data as it is.
    pub(super) fn bytes(&self) -> usize {
        self.layout(self.data_bytes()).bytes()
    }

    fn layout(&self, data: usize) -> Layout {
        Layout {
            records: self.data_ends.len(),
            keys: self.keys.len(),
            data,
            one_key: self.one_key,
            timestamps: !self.timestamps.is_empty(),
        }
    }

    /// Adds a record with so many bytes of data. An error leaves the columns as they were.
    pub(super) fn push(
        &mut self,
        key: &[u8],
        data_bytes: usize,
        timestamp: Option<Timestamp>,
    ) -> Result<(), BuildError> {
        if key.len() > KEY_BYTES_MAX {
            return Err(BuildError::KeyTooLong { bytes: key.len() });
        }
        if data_bytes > RECORD_BYTES_MAX as usize {
            return Err(BuildError::RecordTooLarge { bytes: data_bytes });
        }
        let records = self.data_ends.len();
        if records > 0 && timestamp.is_some() == self.timestamps.is_empty() {
            return Err(BuildError::MixedTimestamps);
        }
        let keeps_one_key = self.one_key && (records == 0 || self.keys == key);
        let spelled_keys = if self.one_key { self.keys.len() * records } else { self.keys.len() };
        let end = self.data_bytes() + data_bytes;
        let after = Layout {
            records: records + 1,
            keys: if keeps_one_key { key.len() } else { spelled_keys + key.len() },
            data: end,
            one_key: keeps_one_key,
            timestamps: timestamp.is_some(),
        };
        if records >= BATCH_RECORDS_MAX as usize || after.bytes() > BATCH_BYTES_MAX as usize {
            return Err(BuildError::Full { records: self.records(), bytes: self.bytes() });
        }
        self.push_key(key, keeps_one_key);
        self.data_ends.push(length(end));
        self.timestamps.extend(timestamp.map(Timestamp::get));
        Ok(())
    }

    fn push_key(&mut self, key: &[u8], keeps_one_key: bool) {
        if keeps_one_key {
            if self.data_ends.is_empty() {
                self.keys.extend_from_slice(key);
            }
            return;
        }
        if self.one_key {
            let first = self.keys.len();
            self.key_ends.push(length(first));
            for _ in 1..self.data_ends.len() {
                self.keys.extend_from_within(..first);
                self.key_ends.push(length(self.keys.len()));
            }
            self.one_key = false;
        }
        self.keys.extend_from_slice(key);
        self.key_ends.push(length(self.keys.len()));
    }

    /// Everything of a batch that comes before its data, in memory that has room for so many bytes of it.
    pub(super) fn begin(&self, codec: Compression, stored_bytes: usize) -> Vec<u8> {
        let layout = self.layout(stored_bytes);
        let mut out = Vec::with_capacity(layout.bytes());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[codec as u8, layout.flags(), 0, 0]);
        for field in
            [self.records(), length(self.keys.len()), length(stored_bytes), length(self.data_bytes())]
        {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend(self.timestamps.iter().flat_map(|t| t.to_le_bytes()));
        out.extend(self.data_ends.iter().flat_map(|end| end.to_le_bytes()));
        out.extend(self.key_ends.iter().flat_map(|end| end.to_le_bytes()));
        out.extend_from_slice(&self.keys);
        // Invariant: what `push` compares with the limit is what is built; guarded by the builder's properties.
        assert_eq!(out.len() + stored_bytes, layout.bytes(), "the columns are as long as they were counted");
        out
    }

    pub(super) fn clear(&mut self) {
        self.data_ends.clear();
        self.keys.clear();
        self.key_ends.clear();
        self.timestamps.clear();
        self.one_key = true;
    }
}

/// What decides how long a batch is.
struct Layout {
    records: usize,
    keys: usize,
    data: usize,
    one_key: bool,
    timestamps: bool,
}

impl Layout {
    fn bytes(&self) -> usize {
        let per_record = 4 + if self.one_key { 0 } else { 4 } + if self.timestamps { 8 } else { 0 };
        BATCH_HEADER_BYTES + self.records * per_record + self.keys + self.data
    }

    fn flags(&self) -> u8 {
        let one_key = if self.one_key { FLAG_ONE_KEY } else { 0 };
        one_key | if self.timestamps { FLAG_TIMESTAMPS } else { 0 }
    }
}

pub(super) fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("bounded by BATCH_BYTES_MAX")
}
