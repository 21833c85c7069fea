//! Requests and their answers: a number of slots, each with one request in flight, in a closed or an open loop.
//!
//! A slot's number is its request's id, so an answer finds its request by index. In a closed loop a slot asks again as soon as it is answered. In
//! an open loop requests have times, and latency counts from them: a request whose time has come while all slots were taken waits for one, and
//! that wait is part of its latency. Every request whose time lies in the measured part is asked, however late.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tidemill_wire::RequestId;
use tidemill_wire::message::{ErrorCode, Failure, Response, ResponseBody};

use super::progress::{Flow, Gain, Phase};
use super::role::{Role, Turn};
use super::tally::Measure;
use crate::connection::refusal;
use crate::error::BenchError;
use crate::pace::Pace;
use crate::ring::Gather;

/// Longest wait that a server may ask for and get.
const RETRY_AFTER_MS_MAX: u64 = 60_000;

/// What a connection asks and what it makes of the answers.
pub(super) trait Load: Send {
    /// The request's name, for errors.
    const REQUEST: &'static str;
    /// Where its records go.
    const FLOW: Flow;

    /// Queues the slot's next request, with the slot's number as its id. Records that carry a time carry `stamp_ns`. A request that is
    /// asked `again` is the one that the slot asked before.
    fn request(&mut self, slot: usize, stamp_ns: u64, again: bool, out: &mut Gather);

    /// What the latency of the slot's request is of.
    fn measure(&self, _slot: usize) -> Measure {
        Measure::Request
    }

    /// Takes the answer to the slot's request.
    fn answered(
        &mut self,
        slot: usize,
        answer: ResponseBody,
        body: &[u8],
        turn: &Turn<'_>,
    ) -> Result<Gain, BenchError>;

    /// Bytes of a usual answer.
    fn answer_bytes(&self) -> usize;
}

/// What is done with a request that was refused for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Throttled {
    /// It is asked again after the time the server named.
    Retry,
    /// It is dropped.
    Drop,
}

/// The requests of one connection.
pub(super) struct Asker<L> {
    load: L,
    pace: Option<Pace>,
    throttled: Throttled,
    /// From when each slot's latency counts; `None` while it has none in flight.
    asked: Vec<Option<u64>>,
    ready: Vec<usize>,
    /// Since when there is a slot without a request.
    ready_since_ns: u64,
    /// Slots that were throttled, by the end of their wait, with the moment their latency counts from.
    paused: BinaryHeap<Reverse<(u64, usize, u64)>>,
    unanswered: usize,
    stage: Stage,
}

/// Whether it counts among those that append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    New,
    Begun,
    Over,
}

impl<L: Load> Asker<L> {
    pub(super) fn new(load: L, in_flight: u32, pace: Option<Pace>, throttled: Throttled) -> Self {
        let slots = in_flight as usize;
        Self {
            load,
            pace,
            throttled,
            asked: vec![None; slots],
            ready: (0..slots).rev().collect(),
            ready_since_ns: 0,
            paused: BinaryHeap::new(),
            unanswered: 0,
            stage: Stage::New,
        }
    }

    fn ask(&mut self, slot: usize, from_ns: u64, again: bool, turn: &mut Turn<'_>) {
        self.load.request(slot, from_ns, again, turn.out);
        self.asked[slot] = Some(from_ns);
        self.unanswered += 1;
    }

    /// Asks what is due in an open loop. Returns the next moment at which something is.
    fn keep_pace(&mut self, mut pace: Pace, turn: &mut Turn<'_>) -> Option<u64> {
        let mut wake = None;
        loop {
            let arrival = pace.peek();
            let intended_ns = turn.span.start_ns.saturating_add(arrival.intended_ns);
            let due_ns = turn.span.start_ns.saturating_add(arrival.due_ns);
            if intended_ns >= turn.span.end_ns {
                break;
            }
            if due_ns > turn.now_ns {
                wake = Some(due_ns);
                break;
            }
            let Some(slot) = self.ready.pop() else { break };
            if turn.span.contains(intended_ns) {
                turn.latency(Measure::Lateness, due_ns.max(self.ready_since_ns));
            }
            self.ask(slot, intended_ns, false, turn);
            pace.advance();
        }
        self.pace = Some(pace);
        wake
    }

    fn free(&mut self, slot: usize, now_ns: u64) {
        if self.ready.is_empty() {
            self.ready_since_ns = now_ns;
        }
        self.ready.push(slot);
    }

    /// Whether a latency counts: in an open loop by the moment it counts from, in a closed one by the answer's.
    fn counts(&self, turn: &Turn<'_>, from_ns: u64) -> bool {
        turn.span.contains(if self.pace.is_some() { from_ns } else { turn.now_ns })
    }

    fn refused(&mut self, slot: usize, from_ns: u64, failure: &Failure, turn: &mut Turn<'_>) {
        let wait_ms = u64::from(failure.retry_after_ms.max(1)).min(RETRY_AFTER_MS_MAX);
        turn.tally.throttled += 1;
        turn.tally.wait_ms += wait_ms;
        match self.throttled {
            Throttled::Retry => {
                self.paused.push(Reverse((turn.now_ns + wait_ms * 1_000_000, slot, from_ns)));
            }
            Throttled::Drop => self.free(slot, turn.now_ns),
        }
    }

