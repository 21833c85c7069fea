//! Appends of one batch that is built before the clock starts.

use bytes::{Bytes, BytesMut};
use tidemill_wire::batch::{BatchBuilder, BatchView, BuildError, Compression};
use tidemill_wire::message::{
    Append, Encoder, Request, RequestBody, ResponseBody, StreamDescription, Welcome,
};
use tidemill_wire::routing::HashKey;
use tidemill_wire::{RequestId, ShardIndex};

use super::Place;
use super::progress::Gain;
use super::worker::Load;
use crate::connection::{RequestFrame, refusal};
use crate::error::BenchError;
use crate::options::Options;

/// Up to here a frame is kept in one piece for each slot: one slice for the kernel instead of two, at little memory.
const WHOLE_FRAME_BYTES_MAX: usize = 4 << 10;
/// Room that an append's header and message take in a frame, generously.
const HEAD_BYTES_MAX: u64 = 256;

/// The load of one connection.
pub(super) struct Producer {
    /// The frame of each slot: they differ in nothing but the request's id.
    frames: Vec<RequestFrame>,
    shard: ShardIndex,
    gain: Gain,
}

impl Producer {
    pub(super) fn new(
        options: &Options,
        stream: &StreamDescription,
        place: Place,
    ) -> Result<Self, BenchError> {
        let shard = place.shard.index;
        let batch = build(options, key_of(&place).as_bytes())?;
        let view = BatchView::parse(batch.clone()).expect("the builder writes what the view takes");
        let gain = Gain { bytes: view.payload_bytes() as u64, records: view.count().into(), requests: 1 };
        let append = RequestBody::Append(Append { stream: stream.id, shard: Some(shard), ack: options.ack });
        let mut encoder = Encoder::new();
        let frames = (0..options.in_flight).map(|slot| {
            let request = Request { id: RequestId(slot.into()), body: append.clone() };
            let mut head = BytesMut::new();
            encoder.request(&mut head, &request, batch.len());
            if head.len() + batch.len() <= WHOLE_FRAME_BYTES_MAX {
                head.extend_from_slice(&batch);
                return RequestFrame { head: head.freeze(), body: Bytes::new() };
            }
            RequestFrame { head: head.freeze(), body: batch.clone() }
        });
        Ok(Self { frames: frames.collect(), shard, gain })
    }
}

impl Load for Producer {
    const REQUEST: &'static str = "append";

    fn request(&mut self, slot: usize) -> RequestFrame {
        self.frames[slot].clone()
    }

    fn answer_bytes(&self) -> usize {
        0
    }

    fn answered(&mut self, _slot: usize, answer: ResponseBody, _body: &[u8]) -> Result<Gain, BenchError> {
        match answer {
            ResponseBody::Appended(appended) if appended.shard == self.shard => Ok(self.gain),
            other => Err(refusal(Self::REQUEST, other)),
        }
    }
}

/// Checks that the batch can be built and that the server's frames have room for it.
pub(super) fn check_batch(options: &Options, welcome: &Welcome) -> Result<(), BenchError> {
    let bytes = build(options, &[b'k'; KEY_BYTES_MAX])?.len() as u64;
    let max = u64::from(welcome.frame_bytes_max).saturating_sub(HEAD_BYTES_MAX);
    let refusal = BenchError::Option { option: "batch bytes", value: bytes, min: 1, max };
    if bytes <= max { Ok(()) } else { Err(refusal) }
}

/// A key that the stream's routing sends to this shard. Among 4,096 even shards the search takes some thousand steps.
fn key_of(place: &Place) -> String {
    let range = place.shard.range;
    (0..KEYS_TRIED_MAX)
        .map(|number| format!("key-{number}"))
        .find(|key| range.contains(HashKey::of(key.as_bytes())))
        // A sliver of the key space; the append names its shard, so any key is stored as well.
        .unwrap_or_else(|| "key".to_owned())
}

/// `key-` and the number of a key that was tried.
const KEY_BYTES_MAX: usize = 4 + 6;
/// Keys hashed in search of one for a shard: a tenth of a second.
const KEYS_TRIED_MAX: u32 = 200_000;

fn build(options: &Options, key: &[u8]) -> Result<Bytes, BenchError> {
    let fault = |source: BuildError| BenchError::Batch {
        record_bytes: options.record_bytes,
        batch_records: options.batch_records,
        source,
    };
    let mut builder = BatchBuilder::new();
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    let mut data = vec![0; options.record_bytes as usize];
    for _ in 0..options.batch_records {
        noise.fill(&mut data);
        builder.push(key, &data, None).map_err(fault)?;
    }
    Ok(builder.build(Compression::None).expect("batch-records is at least one"))
}

/// Bytes that no file system and no link can shrink, the same in every run: xorshift64
/// ([Marsaglia, 2003](https://doi.org/10.18637/jss.v008.i14)).
struct Noise(u64);

impl Noise {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            chunk.copy_from_slice(&self.0.to_le_bytes()[..chunk.len()]);
        }
    }
}
