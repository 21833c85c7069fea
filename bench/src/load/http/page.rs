//! Gets of what a shard holds, round and round.
//!
//! An iterator is good for as many gets as one likes while it is young, so the pages of a shard are walked once before the clock starts, and the load asks for each of
//! them again and again: a real reader would have to wait for the answer that has its next iterator.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tidemill_wire::message::{ResponseBody, ShardDescription};

use crate::error::BenchError;
use crate::http::{Caller, Digest, Signer, decoded_bytes, texts};
use crate::load::asker::Load;
use crate::load::progress::{Flow, Gain};
use crate::load::role::Turn;
use crate::load::target::Target;
use crate::options::Options;
use crate::ring::Gather;

/// Pages that are walked at most; a shard that holds more is read as far as that.
const PAGES_MAX: usize = 4_096;
/// How long a signature is used, far below the age at which servers refuse it.
const SIGNATURE_AGE_NS_MAX: u64 = 60_000_000_000;

/// What is asked for the pages of a shard.
#[derive(Clone)]
pub(super) struct Pages {
    requests: Arc<Vec<(Bytes, Digest)>>,
    answer_bytes: usize,
}

/// The load of one connection.
pub(super) struct Reader {
    pages: Pages,
    signer: Signer,
    next: usize,
    /// The signed heads and when that was done.
    heads: Vec<Option<(u64, Vec<u8>)>>,
}

/// Walks a shard from its oldest record to its end, with as many records a page as the options' bytes hold.
pub(super) fn walk(
    caller: &mut Caller,
    options: &Options,
    target: &Target,
    shard: &ShardDescription,
) -> Result<Pages, BenchError> {
    let (least, most) = options.record_bytes.range();
    let limit = (u64::from(options.fetch_bytes) * 2 / (u64::from(least) + u64::from(most))).clamp(1, 10_000);
    let input = json!({
        "StreamName": target.stream.name.to_string(),
        "ShardId": format!("shardId-{:012}", shard.index.0),
        "ShardIteratorType": "TRIM_HORIZON",
    });
    let mut iterator = caller.call("GetShardIterator", &input)?.get("ShardIterator").cloned();
    let mut requests = Vec::new();
    let mut answer_bytes = 0;
    while let Some(next) = iterator.take().filter(|_| requests.len() < PAGES_MAX) {
        let input = json!({ "ShardIterator": next, "Limit": limit });
        let page = caller.call("GetRecords", &input)?;
        if page.get("Records").and_then(Value::as_array).is_none_or(Vec::is_empty) {
            break;
        }
        let body = Bytes::from(input.to_string());
        requests.push((body.clone(), Digest::of(&body)));
        answer_bytes = answer_bytes.max(page.to_string().len());
        iterator = page.get("NextShardIterator").cloned();
    }
    if requests.is_empty() {
        return Err(BenchError::Empty { stream: target.stream.name.to_string() });
    }
    Ok(Pages { requests: Arc::new(requests), answer_bytes })
}

impl Pages {
    /// The answer to the first.
    pub(super) fn sample(&self, caller: &mut Caller) -> Result<Vec<u8>, BenchError> {
        let first = self.requests.first().map(|(body, _)| body.as_ref()).unwrap_or_default();
        caller.exchange(Reader::REQUEST, first)
    }

    /// One of several readers of the shard; they begin spread over it.
    pub(super) fn reader(&self, signer: Signer, ordinal: u32, siblings: u32) -> Reader {
        let count = self.requests.len();
        let next = count * ordinal as usize / siblings.max(1) as usize;
        Reader { pages: self.clone(), signer, next: next % count, heads: vec![None; count] }
    }
}

impl Load for Reader {
    const REQUEST: &'static str = "GetRecords";
    const FLOW: Flow = Flow::Out;

    fn request(&mut self, _slot: usize, stamp_ns: u64, again: bool, out: &mut Gather) {
        if !again {
            self.next = (self.next + 1) % self.pages.requests.len();
        }
        let (body, digest) = &self.pages.requests[self.next];
        let head = &mut self.heads[self.next];
        let is_fresh = |(at, _): &&(u64, Vec<u8>)| stamp_ns.saturating_sub(*at) < SIGNATURE_AGE_NS_MAX;
        if head.as_ref().filter(is_fresh).is_none() {
            let mut signed = Vec::new();
            self.signer.put_head(Self::REQUEST, body.len(), digest, &mut signed);
            *head = Some((stamp_ns, signed));
        }
        if let Some((_, signed)) = head {
            out.copy(signed);
        }
        out.copy(body);
    }

    fn answered(
        &mut self,
        _slot: usize,
        _answer: ResponseBody,
        body: &[u8],
        _turn: &Turn<'_>,
    ) -> Result<Gain, BenchError> {
        let gain = records_in(body);
        if gain.records == 0 {
            return Err(BenchError::calling(Self::REQUEST, 200, body));
        }
        Ok(gain)
    }

    fn answer_bytes(&self) -> usize {
        self.pages.answer_bytes
    }
}

/// The records in a page or an event.
pub(super) fn records_in(body: &[u8]) -> Gain {
    let mut gain = Gain { requests: 1, ..Gain::default() };
    for data in texts(body, "\"Data\":\"") {
        gain.records += 1;
        gain.bytes += decoded_bytes(data) as u64;
    }
    gain.bytes += texts(body, "\"PartitionKey\":\"").map(|key| key.len() as u64).sum::<u64>();
    gain
}
