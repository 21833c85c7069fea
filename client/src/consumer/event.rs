//! What a consumer yields.

use bytes::Bytes;
use tidemill_wire::batch::CompressionError;
use tidemill_wire::numbered::{NumberedBatch, NumberedRecords};
use tidemill_wire::{SequenceNumber, ShardIndex, Timestamp};

/// What a consumer yields.
#[derive(Debug)]
pub enum Event {
    /// Records of one shard that follow what came before.
    Records(ConsumedBatch),
    /// Records that are no longer retained were passed over.
    Gap(Gap),
}

/// Records that are no longer retained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The shard.
    pub shard: ShardIndex,
    /// The first record that is missing.
    pub from: SequenceNumber,
    /// The record after the last one that is missing.
    pub to: SequenceNumber,
}

/// Records of one shard in order, appended together. Iterate it for the records. Their numbers follow each other without a gap unless
/// key compaction took some of them.
#[derive(Debug)]
pub struct ConsumedBatch {
    shard: ShardIndex,
    append_time: Timestamp,
    next: SequenceNumber,
    records: NumberedRecords,
}

/// A record as it was stored. Key and data share the memory of what they were fetched with: copy what is kept for long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumedRecord {
    /// The shard.
    pub shard: ShardIndex,
    /// Its number there.
    pub sequence: SequenceNumber,
    /// When the shard took it.
    pub append_time: Timestamp,
    /// The producer's timestamp.
    pub timestamp: Option<Timestamp>,
    /// The partition key, empty if the producer gave none.
    pub key: Bytes,
    /// The payload.
    pub data: Bytes,
}

/// A checked entry of which some records are wanted.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) append_time: Timestamp,
    /// The first number that is wanted; at least one record is.
    pub(super) first: SequenceNumber,
    /// The number after the last one that is wanted.
    pub(super) next: SequenceNumber,
    pub(super) batch: NumberedBatch,
}

impl Entry {
    /// Inflates the data if it is compressed.
    pub(super) fn into_batch(self, shard: ShardIndex) -> Result<ConsumedBatch, CompressionError> {
        let Self { append_time, first, next, batch } = self;
        let mut records = batch.into_records()?;
        records.skip_to(first);
        records.end_at(next);
        Ok(ConsumedBatch { shard, append_time, next, records })
    }
}

impl ConsumedBatch {
    /// The shard of all its records.
    #[must_use]
    pub fn shard(&self) -> ShardIndex {
        self.shard
    }

    /// The number of the record that the iterator gives next.
    #[must_use]
    pub fn first_sequence(&self) -> SequenceNumber {
        self.records.sequence().min(self.next)
    }

    /// The number to go on from behind the last record.
    #[must_use]
    pub fn next_sequence(&self) -> SequenceNumber {
        self.next
    }

    /// When the shard took the records.
    #[must_use]
    pub fn append_time(&self) -> Timestamp {
        self.append_time
    }

    /// Leaves out all but the first `count` records.
    pub(super) fn truncate(&mut self, count: u64) {
        self.next = self.records.truncate(count).unwrap_or(self.next).min(self.next);
    }
}

impl Iterator for ConsumedBatch {
    type Item = ConsumedRecord;

    fn next(&mut self) -> Option<ConsumedRecord> {
        let (sequence, record) = self.records.next()?;
        Some(ConsumedRecord {
            shard: self.shard,
            sequence,
            append_time: self.append_time,
            timestamp: record.timestamp,
            key: record.key,
            data: record.data,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.records.size_hint()
    }
}

impl ExactSizeIterator for ConsumedBatch {}
