//! Puts and sends that are built, and signed where they do not differ, before the clock starts.

use bytes::Bytes;
use tidemill_wire::message::ResponseBody;
use tidemill_wire::{SequenceNumber, ShardIndex};

use crate::error::BenchError;
use crate::http::{Digest, STAMP_CHARS, Signer, stamp, texts};
use crate::load::asker::Load;
use crate::load::progress::{Flow, Gain};
use crate::load::role::Turn;
use crate::ring::Gather;

/// How long a signature is used, far below the age at which servers refuse it.
const SIGNATURE_AGE_NS_MAX: u64 = 60_000_000_000;

/// A request but for its signature.
#[derive(Clone)]
pub(super) struct Prepared {
    pub(super) operation: &'static str,
    pub(super) body: Bytes,
    pub(super) digest: Digest,
    /// Where the first record's data or the first message's body begins.
    pub(super) stamp_at: usize,
    pub(super) success: Success,
    pub(super) gain: Gain,
    /// Where its records go, if it is one shard.
    pub(super) shard: Option<ShardIndex>,
}

/// How an answer shows that all was taken.
#[derive(Clone, Copy, Debug)]
pub(super) enum Success {
    /// By this.
    Has(&'static str),
    /// By not having this.
    HasNot(&'static str),
}

/// The load of one connection.
pub(super) struct Sender {
    signer: Signer,
    pool: Vec<Signed>,
    next: usize,
    sent: usize,
    is_stamped: bool,
    /// A body that is different each time.
    scratch: Vec<u8>,
}

struct Signed {
    prepared: Prepared,
    head: Vec<u8>,
    /// When it was signed; never yet.
    signed_ns: Option<u64>,
}

impl Sender {
    /// Sends the requests of the pool in turn. With `is_stamped`, each carries the time that its latency counts from.
    pub(super) fn new(signer: Signer, pool: Vec<Prepared>, first: usize, is_stamped: bool) -> Self {
        let pool: Vec<Signed> =
            pool.into_iter().map(|prepared| Signed { prepared, head: Vec::new(), signed_ns: None }).collect();
        let next = first % pool.len().max(1);
        Self { signer, pool, next, sent: next, is_stamped, scratch: Vec::new() }
    }
}

impl Load for Sender {
    const REQUEST: &'static str = "a put or send";
    const FLOW: Flow = Flow::In;

    fn request(&mut self, _slot: usize, stamp_ns: u64, again: bool, out: &mut Gather) {
        if !again {
            self.sent = self.next;
            self.next = (self.next + 1) % self.pool.len();
        }
        let Signed { prepared, head, signed_ns } = &mut self.pool[self.sent];
        let Prepared { operation, body, digest, stamp_at, .. } = prepared;
        if self.is_stamped {
            self.scratch.clear();
            self.scratch.extend_from_slice(body);
            if let Some(place) = self.scratch.get_mut(*stamp_at..*stamp_at + STAMP_CHARS) {
                place.copy_from_slice(&stamp(stamp_ns));
            }
            head.clear();
            self.signer.put_head(operation, body.len(), &Digest::of(&self.scratch), head);
            out.copy(head);
            out.copy(&self.scratch);
            return;
        }
        let is_fresh = |at: u64| stamp_ns.saturating_sub(at) < SIGNATURE_AGE_NS_MAX;
        if !signed_ns.is_some_and(is_fresh) {
            head.clear();
            self.signer.put_head(operation, body.len(), digest, head);
            *signed_ns = Some(stamp_ns);
        }
        out.copy(head);
        out.share(body.clone());
    }

    fn answered(
        &mut self,
        _slot: usize,
        _answer: ResponseBody,
        body: &[u8],
        turn: &Turn<'_>,
    ) -> Result<Gain, BenchError> {
        let prepared = &self.pool[self.sent].prepared;
        if !prepared.success.is_in(body) {
            return Err(BenchError::calling(prepared.operation, 200, body));
        }
        if self.is_stamped
            && let Some(shard) = prepared.shard
        {
            let ends = texts(body, "\"SequenceNumber\":\"").filter_map(sequence_of);
            if let Some(last) = ends.max() {
                turn.progress.acknowledged(shard, SequenceNumber(last.0 + 1));
            }
        }
        Ok(prepared.gain)
    }

    fn answer_bytes(&self) -> usize {
        0
    }
}

impl Success {
    fn is_in(self, body: &[u8]) -> bool {
        let has = |text: &str| memchr::memmem::find(body, text.as_bytes()).is_some();
        match self {
            Self::Has(text) => has(text),
            Self::HasNot(text) => !has(text),
        }
    }
}

/// Bits below a record's number in its shard, in the numbers that the Kinesis front writes (`docs/protocol/kinesis.md`).
const SEQUENCE_SHIFT: u32 = 46;

/// The record's number in its shard.
pub(super) fn sequence_of(decimal: &[u8]) -> Option<SequenceNumber> {
    // The bits above are those of the stream and its shard, and fall away.
    let number = decimal.iter().try_fold(0_u128, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u128::from(digit - b'0'))?;
        Some(number.wrapping_mul(10).wrapping_add(digit))
    })?;
    u64::try_from(number >> SEQUENCE_SHIFT & u128::from(u64::MAX)).ok().map(SequenceNumber)
}