    /// Requests whose time has come and that nobody has asked.
    fn behind(&self, turn: &Turn<'_>) -> u64 {
        self.pace.map_or(0, |pace| {
            let end_ns = turn.span.end_ns.min(turn.now_ns);
            pace.left_before(end_ns.saturating_sub(turn.span.start_ns))
        })
    }
}

impl<L: Load> Role for Asker<L> {
    fn pump(&mut self, turn: &mut Turn<'_>) -> Option<u64> {
        if L::FLOW == Flow::In && self.stage == Stage::New {
            self.stage = Stage::Begun;
            turn.progress.append_begins();
        }
        let is_open = self.pace.is_some();
        if turn.phase == Phase::Failed || turn.phase == Phase::Stopping && !is_open {
            self.end_append(turn);
            return None;
        }
        while let Some(Reverse((due_ns, slot, from_ns))) = self.paused.peek().copied() {
            if due_ns > turn.now_ns {
                break;
            }
            self.paused.pop();
            // A closed loop counts the last try only, since the wait is the quota's and not the server's.
            let from_ns = if is_open { from_ns } else { turn.now_ns };
            self.ask(slot, from_ns, true, turn);
        }
        let mut wake = self.paused.peek().map(|Reverse((due_ns, ..))| *due_ns);
        match self.pace {
            Some(pace) => {
                let next = self.keep_pace(pace, turn);
                wake = [wake, next].into_iter().flatten().min();
            }
            None => {
                while let Some(slot) = self.ready.pop() {
                    self.ask(slot, turn.now_ns, false, turn);
                }
            }
        }
        self.end_append(turn);
        wake
    }

    fn take(&mut self, turn: &mut Turn<'_>, response: Response, body: &[u8]) -> Result<(), BenchError> {
        let Response { id, body: answer } = response;
        let slot = usize::try_from(id.0).ok().filter(|slot| *slot < self.asked.len());
        let taken = slot.and_then(|slot| Some((slot, self.asked[slot].take()?)));
        let (slot, from_ns) = taken.ok_or(BenchError::Unasked { id: id.0 })?;
        self.unanswered -= 1;
        match answer {
            ResponseBody::Failed(failure) if asks_for_patience(failure.code) => {
                self.refused(slot, from_ns, &failure, turn);
            }
            ResponseBody::Failed(_) => return Err(refusal(L::REQUEST, answer)),
            answer => {
                let measure = self.load.measure(slot);
                let gain = self.load.answered(slot, answer, body, turn)?;
                turn.gain(L::FLOW, gain);
                if self.counts(turn, from_ns) {
                    turn.latency(measure, from_ns);
                }
                self.free(slot, turn.now_ns);
            }
        }
        Ok(())
    }

    fn owed(&self) -> usize {
        self.unanswered
    }

    fn is_finished(&self, turn: &Turn<'_>) -> bool {
        match self.pace {
            None => self.unanswered == 0,
            Some(_) => self.unanswered == 0 && self.paused.is_empty() && self.behind(turn) == 0,
        }
    }

    fn give_up(&mut self, turn: &mut Turn<'_>) -> Result<(), BenchError> {
        let load = &self.load;
        let slots = self.asked.iter_mut().enumerate();
        let asked = slots.filter_map(|(slot, asked)| Some((load.measure(slot), asked.take()?)));
        let paused = self.paused.drain();
        let paused = paused.map(|Reverse((_, slot, from_ns))| (load.measure(slot), from_ns));
        let mut left: Vec<(Measure, u64)> = asked.chain(paused).collect();
        self.unanswered = 0;
        if let Some(mut pace) = self.pace {
            for _ in 0..self.behind(turn) {
                let intended_ns = turn.span.start_ns.saturating_add(pace.peek().intended_ns);
                left.push((Measure::Request, intended_ns));
                pace.advance();
            }
            self.pace = Some(pace);
        }
        for (measure, from_ns) in left {
            if self.pace.is_none() || turn.span.contains(from_ns) {
                turn.tally.unfinished += 1;
                turn.latency(measure, from_ns);
            }
        }
        self.end_append(turn);
        Ok(())
    }

    fn answer_bytes(&self) -> usize {
        self.load.answer_bytes()
    }
}

impl<L: Load> Asker<L> {
    /// Says once that nothing more will be appended.
    fn end_append(&mut self, turn: &Turn<'_>) {
        let is_over = turn.phase == Phase::Failed || turn.phase == Phase::Stopping && self.is_finished(turn);
        if self.stage == Stage::Begun && is_over {
            self.stage = Stage::Over;
            turn.progress.append_ends();
        }
    }
}

/// The frame's id for a slot.
pub(super) fn request_id(slot: usize) -> RequestId {
    RequestId(slot as u64)
}

/// Refusals that pass by themselves. A full disk may never, so it ends the run.
fn asks_for_patience(code: ErrorCode) -> bool {
    code.is_retryable() && code != ErrorCode::DiskFull
}
