//! A thread of the generator: a ring and the connections on it, from the gate to the last answer.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU64;
use std::time::Duration;

use super::line::Line;
use super::progress::{Counters, Phase, Progress};
use super::role::Desk;
use super::tally::Tally;
use crate::clock::nanoseconds;
use crate::error::BenchError;
use crate::ring::{Completion, Ring};

/// Longest sleep, so that the end of the run is seen.
const SLEEP_NS_MAX: u64 = 20_000_000;
/// A moment that is nearer than this is waited for without sleeping, which is what makes an open loop punctual. Half of it is slept away, so the
/// other half has to be longer than a virtual machine takes to wake: with 20 µs half of all requests left 50 µs late.
const SPIN_NS: u64 = 150_000;
/// How exact the kernel's timers are to be for a thread of the generator.
const TIMER_SLACK_NS: NonZeroU64 = NonZeroU64::new(1_000).expect("it is a constant above zero");
/// How long a ring is waited for after its sockets were closed.
const CLOSING_MAX: Duration = Duration::from_secs(1);

/// What bounds a thread's waiting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For a server that owes answers.
    pub(super) answer: Duration,
    /// For the end of what was begun, after the measured part.
    pub(super) drain: Duration,
}

/// A thread with its connections.
pub(super) struct Worker<'a> {
    lines: Vec<Line>,
    desk: Desk<'a>,
    patience: Patience,
    /// Connections that want a turn, by the moment; one whose moment has changed is in it more than once.
    timers: BinaryHeap<Reverse<(u64, u32)>>,
    /// The moment that was put there last for each connection.
    timer_of: Vec<Option<u64>>,
    /// Whether all have had a turn since the end came.
    is_told: bool,
}

impl<'a> Worker<'a> {
    pub(super) fn new(
        lines: Vec<Line>,
        patience: Patience,
        interval: Duration,
        progress: &'a Progress,
        counters: &'a Counters,
    ) -> Self {
        let desk = Desk { progress, counters, tally: Tally::new(nanoseconds(interval)) };
        let timer_of = vec![None; lines.len()];
        Self { lines, desk, patience, timers: BinaryHeap::new(), timer_of, is_told: false }
    }

    /// Runs until told to stop and everything that was begun is done. A failure ends the whole run.
    pub(super) fn run(mut self) -> Result<Tally, BenchError> {
        let progress = self.desk.progress;
        progress.pass_gate();
        let outcome = self.serve();
        progress.done(progress.clock.now_ns());
        match outcome {
            Ok(()) => Ok(self.desk.tally),
            Err(error) => {
                progress.fail();
                Err(error)
            }
        }
    }

    fn serve(&mut self) -> Result<(), BenchError> {
        // Only how punctual an open loop is depends on it.
        _ = rustix::thread::set_current_timer_slack(Some(TIMER_SLACK_NS));
        let mut ring = Ring::new(self.lines.len() * 2).map_err(|source| BenchError::Ring { source })?;
        let outcome = self.turns(&mut ring);
        self.lines.iter().for_each(Line::close);
        let deadline_ns = self.now_ns() + nanoseconds(CLOSING_MAX);
        while ring.in_kernel() > 0 && self.now_ns() < deadline_ns {
            if ring.wait(Some(Duration::from_millis(10))).is_err() {
                break;
            }
            while ring.next().is_some() {}
        }
        outcome
    }

    fn turns(&mut self, ring: &mut Ring) -> Result<(), BenchError> {
        let start_ns = self.desk.progress.span().start_ns;
        for index in 0..self.lines.len() {
            let now_ns = self.now_ns().max(start_ns);
            self.lines[index].begin(index as u32, now_ns, &mut self.desk, ring)?;
            self.set_timer(index);
        }
        let mut looked_ns = 0;
        loop {
            let now_ns = self.now_ns();
            self.wake(now_ns, ring)?;
            if self.is_over(now_ns, ring)? {
                return Ok(());
            }
            if now_ns.saturating_sub(looked_ns) >= SLEEP_NS_MAX {
                looked_ns = now_ns;
                self.lines.iter().try_for_each(|line| line.check_silence(now_ns, self.patience.answer))?;
            }
            let timeout = self.timeout(now_ns);
            ring.wait(Some(timeout)).map_err(|source| BenchError::Ring { source })?;
            while let Some(completion) = ring.next() {
                let line = self.complete(completion, ring)?;
                self.set_timer(line);
            }
        }
    }

    fn complete(&mut self, completion: Completion, ring: &mut Ring) -> Result<usize, BenchError> {
        match completion {
            Completion::Received { line, buffer, result } => {
                let now_ns = self.now_ns();
                let line = line as usize;
                self.lines[line].received(buffer, result, now_ns, &mut self.desk, ring)?;
                Ok(line)
            }
            Completion::Sent { line, gather, result } => {
                let line = line as usize;
                self.lines[line].sent(gather, result, ring)?;
                Ok(line)
            }
            Completion::Written { .. } => unreachable!("a connection writes no file"),
        }
    }

    /// Gives a turn to everyone whose moment has come.
    fn wake(&mut self, now_ns: u64, ring: &mut Ring) -> Result<(), BenchError> {
        while let Some(Reverse((due_ns, line))) = self.timers.peek().copied() {
            if due_ns > now_ns {
                return Ok(());
            }
            self.timers.pop();
            let line = line as usize;
            self.timer_of[line] = None;
            if self.lines[line].wake_ns() == Some(due_ns) {
                self.lines[line].pump(now_ns, &mut self.desk, ring)?;
                self.set_timer(line);
            }
        }
        Ok(())
    }

    fn set_timer(&mut self, line: usize) {
        let Some(due_ns) = self.lines[line].wake_ns() else { return };
        if self.timer_of[line] != Some(due_ns) {
            self.timer_of[line] = Some(due_ns);
            self.timers.push(Reverse((due_ns, line as u32)));
        }
    }

    /// Whether this thread has nothing more to do.
    fn is_over(&mut self, now_ns: u64, ring: &mut Ring) -> Result<bool, BenchError> {
        match self.desk.progress.phase() {
            Phase::Running => return Ok(self.lines.iter().all(Line::is_over)),
            Phase::Failed => return Ok(true),
            Phase::Stopping => {}
        }
        if !self.is_told {
            self.is_told = true;
            for line in 0..self.lines.len() {
                self.lines[line].pump(now_ns, &mut self.desk, ring)?;
                self.set_timer(line);
            }
        }
        let mut is_finished = true;
        for line in &mut self.lines {
            is_finished &= line.is_finished(now_ns, &mut self.desk);
        }
        if is_finished {
            return Ok(true);
        }
        let end_ns = self.desk.progress.span().end_ns;
        let is_drained = now_ns > end_ns.saturating_add(nanoseconds(self.patience.drain));
        if is_drained {
            self.lines.iter_mut().try_for_each(|line| line.give_up(now_ns, &mut self.desk))?;
        }
        Ok(is_drained)
    }

    fn timeout(&self, now_ns: u64) -> Duration {
        let rest_ns =
            self.timers.peek().map_or(SLEEP_NS_MAX, |Reverse((due_ns, _))| due_ns.saturating_sub(now_ns));
        match rest_ns {
            0..SPIN_NS => Duration::ZERO,
            _ => Duration::from_nanos((rest_ns - SPIN_NS / 2).min(SLEEP_NS_MAX)),
        }
    }

    fn now_ns(&self) -> u64 {
        self.desk.progress.clock.now_ns()
    }
}
