//! A batch of some of another one's records.
//!
//! Promises the records unchanged, with their timestamps, under the same compression. What a batch may hold is bounded as for any other.

use bytes::Bytes;

use super::columns::length;
use super::{BatchBuilder, BatchView, CompressionError};
use crate::limits::BATCH_BYTES_MAX;

/// Why some records of a batch cannot be laid out anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// The data does not inflate to what the batch says.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// Their data does not shrink as far as it did among the others.
    #[error("{records} of the batch's records take {bytes} bytes, limit is {BATCH_BYTES_MAX} bytes")]
    TooLarge {
        /// How many were chosen.
        records: usize,
        /// Bytes of a batch of them.
        bytes: usize,
    },
}

impl BatchView {
    /// A batch of the records with these indexes, which rise; `None` for none. Data that is compressed is inflated and compressed again.
    ///
    /// # Panics
    /// An index is not below [`count`](Self::count).
    pub fn select(&self, indexes: &[u32]) -> Result<Option<Bytes>, SelectError> {
        let raw = self.raw_data()?;
        let mut chosen = BatchBuilder::new();
        let columns = &mut chosen.columns;
        // A lone record's key is every record's key, which spares its end.
        columns.one_key = self.one_key().is_some() || indexes.len() == 1;
        for index in indexes {
            chosen.data.extend_from_slice(&raw[self.data_range(*index)]);
            columns.data_ends.push(length(chosen.data.len()));
            columns.timestamps.extend(self.timestamp(*index).map(|time| time.get()));
            if columns.keys.is_empty() || !columns.one_key {
                columns.keys.extend_from_slice(self.key(*index));
            }
            if !columns.one_key {
                columns.key_ends.push(length(columns.keys.len()));
            }
        }
        let Some(batch) = chosen.build(self.compression()) else { return Ok(None) };
        if batch.len() > BATCH_BYTES_MAX as usize {
            return Err(SelectError::TooLarge { records: indexes.len(), bytes: batch.len() });
        }
        Ok(Some(batch))
    }
}
