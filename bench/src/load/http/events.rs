//! A subscription of SubscribeToShard: events are counted, and how long their records took.

use serde_json::json;
use tidemill_wire::message::{Response, ResponseBody, ShardDescription};
use tidemill_wire::{SequenceNumber, ShardIndex};

use super::page::records_in;
use super::sender::sequence_of;
use crate::error::BenchError;
use crate::http::{Digest, Signer, read_stamp, texts};
use crate::load::progress::{Flow, Phase};
use crate::load::role::{Role, Turn};
use crate::load::subscriber::Goal;
use crate::load::tally::Measure;

const OPERATION: &str = "SubscribeToShard";
/// Bytes of an event of the usual size, as its payload is written.
const EVENT_BYTES: usize = 192 << 10;

/// The subscription of one connection.
pub(super) struct Subscriber {
    signer: Signer,
    consumer: String,
    shard: ShardIndex,
    /// Where it begins: at a time in seconds.
    from_s: u64,
    /// The number that it goes on behind, once there was an event.
    continuation: Option<String>,
    /// Behind the last record that came; unknown until the first, which may be any.
    seen: Option<SequenceNumber>,
    is_subscribed: bool,
    goal: Goal,
    is_stamped: bool,
}

impl Subscriber {
    /// Subscribes a consumer to what comes into the shard from now on.
    pub(super) fn new(
        signer: Signer,
        consumer: String,
        shard: &ShardDescription,
        goal: Goal,
        is_stamped: bool,
    ) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self {
            signer,
            consumer,
            shard: shard.index,
            from_s: now.as_secs(),
            continuation: None,
            seen: None,
            is_subscribed: false,
            goal,
            is_stamped,
        }
    }

    fn has_seen(&self, end: SequenceNumber) -> bool {
        self.seen.map_or(end == SequenceNumber(0), |seen| seen >= end)
    }
}

impl Role for Subscriber {
    fn pump(&mut self, turn: &mut Turn<'_>) -> Option<u64> {
        if !self.is_subscribed {
            self.is_subscribed = true;
            let position = match &self.continuation {
                Some(number) => json!({ "Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": number }),
                None => json!({ "Type": "AT_TIMESTAMP", "Timestamp": self.from_s }),
            };
            let shard = format!("shardId-{:012}", self.shard.0);
            let input =
                json!({ "ConsumerARN": self.consumer, "ShardId": shard, "StartingPosition": position });
            let body = input.to_string();
            let mut head = Vec::new();
            self.signer.put_head(OPERATION, body.len(), &Digest::of(body.as_bytes()), &mut head);
            turn.out.copy(&head);
            turn.out.copy(body.as_bytes());
        }
        None
    }

    fn take(&mut self, turn: &mut Turn<'_>, response: Response, event: &[u8]) -> Result<(), BenchError> {
        if let ResponseBody::SubscriptionEnded(_) = response.body {
            // After five minutes; the next one goes on where this one was.
            self.is_subscribed = false;
            return Ok(());
        }
        if memchr::memmem::find(event, b":exception-type").is_some() {
            return Err(BenchError::calling(OPERATION, 200, event));
        }
        if let Some(number) = texts(event, "\"ContinuationSequenceNumber\":\"").next() {
            self.continuation = Some(String::from_utf8_lossy(number).into_owned());
        }
        let gain = records_in(event);
        if gain.records == 0 {
            return Ok(());
        }
        self.seen = end_of_run(self.seen, texts(event, "\"SequenceNumber\":\"").filter_map(sequence_of))?;
        if self.is_stamped {
            let stamps: Vec<u64> = texts(event, "\"Data\":\"").filter_map(read_stamp).collect();
            let counts = |at: &&u64| turn.span.contains(**at) && **at <= turn.now_ns;
            let counted: Vec<u64> = stamps.iter().filter(counts).copied().collect();
            counted.into_iter().for_each(|stamp_ns| turn.latency(Measure::Delivery, stamp_ns));
        }
        turn.gain(Flow::Out, gain);
        Ok(())
    }

    fn owed(&self) -> usize {
        0
    }

    fn is_finished(&self, turn: &Turn<'_>) -> bool {
        match self.goal {
            Goal::Idle | Goal::Reach(_) => turn.phase != Phase::Running,
            Goal::Acknowledged => {
                let tail = turn.progress.final_tail(self.shard);
                tail.is_some_and(|tail| tail == SequenceNumber(0) || self.has_seen(tail))
            }
        }
    }

    fn give_up(&mut self, turn: &mut Turn<'_>) -> Result<(), BenchError> {
        let end = turn.progress.final_tail(self.shard).filter(|_| self.goal == Goal::Acknowledged);
        match end {
            Some(end) if !self.has_seen(end) => {
                let seen = self.seen.unwrap_or(SequenceNumber(0));
                Err(BenchError::NotPushed { shard: self.shard, seen, end })
            }
            _ => Ok(()),
        }
    }

    fn answer_bytes(&self) -> usize {
        EVENT_BYTES
    }
}

/// Behind the last of these records, each of which has to be the one that is due.
fn end_of_run(
    due: Option<SequenceNumber>,
    records: impl Iterator<Item = SequenceNumber>,
) -> Result<Option<SequenceNumber>, BenchError> {
    let mut due = due;
    for found in records {
        if let Some(expected) = due.filter(|due| *due != found) {
            return Err(BenchError::Gap { expected, found });
        }
        due = Some(SequenceNumber(found.0.saturating_add(1)));
    }
    Ok(due)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(due: Option<u64>, records: &[u64], expected: Result<Option<u64>, (u64, u64)>) {
        let found = end_of_run(due.map(SequenceNumber), records.iter().copied().map(SequenceNumber));
        let found = found.map(|end| end.map(|end| end.0)).map_err(|error| match error {
            BenchError::Gap { expected, found } => (expected.0, found.0),
            other => panic!("{other}"),
        });
        assert_eq!(found, expected, "{records:?} where {due:?} is due");
    }

    #[test]
    fn a_record_that_is_lost_doubled_or_out_of_order_is_a_gap() {
        check(None, &[], Ok(None));
        check(None, &[7, 8, 9], Ok(Some(10)));
        check(Some(10), &[], Ok(Some(10)));
        check(Some(10), &[10, 11], Ok(Some(12)));
        check(Some(10), &[11, 12], Err((10, 11)));
        check(Some(10), &[10, 12], Err((11, 12)));
        check(Some(10), &[10, 10, 11], Err((11, 10)));
        check(None, &[8, 7], Err((9, 7)));
    }
}
