//! What goes in and what comes back.

use tidemill_wire::batch::BuildError;
use tidemill_wire::limits::{KEY_BYTES_MAX, RECORD_BYTES_MAX};
use tidemill_wire::{SequenceNumber, ShardIndex, Timestamp};

/// A record to append. Its bytes are copied into the batch when `send` takes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record<'a> {
    /// The partition key, at most 1,024 bytes; an empty one leaves the choice of the shard to the producer.
    pub key: &'a [u8],
    /// The payload, at most 10 MiB.
    pub data: &'a [u8],
    /// The caller's timestamp, kept as it is.
    pub timestamp: Option<Timestamp>,
}

impl<'a> Record<'a> {
    /// A record without key and timestamp.
    #[must_use]
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, ..Self::default() }
    }

    /// A record whose shard the key decides.
    #[must_use]
    pub fn keyed(key: &'a [u8], data: &'a [u8]) -> Self {
        Self { key, data, timestamp: None }
    }

    /// The same with a timestamp.
    #[must_use]
    pub fn at(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// Key and data in a batch, with the offsets and the timestamp that go with them.
    pub(super) fn bytes(&self) -> usize {
        self.key.len() + self.data.len() + 16
    }

    pub(super) fn check(&self) -> Result<(), BuildError> {
        if self.key.len() > KEY_BYTES_MAX {
            return Err(BuildError::KeyTooLong { bytes: self.key.len() });
        }
        if self.data.len() > RECORD_BYTES_MAX as usize {
            return Err(BuildError::RecordTooLarge { bytes: self.data.len() });
        }
        Ok(())
    }
}

/// Where a record was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Receipt {
    /// The shard.
    pub shard: ShardIndex,
    /// Its number there.
    pub sequence: SequenceNumber,
    /// When the shard took it.
    pub append_time: Timestamp,
}
