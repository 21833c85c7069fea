//! Builds a batch record by record, for producers.

use bytes::Bytes;

use super::Compression;
use super::columns::{BuildError, Columns};
use crate::ids::Timestamp;

/// Collects records and lays them out as columns. Keeps its memory from one batch to the next.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    pub(super) data: Vec<u8>,
    pub(super) columns: Columns,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// An empty batch.
    #[must_use]
    pub const fn new() -> Self {
        Self { data: Vec::new(), columns: Columns::new() }
    }

    /// Records so far.
    #[must_use]
    pub fn records(&self) -> u32 {
        self.columns.records()
    }

    /// Whether there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.data_ends.is_empty()
    }

    /// Bytes of keys and data so far: what a shard's write quota counts, unless compression makes the data smaller.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.columns.keys.len() + self.data.len()
    }

    /// Bytes of the batch if it were built now without compression.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.columns.bytes()
    }

    /// Adds a record. An error leaves the batch as it was.
    pub fn push(&mut self, key: &[u8], data: &[u8], timestamp: Option<Timestamp>) -> Result<(), BuildError> {
        self.columns.push(key, data.len(), timestamp)?;
        self.data.extend_from_slice(data);
        Ok(())
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
        let mut out = self.columns.begin(codec, data.len());
        out.extend_from_slice(data);
        self.clear();
        Some(Bytes::from(out))
    }

    /// Drops the records.
    pub fn clear(&mut self) {
        self.data.clear();
        self.columns.clear();
    }
}
