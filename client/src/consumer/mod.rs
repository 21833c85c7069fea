//! Reads records: from any position, one or all shards, tail or bounded replay.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tidemill_wire::message::StreamDescription;
use tidemill_wire::{SequenceNumber, ShardIndex, Timestamp};

use crate::ClientError;

/// Reads the records of one stream. Made by [`Client::consumer`](crate::Client::consumer).
#[derive(Debug)]
pub struct Consumer {}

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

/// Consecutive records of one shard, appended together. Iterate it for the records.
#[derive(Debug)]
pub struct ConsumedBatch {}

/// A record as it was stored.
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

impl ConsumedBatch {
    /// The shard of all its records.
    #[must_use]
    pub fn shard(&self) -> ShardIndex {
        unimplemented!()
    }

    /// The number of the next record that the iterator gives.
    #[must_use]
    pub fn first_sequence(&self) -> SequenceNumber {
        unimplemented!()
    }

    /// The number after the last record.
    #[must_use]
    pub fn next_sequence(&self) -> SequenceNumber {
        unimplemented!()
    }

    /// When the shard took the records.
    #[must_use]
    pub fn append_time(&self) -> Timestamp {
        unimplemented!()
    }
}

impl Iterator for ConsumedBatch {
    type Item = ConsumedRecord;

    fn next(&mut self) -> Option<ConsumedRecord> {
        unimplemented!()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        unimplemented!()
    }
}

impl ExactSizeIterator for ConsumedBatch {}

impl Consumer {
    /// The next event, or `None` when every shard has reached its end. An error ends its shard; the others go on. Dropping
    /// the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Event, ClientError>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// As [`next`](Self::next), for hand-written futures.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Event, ClientError>>> {
        let _ = context;
        unimplemented!()
    }

    /// For each shard the number after the last record that was yielded, to go on from there later by
    /// [`Start::Positions`](crate::Start::Positions). A shard that has yielded nothing is there if its beginning is known.
    #[must_use]
    pub fn positions(&self) -> BTreeMap<ShardIndex, SequenceNumber> {
        unimplemented!()
    }

    /// The stream as it was when the consumer was made.
    #[must_use]
    pub fn stream(&self) -> &StreamDescription {
        unimplemented!()
    }
}

impl futures_util::Stream for Consumer {
    type Item = Result<Event, ClientError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_next(context)
    }
}
