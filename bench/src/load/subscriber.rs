//! A subscription: what the server pushes is counted, checked for gaps, and paid for with credit.

use bytes::BytesMut;
use tidemill_wire::batch::data_offset_of;
use tidemill_wire::message::{Encoder, Position, Request, RequestBody, Response, ResponseBody, Subscribe};
use tidemill_wire::{RequestId, SequenceNumber, ShardIndex, StreamId};

use super::entries::walk;
use super::produce::STAMP_BYTES;
use super::progress::{Flow, Gain, Phase};
use super::role::{Role, Turn};
use super::tally::Measure;
use crate::connection::refusal;
use crate::error::BenchError;

const SUBSCRIPTION: RequestId = RequestId(1);
const REQUEST: &str = "subscribe";

/// When a subscription has seen enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// When everything that was acknowledged in this run has come.
    Acknowledged,
    /// At this record.
    Reach(SequenceNumber),
    /// When the run ends.
    Idle,
}

/// The subscription of one connection.
pub(super) struct Subscriber {
    subscribe: Subscribe,
    /// Bytes that were pushed since credit was last granted.
    used: u64,
    is_subscribed: bool,
    /// Where the next push begins; unknown until the first.
    seen: Option<SequenceNumber>,
    goal: Goal,
    /// Whether the records carry times.
    is_stamped: bool,
    encoder: Encoder,
    head: BytesMut,
}

impl Subscriber {
    pub(super) fn new(
        stream: StreamId,
        shard: ShardIndex,
        position: Position,
        credit_bytes: u32,
        goal: Goal,
        is_stamped: bool,
    ) -> Self {
        let seen = match position {
            Position::Sequence(sequence) => Some(sequence),
            _ => None,
        };
        Self {
            subscribe: Subscribe { stream, shard, position, credit_bytes: credit_bytes.into() },
            used: 0,
            is_subscribed: false,
            seen,
            goal,
            is_stamped,
            encoder: Encoder::new(),
            head: BytesMut::new(),
        }
    }

    fn send(&mut self, body: RequestBody, turn: &mut Turn<'_>) {
        self.head.clear();
        self.encoder.request(&mut self.head, &Request { id: SUBSCRIPTION, body }, 0);
        turn.out.copy(&self.head);
    }

    fn has_seen(&self, end: SequenceNumber) -> bool {
        self.seen.map_or(end == SequenceNumber(0), |seen| seen >= end)
    }
}

impl Role for Subscriber {
    fn pump(&mut self, turn: &mut Turn<'_>) -> Option<u64> {
        if !self.is_subscribed {
            self.is_subscribed = true;
            self.send(RequestBody::Subscribe(self.subscribe), turn);
        }
        // Half of the credit is on its way while the other is used, so that the server need not wait for it.
        if self.used >= self.subscribe.credit_bytes / 2 && self.used > 0 {
            let credit = RequestBody::Credit { subscription: SUBSCRIPTION, bytes: self.used };
            self.used = 0;
            self.send(credit, turn);
        }
        None
    }

    fn take(&mut self, turn: &mut Turn<'_>, response: Response, body: &[u8]) -> Result<(), BenchError> {
        if response.id != SUBSCRIPTION {
            return Err(BenchError::Unasked { id: response.id.0 });
        }
        let fetched = match response.body {
            ResponseBody::Fetched(fetched) => fetched,
            ResponseBody::SubscriptionEnded(ended) => {
                return Err(BenchError::SubscriptionEnded { code: ended.code, message: ended.message });
            }
            other => return Err(refusal(REQUEST, other)),
        };
        if let Some(expected) = self.seen.filter(|seen| *seen != fetched.from_sequence) {
            return Err(BenchError::Gap { expected, found: fetched.from_sequence });
        }
        let (is_stamped, now_ns, span) = (self.is_stamped, turn.now_ns, turn.span);
        let mut batches = 0;
        let bytes = walk(&fetched, body, |_, batch| {
            batches += 1;
            let stamp = if is_stamped { stamp_of(batch) } else { None };
            if let Some(stamp_ns) = stamp.filter(|stamp_ns| span.contains(*stamp_ns) && *stamp_ns <= now_ns) {
                turn.latency(Measure::Delivery, stamp_ns);
            }
        })?;
        self.seen = Some(fetched.next_sequence);
        self.used += body.len() as u64;
        let records = fetched.next_sequence.since(fetched.from_sequence);
        turn.gain(Flow::Out, Gain { bytes, records, requests: batches });
        Ok(())
    }

    fn owed(&self) -> usize {
        // A subscription that waits for records owes nothing; one that reads what is there does.
        match self.goal {
            Goal::Reach(end) => usize::from(!self.has_seen(end)),
            Goal::Acknowledged | Goal::Idle => 0,
        }
    }

    fn is_finished(&self, turn: &Turn<'_>) -> bool {
        match self.goal {
            Goal::Reach(end) => self.has_seen(end),
            Goal::Acknowledged => {
                let tail = turn.progress.final_tail(self.subscribe.shard);
                tail.is_some_and(|tail| tail == SequenceNumber(0) || self.has_seen(tail))
            }
            Goal::Idle => turn.phase != Phase::Running,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.goal, Goal::Reach(end) if self.has_seen(end))
    }

    fn give_up(&mut self, turn: &mut Turn<'_>) -> Result<(), BenchError> {
        let end = match self.goal {
            Goal::Reach(end) => Some(end),
            Goal::Acknowledged => turn.progress.final_tail(self.subscribe.shard),
            Goal::Idle => None,
        };
        match end {
            Some(end) if !self.has_seen(end) => {
                let seen = self.seen.unwrap_or(SequenceNumber(0));
                Err(BenchError::NotPushed { shard: self.subscribe.shard, seen, end })
            }
            _ => Ok(()),
        }
    }

    fn answer_bytes(&self) -> usize {
        usize::try_from(self.subscribe.credit_bytes / 4).unwrap_or(0)
    }
}

/// The time in a batch's first record.
fn stamp_of(batch: &[u8]) -> Option<u64> {
    let data = batch.get(data_offset_of(batch)?..)?;
    Some(u64::from_le_bytes(*data.first_chunk::<STAMP_BYTES>()?))
}
