//! Fetches over what a shard holds, round and round.
//!
//! Every entry's header is read, so a record that is missing or comes twice is an error; its data is received and not looked at.

use bytes::{Bytes, BytesMut};
use tidemill_wire::batch::BATCH_HEADER_BYTES;
use tidemill_wire::entry::{ENTRY_HEADER_BYTES, EntryError, EntryHeader, EntryKind};
use tidemill_wire::message::{
    Encoder, Fetch, Fetched, Position, Request, RequestBody, ResponseBody, StreamDescription,
};
use tidemill_wire::numbered::NumberedBatch;
use tidemill_wire::{RequestId, SequenceNumber, ShardIndex, StreamId};

use super::Place;
use super::progress::Gain;
use super::worker::Load;
use crate::connection::{RequestFrame, refusal};
use crate::error::BenchError;
use crate::options::Options;

/// The load of one connection: a reader for each slot.
pub(super) struct Consumer {
    stream: StreamId,
    stream_name: String,
    shard: ShardIndex,
    fetch_bytes: u32,
    /// Where each slot reads next.
    positions: Vec<Position>,
    encoder: Encoder,
    heads: BytesMut,
    shape: Shape,
}

/// The columns of the batch seen last. Batches with the same header have columns of the same sizes, so only a new
/// header is parsed, and counting bytes costs nothing per record.
#[derive(Default)]
struct Shape {
    header: Option<[u8; BATCH_HEADER_BYTES]>,
    batch_bytes: usize,
    payload_bytes: u64,
}

impl Consumer {
    pub(super) fn new(options: &Options, stream: &StreamDescription, place: Place) -> Self {
        let (oldest, next) = (place.shard.oldest_sequence, place.shard.next_sequence);
        let readers = u128::from(place.siblings) * u128::from(options.in_flight);
        let start = |slot: u32| {
            let reader = u128::from(place.ordinal) * u128::from(options.in_flight) + u128::from(slot);
            let skipped = u128::from(next.since(oldest)) * reader / readers;
            // Below `next`, since the reader's number is below the readers' count.
            Position::Sequence(SequenceNumber(oldest.0 + u64::try_from(skipped).unwrap_or(0)))
        };
        Self {
            stream: stream.id,
            stream_name: stream.name.to_string(),
            shard: place.shard.index,
            fetch_bytes: options.fetch_bytes,
            positions: (0..options.in_flight).map(start).collect(),
            encoder: Encoder::new(),
            heads: BytesMut::new(),
            shape: Shape::default(),
        }
    }
}

impl Load for Consumer {
    const REQUEST: &'static str = "fetch";

    fn request(&mut self, slot: usize) -> RequestFrame {
        let fetch = Fetch {
            stream: self.stream,
            shard: self.shard,
            position: self.positions[slot],
            bytes_max: self.fetch_bytes,
            wait_ms: 0,
        };
        let request = Request { id: RequestId(slot as u64), body: RequestBody::Fetch(fetch) };
        self.encoder.request(&mut self.heads, &request, 0);
        RequestFrame { head: self.heads.split().freeze(), body: Bytes::new() }
    }

    fn answer_bytes(&self) -> usize {
        self.fetch_bytes as usize
    }

    fn answered(&mut self, slot: usize, answer: ResponseBody, body: &[u8]) -> Result<Gain, BenchError> {
        let fetched = match answer {
            ResponseBody::Fetched(fetched) => fetched,
            other => return Err(refusal(Self::REQUEST, other)),
        };
        if body.is_empty() && self.positions[slot] == Position::Oldest {
            return Err(BenchError::Empty { stream: self.stream_name.clone() });
        }
        let bytes = self.shape.walk(&fetched, body)?;
        let is_at_end = fetched.next_sequence >= fetched.end_sequence;
        self.positions[slot] =
            if is_at_end { Position::Oldest } else { Position::Sequence(fetched.next_sequence) };
        let records = fetched.next_sequence.since(fetched.from_sequence);
        Ok(Gain { bytes, records, requests: 1 })
    }
}

impl Shape {
    /// Checks that the run is whole and without a gap; returns the bytes of keys and data in it.
    fn walk(&mut self, fetched: &Fetched, run: &[u8]) -> Result<u64, BenchError> {
        let mut bytes = 0;
        let mut due = None;
        let mut offset = 0;
        while let Some(rest) = run.get(offset..).filter(|rest| !rest.is_empty()) {
            let fault = |source| BenchError::Entry { offset, source };
            let header = EntryHeader::decode(rest).map_err(fault)?;
            let payload = rest.get(ENTRY_HEADER_BYTES..header.length as usize).ok_or_else(|| {
                fault(EntryError::Truncated { needed: header.length as usize, found: rest.len() })
            })?;
            if header.kind == EntryKind::Watermarks {
                return Err(fault(EntryError::Kind { kind: header.kind as u8 }));
            }
            // The first entry may begin before the record that was asked for.
            let expected = due.unwrap_or(header.base_sequence.min(fetched.from_sequence));
            if header.base_sequence != expected {
                return Err(BenchError::Gap { expected, found: header.base_sequence });
            }
            due = Some(header.next_sequence());
            bytes += self.payload_bytes(&header, payload)?;
            offset += header.stride();
        }
        let end = due.unwrap_or(fetched.from_sequence);
        if end != fetched.next_sequence {
            return Err(BenchError::Gap { expected: fetched.next_sequence, found: end });
        }
        Ok(bytes)
    }

    fn payload_bytes(&mut self, entry: &EntryHeader, payload: &[u8]) -> Result<u64, BenchError> {
        let header = payload.first_chunk().filter(|_| entry.kind == EntryKind::Batch);
        if header.is_none() || header != self.header.as_ref() || payload.len() != self.batch_bytes {
            let numbered = NumberedBatch::parse(entry, Bytes::copy_from_slice(payload))
                .map_err(|source| BenchError::StoredBatch { base: entry.base_sequence, source })?;
            let batch = numbered.as_ref().and_then(NumberedBatch::batch);
            self.payload_bytes = batch.map_or(0, |batch| batch.payload_bytes() as u64);
            (self.header, self.batch_bytes) = (header.copied(), payload.len());
        }
        Ok(self.payload_bytes)
    }
}

#[cfg(test)]
mod tests;
