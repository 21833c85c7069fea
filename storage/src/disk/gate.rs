//! Where cold reads wait for the disk, and durable writes are noticed.
//!
//! Owns what the decision of `pace` needs around it: the clock, the queue of those who wait, and their waking. Durable writes never wait here.
//! Leaves out what is read and written.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use super::{
    pace::{Pace, Verdict, Write},
    turns::{Turn, Turns},
};
use crate::{
    lane::{Signal, until},
    limits::COLD_TURNS,
    ring::Ring,
};

/// Clones are the same gate.
#[derive(Clone)]
pub(super) struct Gate(Rc<Inner>);

struct Inner {
    ring: Ring,
    /// Time since an arbitrary zero.
    clock: Box<dyn Fn() -> Duration>,
    pace: RefCell<Pace>,
    turns: Turns,
    changed: Signal,
}

impl Gate {
    #[expect(
        clippy::disallowed_methods,
        reason = "the real disk measures real time; the simulated one has no gate"
    )]
    pub(super) fn new(ring: Ring, floor_bytes_per_second: u64) -> Self {
        let start = Instant::now();
        Self::with_clock(ring, floor_bytes_per_second, Box::new(move || start.elapsed()))
    }

    fn with_clock(ring: Ring, floor_bytes_per_second: u64, clock: Box<dyn Fn() -> Duration>) -> Self {
        let (pace, turns) = (RefCell::new(Pace::new(floor_bytes_per_second)), Turns::new(COLD_TURNS));
        Self(Rc::new(Inner { ring, clock, pace, turns, changed: Signal::default() }))
    }

    fn now(&self) -> Duration {
        (self.0.clock)()
    }

    /// Bytes of a turn that begins about now.
    pub(super) fn turn_bytes(&self) -> usize {
        self.0.pace.borrow().turn_bytes(self.now())
    }

    /// Waits until so many bytes may be read.
    pub(super) async fn pass(&self, bytes: usize) -> Passage {
        let turn = self.0.turns.next().await;
        let asked = self.0.pace.borrow().asks();
        let verdict = || match self.0.pace.borrow().verdict(asked, self.now()) {
            Verdict::Wait => None,
            told => Some(told),
        };
        while let Verdict::Until(time) = until(&self.0.changed, verdict).await {
            self.0.ring.pause(time.saturating_sub(self.now())).await;
        }
        self.0.pace.borrow_mut().turn_begins(bytes, self.now());
        Passage { gate: self.clone(), _turn: turn }
    }

    /// Something is being made durable until this is dropped.
    pub(super) fn durable(&self) -> Durable {
        let write = self.0.pace.borrow_mut().write_begins(self.now());
        self.0.changed.notify();
        Durable { gate: self.clone(), write }
    }
}

/// A cold read that is under way.
pub(super) struct Passage {
    gate: Gate,
    _turn: Turn,
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.gate.0.pace.borrow_mut().turn_ends();
        self.gate.0.changed.notify();
    }
}

/// A write or a flush for which somebody may wait.
pub(super) struct Durable {
    gate: Gate,
    write: Write,
}

impl Drop for Durable {
    fn drop(&mut self) {
        self.gate.0.pace.borrow_mut().write_ends(self.write, self.gate.now());
        self.gate.0.changed.notify();
    }
}

#[cfg(test)]
mod tests;
