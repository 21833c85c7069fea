//! What a queue over a stream gives. Plain values that cross cores.

use bytes::Bytes;
use tidemill_wire::{QueueId, ShardIndex, Timestamp};

use super::Side;

/// A record that a consumer got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamReceived {
    /// Stands for this receive of the record.
    pub receipt: StreamReceipt,
    /// Its partition key.
    pub key: Bytes,
    /// What it is.
    pub data: Bytes,
    /// When it arrived in the stream.
    pub arrived: Timestamp,
    /// When it was received first.
    pub first_received: Timestamp,
}

/// Stands for one receive of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamReceipt {
    /// The queue.
    pub queue: QueueId,
    /// Which of its partitions, by position.
    pub partition: u16,
    /// As what it was received.
    pub side: Side,
    /// Which record.
    pub named: Named,
}

/// A record, and which receive of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its shard.
    pub shard: ShardIndex,
    /// Its number in the shard.
    pub sequence: u64,
    /// Which receive, counted from one.
    pub receives: u32,
    /// When that was: a dead letter that was restored is received for the first time again.
    pub received: Timestamp,
}
