//! Appends of batches that are built before the clock starts.

use bytes::Bytes;
use tidemill_wire::ShardIndex;
use tidemill_wire::message::{Ack, Append, Encoder, RequestBody, ResponseBody, StreamDescription};

use super::asker::{Load, request_id};
use super::progress::{Flow, Gain};
use super::role::Turn;
use super::template::Template;
use crate::connection::refusal;
use crate::error::BenchError;
use crate::ring::Gather;
use crate::workload::Batch;

/// Up to here a batch is copied behind its message: one piece for the kernel instead of two, at little memory.
const COPIED_BYTES_MAX: usize = 16 << 10;
/// A time within the first record's data, to know when it was meant to leave.
pub(crate) const STAMP_BYTES: usize = 8;

/// The load of one connection.
pub(super) struct Producer {
    batches: Vec<Ready>,
    /// The batch that each slot has sent.
    sent: Vec<usize>,
    next: usize,
    is_stamped: bool,
}

/// A batch with its frame.
struct Ready {
    template: Template,
    shard: ShardIndex,
    /// What is copied into each request: the whole batch, or what has to be different in each.
    copied: Bytes,
    stamp_at: usize,
    /// The rest, which is shared by all.
    shared: Bytes,
    gain: Gain,
}

impl Producer {
    /// Sends the batches of the pool in turn. With `is_stamped`, each carries the time that its latency counts from.
    pub(super) fn new(
        stream: &StreamDescription,
        ack: Ack,
        pool: Vec<Batch>,
        first: usize,
        in_flight: u32,
        is_stamped: bool,
    ) -> Self {
        let mut encoder = Encoder::new();
        let ready = |batch: Batch| {
            let append = Append { stream: stream.id, shard: Some(batch.shard), ack };
            let template = Template::new(&mut encoder, &RequestBody::Append(append), batch.bytes.len());
            let mut copied = batch.bytes;
            let split = match copied.len() {
                0..=COPIED_BYTES_MAX => copied.len(),
                _ if is_stamped => batch.data_at + STAMP_BYTES,
                _ => 0,
            };
            let shared = copied.split_off(split);
            let gain = Gain { bytes: batch.payload_bytes, records: batch.records.into(), requests: 1 };
            Ready { template, shard: batch.shard, copied, stamp_at: batch.data_at, shared, gain }
        };
        let batches: Vec<Ready> = pool.into_iter().map(ready).collect();
        Self { next: first % batches.len(), batches, sent: vec![0; in_flight as usize], is_stamped }
    }
}

impl Load for Producer {
    const REQUEST: &'static str = "append";
    const FLOW: Flow = Flow::In;

    fn request(&mut self, slot: usize, stamp_ns: u64, again: bool, out: &mut Gather) {
        if !again {
            self.sent[slot] = self.next;
            self.next = (self.next + 1) % self.batches.len();
        }
        let batch = &self.batches[self.sent[slot]];
        batch.template.put(request_id(slot), out);
        if !batch.copied.is_empty() {
            let copy = out.copy(&batch.copied);
            if self.is_stamped {
                copy[batch.stamp_at..batch.stamp_at + STAMP_BYTES].copy_from_slice(&stamp_ns.to_le_bytes());
            }
        }
        out.share(batch.shared.clone());
    }

    fn answered(
        &mut self,
        slot: usize,
        answer: ResponseBody,
        _body: &[u8],
        turn: &Turn<'_>,
    ) -> Result<Gain, BenchError> {
        let batch = &self.batches[self.sent[slot]];
        match answer {
            ResponseBody::Appended(appended) if appended.shard == batch.shard => {
                let end = appended.base_sequence.checked_add(batch.gain.records);
                turn.progress.acknowledged(batch.shard, end.unwrap_or(appended.base_sequence));
                Ok(batch.gain)
            }
            other => Err(refusal(Self::REQUEST, other)),
        }
    }

    fn answer_bytes(&self) -> usize {
        0
    }
}
