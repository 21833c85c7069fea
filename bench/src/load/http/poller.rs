//! A consumer that waits for messages: how long from a message's time until it is here.
//!
//! It goes on after the end until all that was sent has come, for what comes late or never is what the measurement is about.

use tidemill_wire::message::{Response, ResponseBody};

use super::cycle::{check_deleted, delete, handles_in, put, receive};
use crate::connection::refusal;
use crate::error::BenchError;
use crate::http::{Signer, read_stamp, texts};
use crate::load::progress::{Flow, Gain, Phase, Progress};
use crate::load::role::{Role, Turn};
use crate::load::tally::Measure;

/// How long a receive waits inside the server.
const WAIT_S: u32 = 20;
/// Bytes of a usual answer.
const ANSWER_BYTES: usize = 32 << 10;

/// What the connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing was asked.
    Rested,
    /// For messages, as long as it takes.
    Receiving,
    /// For the end of a deletion.
    Deleting,
}

/// The consumer of one connection.
pub(super) struct Poller {
    signer: Signer,
    queue: String,
    stage: Stage,
    handles: Vec<String>,
}

impl Poller {
    pub(super) fn new(signer: Signer, queue: String) -> Self {
        Self { signer, queue, stage: Stage::Rested, handles: Vec::new() }
    }
}

/// Messages that were sent and have not come, once nobody sends any more.
fn missing(progress: &Progress) -> Option<u64> {
    let sent = progress.final_total(Flow::In)?.records;
    Some(sent.saturating_sub(progress.total(Flow::Out).records))
}

/// Whether messages may still come.
fn is_more_awaited(turn: &Turn<'_>) -> bool {
    match turn.phase {
        Phase::Running => true,
        Phase::Stopping => missing(turn.progress) != Some(0),
        Phase::Failed => false,
    }
}

impl Role for Poller {
    fn pump(&mut self, turn: &mut Turn<'_>) -> Option<u64> {
        if self.stage == Stage::Rested {
            let handles = std::mem::take(&mut self.handles);
            if !handles.is_empty() {
                self.stage = Stage::Deleting;
                put(&mut self.signer, "DeleteMessageBatch", &delete(&self.queue, &handles), turn.out);
            } else if is_more_awaited(turn) {
                self.stage = Stage::Receiving;
                put(&mut self.signer, "ReceiveMessage", &receive(&self.queue, WAIT_S), turn.out);
            }
        }
        None
    }

    fn take(&mut self, turn: &mut Turn<'_>, response: Response, body: &[u8]) -> Result<(), BenchError> {
        if response.body != ResponseBody::Done {
            return Err(refusal("a receive or delete", response.body));
        }
        match std::mem::replace(&mut self.stage, Stage::Rested) {
            Stage::Rested => return Err(BenchError::Unasked { id: response.id.0 }),
            Stage::Deleting => check_deleted(body)?,
            Stage::Receiving => {
                let mut gain = Gain { requests: 1, ..Gain::default() };
                for text in texts(body, "\"Body\":\"") {
                    (gain.records, gain.bytes) = (gain.records + 1, gain.bytes + text.len() as u64);
                    let stamp = read_stamp(text).filter(|at| turn.span.contains(*at) && *at <= turn.now_ns);
                    if let Some(stamp_ns) = stamp {
                        turn.latency(Measure::Delivery, stamp_ns);
                    }
                }
                self.handles = handles_in(body);
                turn.gain(Flow::Out, gain);
            }
        }
        Ok(())
    }

    fn owed(&self) -> usize {
        // A receive that waits owes nothing.
        usize::from(self.stage == Stage::Deleting)
    }

    fn is_finished(&self, turn: &Turn<'_>) -> bool {
        let is_deleted = self.stage != Stage::Deleting && self.handles.is_empty();
        turn.phase != Phase::Running && is_deleted && missing(turn.progress) == Some(0)
    }

    fn give_up(&mut self, turn: &mut Turn<'_>) -> Result<(), BenchError> {
        match missing(turn.progress) {
            Some(missing) if missing > 0 => Err(BenchError::NotDelivered { missing }),
            _ => Ok(()),
        }
    }

    fn answer_bytes(&self) -> usize {
        ANSWER_BYTES
    }
}
