//! Fetches over what a shard holds, round and round.

use bytes::BytesMut;
use tidemill_wire::message::{
    Encoder, Fetch, Position, Request, RequestBody, ResponseBody, StreamDescription,
};
use tidemill_wire::{SequenceNumber, ShardIndex, StreamId};

use super::asker::{Load, request_id};
use super::entries::walk;
use super::progress::{Flow, Gain};
use super::role::Turn;
use super::target::Place;
use crate::connection::refusal;
use crate::error::BenchError;
use crate::ring::Gather;

/// How long a fetch may wait inside the server for its quota, which is more exact than to ask again.
const QUOTA_WAIT_MS: u32 = 1_000;

/// The load of one connection: a reader for each slot.
pub(super) struct Consumer {
    stream: StreamId,
    stream_name: String,
    shard: ShardIndex,
    fetch_bytes: u32,
    wait_ms: u32,
    /// Where each slot reads next.
    positions: Vec<Position>,
    encoder: Encoder,
    head: BytesMut,
}

impl Consumer {
    /// Readers that begin spread over the shard.
    pub(super) fn new(stream: &StreamDescription, place: Place, in_flight: u32, fetch_bytes: u32) -> Self {
        let (oldest, next) = (place.shard.oldest_sequence, place.shard.next_sequence);
        let readers = u128::from(place.siblings) * u128::from(in_flight);
        let start = |slot: u32| {
            let reader = u128::from(place.ordinal) * u128::from(in_flight) + u128::from(slot);
            let skipped = u128::from(next.since(oldest)) * reader / readers;
            // Below `next`, since the reader's number is below the readers' count.
            Position::Sequence(SequenceNumber(oldest.0 + u64::try_from(skipped).unwrap_or(0)))
        };
        Self {
            stream: stream.id,
            stream_name: stream.name.to_string(),
            shard: place.shard.index,
            fetch_bytes,
            wait_ms: 0,
            positions: (0..in_flight).map(start).collect(),
            encoder: Encoder::new(),
            head: BytesMut::new(),
        }
    }

    /// Readers that all begin at the oldest record and may wait for their quota inside the server.
    pub(super) fn patient(mut self) -> Self {
        self.wait_ms = QUOTA_WAIT_MS;
        self.positions.fill(Position::Oldest);
        self
    }
}

impl Load for Consumer {
    const REQUEST: &'static str = "fetch";
    const FLOW: Flow = Flow::Out;

    fn request(&mut self, slot: usize, _stamp_ns: u64, _again: bool, out: &mut Gather) {
        let fetch = Fetch {
            stream: self.stream,
            shard: self.shard,
            position: self.positions[slot],
            bytes_max: self.fetch_bytes,
            wait_ms: self.wait_ms,
        };
        let request = Request { id: request_id(slot), body: RequestBody::Fetch(fetch) };
        self.head.clear();
        self.encoder.request(&mut self.head, &request, 0);
        out.copy(&self.head);
    }

    fn answered(
        &mut self,
        slot: usize,
        answer: ResponseBody,
        body: &[u8],
        _turn: &Turn<'_>,
    ) -> Result<Gain, BenchError> {
        let fetched = match answer {
            ResponseBody::Fetched(fetched) => fetched,
            other => return Err(refusal(Self::REQUEST, other)),
        };
        if body.is_empty() && self.positions[slot] == Position::Oldest && self.wait_ms == 0 {
            return Err(BenchError::Empty { stream: self.stream_name.clone() });
        }
        let bytes = walk(&fetched, body, |_, _| {})?;
        let is_at_end = fetched.next_sequence >= fetched.end_sequence;
        self.positions[slot] =
            if is_at_end { Position::Oldest } else { Position::Sequence(fetched.next_sequence) };
        let records = fetched.next_sequence.since(fetched.from_sequence);
        Ok(Gain { bytes, records, requests: 1 })
    }

    fn answer_bytes(&self) -> usize {
        self.fetch_bytes as usize
    }
}
