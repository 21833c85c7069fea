//! Appends records: batches them by shard, keeps their order, waits out refusals.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tidemill_wire::message::StreamDescription;
use tidemill_wire::{SequenceNumber, ShardIndex, Timestamp};

use crate::SendError;

/// Appends records to one stream. Made by [`Client::producer`](crate::Client::producer); cheap to clone.
#[derive(Clone, Debug)]
pub struct Producer {}

/// A record to append. Its bytes are copied into the batch when `send` takes it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Record<'a> {
    /// The partition key; an empty one leaves the choice of the shard to the producer.
    pub key: &'a [u8],
    /// The payload.
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

/// The fate of one record, to be awaited, or dropped if it does not matter; the record is sent either way.
#[derive(Debug)]
#[must_use = "dropping it is fine, but then nobody learns whether the record was stored"]
pub struct Delivery {}

impl Future for Delivery {
    type Output = Result<Receipt, SendError>;

    fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Self::Output> {
        unimplemented!()
    }
}

impl Producer {
    /// Takes a record, as soon as there is room for it. Records of one key that are given one after the other are stored in
    /// that order. Dropping the future before it is ready leaves the record out.
    pub async fn send(&self, record: Record<'_>) -> Result<Delivery, SendError> {
        let _ = record;
        unimplemented!()
    }

    /// As [`send`](Self::send), to a shard of the caller's choice whatever the key.
    pub async fn send_to_shard(&self, shard: ShardIndex, record: Record<'_>) -> Result<Delivery, SendError> {
        let _ = (shard, record);
        unimplemented!()
    }

    /// Sends what is waiting without lingering, and waits for the answers. Fails with the first failure of any record since
    /// the last flush, so that a caller who drops all deliveries still learns of it.
    pub async fn flush(&self) -> Result<(), SendError> {
        unimplemented!()
    }

    /// Takes no more records, from this clone or another, and flushes.
    pub async fn close(self) -> Result<(), SendError> {
        unimplemented!()
    }

    /// The stream as the producer knows it.
    #[must_use]
    pub fn stream(&self) -> StreamDescription {
        unimplemented!()
    }
}
