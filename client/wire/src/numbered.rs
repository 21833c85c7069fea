//! The records of a log entry with their sequence numbers, whether all of them are still there or only some.
//!
//! Owns the layout of a sparse batch: what key compaction leaves of one or more record batches. Its entry still takes all their sequence
//! numbers, so the numbers of a shard stay dense from entry to entry; the records that are left say where among them they stand.
//!
//! ```text
//! offset  size  field            little-endian
//! 0       4     count n          records that are left; 0 to the entry's record count
//! 4       4·n   offsets          of each record's number from the entry's base sequence; strictly rising, below the record count
//! …       …     batch            an ordinary record batch of these records; nothing when there is none
//! ```

use bytes::{BufMut, Bytes, BytesMut};

use crate::batch::{BatchError, BatchView, CompressionError, Record, Records, payload_bytes_of};
use crate::entry::{ENTRY_HEADER_BYTES, EntryHeader, EntryKind};
use crate::ids::SequenceNumber;

/// Bytes of the count.
const COUNT_BYTES: usize = 4;
/// Bytes of one offset.
const OFFSET_BYTES: usize = 4;

/// Why an entry's payload does not hold the records that its header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberedError {
    /// The batch is not valid.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A full batch has another number of records than its entry takes numbers, or a sparse one than it has offsets.
    #[error("entry numbers {numbered} records, its batch has {found}")]
    Count {
        /// Numbers or offsets.
        numbered: u32,
        /// Records of the batch.
        found: u32,
    },
    /// A sparse batch ends within its offsets, or goes on behind them though no record is left.
    #[error("sparse batch of {count} records has {found} bytes")]
    Length {
        /// Records that it says are left.
        count: u32,
        /// Bytes that are there.
        found: usize,
    },
    /// Offsets do not rise, or leave the entry's numbers.
    #[error(
        "record {index} of a sparse batch has the offset {offset}, must be {least} or more and below {span}"
    )]
    Offset {
        /// The record.
        index: u32,
        /// Its offset.
        offset: u32,
        /// The lowest that follows the one before.
        least: u64,
        /// Numbers that the entry takes.
        span: u32,
    },
}

/// The records of one entry.
#[derive(Clone, Debug)]
pub struct NumberedBatch {
    numbers: Numbers,
    /// None when no record is left.
    batch: Option<BatchView>,
}

/// Which numbers the records of an entry have.
#[derive(Clone, Debug)]
struct Numbers {
    base: SequenceNumber,
    next: SequenceNumber,
    /// Records that are there.
    count: u32,
    /// The offsets of a sparse batch.
    offsets: Option<Bytes>,
}

impl NumberedBatch {
    /// Reads an entry's payload in O(records), without touching keys or data. `None` for an entry of a kind that holds no records.
    pub fn parse(header: &EntryHeader, payload: Bytes) -> Result<Option<Self>, NumberedError> {
        let (base, next) = (header.base_sequence, header.next_sequence());
        let (batch, offsets) = match header.kind {
            EntryKind::Watermarks => return Ok(None),
            EntryKind::Batch => {
                let batch = BatchView::parse(payload)?;
                let (numbered, found) = (header.record_count, batch.count());
                if numbered != found {
                    return Err(NumberedError::Count { numbered, found });
                }
                (Some(batch), None)
            }
            EntryKind::Sparse => {
                let (offsets, batch) = parse_sparse(&payload, header.record_count)?;
                (batch, Some(offsets))
            }
        };
        let count = batch.as_ref().map_or(0, BatchView::count);
        Ok(Some(Self { numbers: Numbers { base, next, count, offsets }, batch }))
    }

    /// Records that are there.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.numbers.count
    }

    /// The records without their numbers, if there are any.
    #[must_use]
    pub fn batch(&self) -> Option<&BatchView> {
        self.batch.as_ref()
    }

    /// The number of record `index`, or that after the entry's last one where there is no such record.
    #[must_use]
    pub fn sequence(&self, index: u32) -> SequenceNumber {
        self.numbers.at(index)
    }

    /// How many records come before a number.
    #[must_use]
    pub fn records_before(&self, sequence: SequenceNumber) -> u32 {
        self.numbers.before(sequence)
    }

    /// The records in order, each with its number; inflates compressed data once.
    pub fn into_records(self) -> Result<NumberedRecords, CompressionError> {
        let records = self.batch.map(BatchView::into_records).transpose()?;
        Ok(NumberedRecords { at: 0, end: self.numbers.count, numbers: self.numbers, records })
    }
}

impl Numbers {
    fn at(&self, index: u32) -> SequenceNumber {
        if index >= self.count {
            return self.next;
        }
        let offset = self.offsets.as_ref().map_or(index, |offsets| offset_at(offsets, index));
        SequenceNumber(self.base.0.saturating_add(u64::from(offset)))
    }

