//! Builds a batch whose sizes are known before its data is there: each record's data is written once, where it stays.

use bytes::Bytes;

use super::Compression;
use super::columns::{BuildError, Columns};

/// Records whose keys and sizes are known.
#[derive(Clone, Debug)]
pub struct BatchPlan {
    columns: Columns,
}

/// A batch on its way, record by record.
#[derive(Debug)]
pub struct BatchFill {
    out: Vec<u8>,
    /// Where the first record's data begins.
    data_at: usize,
    /// Where each record's data ends, from there.
    data_ends: Vec<u32>,
    filled: usize,
}

impl Default for BatchPlan {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchPlan {
    /// No records.
    #[must_use]
    pub const fn new() -> Self {
        Self { columns: Columns::new() }
    }

    /// Records so far.
    #[must_use]
    pub fn records(&self) -> u32 {
        self.columns.records()
    }

    /// Adds a record that will have so many bytes of data. An error leaves the plan as it was.
    pub fn push(&mut self, key: &[u8], data_bytes: usize) -> Result<(), BuildError> {
        self.columns.push(key, data_bytes, None)
    }

    /// Lays out all but the data, or `None` when there are no records.
    #[must_use]
    pub fn begin(self) -> Option<BatchFill> {
        if self.columns.data_ends.is_empty() {
            return None;
        }
        let out = self.columns.begin(Compression::None, self.columns.data_bytes());
        Some(BatchFill { data_at: out.len(), out, data_ends: self.columns.data_ends, filled: 0 })
    }
}

impl BatchFill {
    /// Lets the next record's data be appended. After an error the batch is of no use.
    ///
    /// # Panics
    /// There are no more records, or the data is not as long as was said.
    pub fn fill<E>(&mut self, append: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let end = *self.data_ends.get(self.filled).expect("one call for each record of the plan");
        append(&mut self.out)?;
        assert_eq!(self.out.len(), self.data_at + end as usize, "the data is as long as was said");
        self.filled += 1;
        Ok(())
    }

    /// The batch.
    ///
    /// # Panics
    /// A record's data is missing.
    #[must_use]
    pub fn finish(self) -> Bytes {
        assert_eq!(self.filled, self.data_ends.len(), "every record has its data");
        Bytes::from(self.out)
    }
}
