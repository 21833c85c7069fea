//! What a connection is for: it asks for answers, or it listens to what is pushed.

use tidemill_wire::message::Response;

use super::progress::{Counters, Flow, Gain, Phase, Progress, Span};
use super::tally::{Measure, Tally};
use crate::error::BenchError;
use crate::ring::Gather;

/// What the connections of a thread share.
pub(super) struct Desk<'a> {
    pub(super) progress: &'a Progress,
    pub(super) counters: &'a Counters,
    pub(super) tally: Tally,
}

/// What a connection finds when it is its turn.
pub(super) struct Turn<'t> {
    /// Now, on the run's clock.
    pub(super) now_ns: u64,
    pub(super) phase: Phase,
    pub(super) span: Span,
    pub(super) progress: &'t Progress,
    pub(super) counters: &'t Counters,
    pub(super) tally: &'t mut Tally,
    /// What is to be sent.
    pub(super) out: &'t mut Gather,
}

/// What a connection does with its turns.
pub(super) trait Role: Send {
    /// Queues what may be sent now. Returns when it wants another turn even if nothing comes in until then.
    fn pump(&mut self, turn: &mut Turn<'_>) -> Option<u64>;

    /// Takes what has come in.
    fn take(&mut self, turn: &mut Turn<'_>, response: Response, body: &[u8]) -> Result<(), BenchError>;

    /// Answers that are owed.
    fn owed(&self) -> usize;

    /// Whether everything it has begun is done. Asked once the run is stopping.
    fn is_finished(&self, turn: &Turn<'_>) -> bool;

    /// Whether it comes to an end without being told to stop, and has.
    fn is_over(&self) -> bool {
        false
    }

    /// Counts what it could not finish.
    fn give_up(&mut self, turn: &mut Turn<'_>) -> Result<(), BenchError>;

    /// Bytes of a usual answer.
    fn answer_bytes(&self) -> usize;
}

impl Desk<'_> {
    /// A turn at this moment.
    pub(super) fn turn<'t>(&'t mut self, now_ns: u64, out: &'t mut Gather) -> Turn<'t> {
        Turn {
            now_ns,
            phase: self.progress.phase(),
            span: self.progress.span(),
            progress: self.progress,
            counters: self.counters,
            tally: &mut self.tally,
            out,
        }
    }
}

impl Turn<'_> {
    /// Notes answered work.
    pub(super) fn gain(&mut self, flow: Flow, gain: Gain) {
        self.counters.add(flow, gain);
        self.tally.gain(flow, self.span, self.now_ns, gain);
    }

    /// Notes a latency that counts from `from_ns` and ends now.
    pub(super) fn latency(&mut self, measure: Measure, from_ns: u64) {
        let value_ns = self.now_ns.saturating_sub(from_ns);
        if let Some(p99_ns) = self.tally.latency(measure, self.span, from_ns, value_ns) {
            self.counters.show_p99(p99_ns);
        }
    }
}