    fn before(&self, sequence: SequenceNumber) -> u32 {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.at(middle) < sequence {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// Lays out a sparse batch of the records with these offsets from the entry's base sequence, which rise strictly. `batch` holds exactly them,
/// and is empty when there are none.
#[must_use]
pub fn encode_sparse(offsets: &[u32], batch: &[u8]) -> Bytes {
    let mut payload = BytesMut::with_capacity(sparse_bytes(offsets.len(), batch.len()));
    payload.put_u32_le(u32::try_from(offsets.len()).expect("bounded by BATCH_RECORDS_MAX"));
    offsets.iter().for_each(|offset| payload.put_u32_le(*offset));
    payload.put_slice(batch);
    payload.freeze()
}

/// Bytes of a sparse batch of so many records in a batch of so many bytes.
#[must_use]
pub fn sparse_bytes(records: usize, batch_bytes: usize) -> usize {
    COUNT_BYTES + records * OFFSET_BYTES + batch_bytes
}

/// Bytes of keys and data in an entry that was checked before, from its headers alone: what a shard's quotas count. `None` if the bytes hold
/// no records.
///
/// For whoever walks entries of the log without reading every record's offsets.
#[must_use]
pub fn stored_bytes_of(header: &EntryHeader, entry: &[u8]) -> Option<u64> {
    let payload = entry.get(ENTRY_HEADER_BYTES..)?;
    match header.kind {
        EntryKind::Watermarks => None,
        EntryKind::Batch => payload_bytes_of(payload),
        EntryKind::Sparse => match u32::from_le_bytes(*payload.first_chunk()?) {
            0 => Some(0),
            count => payload_bytes_of(payload.get(sparse_bytes(count as usize, 0)..)?),
        },
    }
}

fn parse_sparse(payload: &Bytes, span: u32) -> Result<(Bytes, Option<BatchView>), NumberedError> {
    let found = payload.len();
    let count = payload.first_chunk().map(|count| u32::from_le_bytes(*count));
    let count = count.ok_or(NumberedError::Length { count: 0, found })?;
    let end = (count as usize).checked_mul(OFFSET_BYTES).and_then(|bytes| bytes.checked_add(COUNT_BYTES));
    let end = end.filter(|end| *end <= found && (count > 0 || *end == found));
    let end = end.ok_or(NumberedError::Length { count, found })?;
    let offsets = payload.slice(COUNT_BYTES..end);
    let mut least = 0;
    for index in 0..count {
        let offset = offset_at(&offsets, index);
        if u64::from(offset) < least || offset >= span {
            return Err(NumberedError::Offset { index, offset, least, span });
        }
        least = u64::from(offset) + 1;
    }
    if count == 0 {
        return Ok((offsets, None));
    }
    let batch = BatchView::parse(payload.slice(end..))?;
    if batch.count() != count {
        return Err(NumberedError::Count { numbered: count, found: batch.count() });
    }
    Ok((offsets, Some(batch)))
}

/// The offset of a record that is known to be there.
fn offset_at(offsets: &[u8], index: u32) -> u32 {
    let at = index as usize * OFFSET_BYTES;
    let bytes: [u8; OFFSET_BYTES] = offsets[at..at + OFFSET_BYTES].try_into().expect("a slice of four bytes");
    u32::from_le_bytes(bytes)
}

/// Walks the records of an entry with their numbers; each shares the entry's memory.
#[derive(Clone, Debug)]
pub struct NumberedRecords {
    numbers: Numbers,
    records: Option<Records<'static>>,
    at: u32,
    end: u32,
}

impl NumberedRecords {
    /// The number of the record that comes next; behind the last one, that after the entry's last number.
    #[must_use]
    pub fn sequence(&self) -> SequenceNumber {
        self.numbers.at(self.at)
    }

    /// Passes over the records below a number.
    pub fn skip_to(&mut self, sequence: SequenceNumber) {
        let skipped = self.numbers.before(sequence).min(self.end).saturating_sub(self.at);
        if let Some(last_skipped) = skipped.checked_sub(1)
            && let Some(records) = &mut self.records
        {
            records.nth(last_skipped as usize);
        }
        self.at += skipped;
    }

    /// Leaves out the records from a number on.
    pub fn end_at(&mut self, sequence: SequenceNumber) {
        self.end = self.end.min(self.numbers.before(sequence)).max(self.at);
    }

    /// Leaves out all but the next `count` records. Returns the number of the first one that is left out, if any is.
    pub fn truncate(&mut self, count: u64) -> Option<SequenceNumber> {
        let left = u64::from(self.end - self.at);
        if count >= left {
            return None;
        }
        self.end = self.at + u32::try_from(count).expect("below a count in 32 bits");
        Some(self.numbers.at(self.end))
    }
}

impl Iterator for NumberedRecords {
    type Item = (SequenceNumber, Record);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let record = self.records.as_mut()?.next()?;
        let sequence = self.sequence();
        self.at += 1;
        Some((sequence, record))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.end - self.at) as usize;
        (left, Some(left))
    }
}

impl ExactSizeIterator for NumberedRecords {}

#[cfg(test)]
mod tests;
