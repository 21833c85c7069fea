//! When a cold read may go to the disk, and how much of it at a time.
//!
//! A flush waits behind whatever reads are in the disk's queue, so while something is being made durable cold reads leave the disk room: one turn at a time,
//! begun when no durable write is in flight, and as large as leaves the durable writes about as fast as they are without. How fast that is is measured: by
//! writes that meet no read, for which reads pause now and then. A replay gets its floor whatever the disk does, and all of the disk where nobody
//! asks for durability. A pure decision: times are passed in, and waiting is the caller's. Leaves out the disks of other cores.

use std::time::Duration;

use crate::limits::{
    COLD_TURN_BYTES, COLD_TURN_BYTES_MAX, COLD_TURN_BYTES_MIN, COLD_TURN_BYTES_STEP, COLD_TURNS,
    COLD_WRITES_PASSED_MAX,
};

/// Durable writes are going on for so long after one.
const ACTIVE: Duration = Duration::from_millis(100);
/// What a replay got above its floor counts for so long.
const FLOOR_WINDOW: Duration = Duration::from_millis(250);
/// Writes beside reads after which the size of a turn is thought over.
const ROUND_WRITES: usize = 64;
/// Writes that met no read, of those that are remembered. With fewer nothing is compared.
const ALONE_WRITES_MIN: usize = 8;
/// In a round with fewer writes that met no read, reads pause at its end for one part in `PAUSE_PARTS` of its time.
const ALONE_WRITES_PER_ROUND: usize = 4;
/// See [`ALONE_WRITES_PER_ROUND`].
const PAUSE_PARTS: u32 = 16;
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// What the median beside reads may be of the median without. The 99th percentiles follow with some distance.
const GOAL_PERCENT: u64 = 110;

/// The state of one core's disk.
pub(super) struct Pace {
    floor_bytes_per_second: u64,
    writes: usize,
    writes_begun: u64,
    turns: usize,
    turns_begun: u64,
    /// Until when durable writes count as going on.
    active_until: Duration,
    /// When the floor is due.
    due: Duration,
    turn_bytes: usize,
    round: Round,
}

/// What is measured.
struct Round {
    start: Duration,
    /// Until when reads pause.
    pause_until: Duration,
    /// Times of writes in this round that met a read.
    beside: Samples<ROUND_WRITES>,
    /// Times of the last writes that met none.
    alone: Samples<32>,
    alone_in_round: usize,
}

/// A durable write in flight.
#[derive(Clone, Copy)]
pub(super) struct Write {
    start: Duration,
    met_read: bool,
    turns_begun: u64,
}

/// Somebody who waits for a turn.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    writes_begun: u64,
}

/// What comes of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Go,
    /// Until a write or a turn begins or ends.
    Wait,
    /// Until a time.
    Until(Duration),
}

impl Pace {
    pub(super) fn new(floor_bytes_per_second: u64) -> Self {
        Self {
            floor_bytes_per_second: floor_bytes_per_second.max(1),
            writes: 0,
            writes_begun: 0,
            turns: 0,
            turns_begun: 0,
            active_until: Duration::ZERO,
            due: Duration::ZERO,
            turn_bytes: COLD_TURN_BYTES / 2,
            round: Round {
                start: Duration::ZERO,
                pause_until: Duration::ZERO,
                beside: Samples::default(),
                alone: Samples::default(),
                alone_in_round: 0,
            },
        }
    }

    /// Bytes of the next turns.
    pub(super) fn turn_bytes(&self, now: Duration) -> usize {
        if self.is_active(now) { self.turn_bytes } else { COLD_TURN_BYTES }
    }

    pub(super) fn write_begins(&mut self, now: Duration) -> Write {
        if !self.is_active(now) {
            // What went on before the pause tells little about now.
            self.round.begin(now);
        }
        self.writes += 1;
        self.writes_begun += 1;
        Write { start: now, met_read: self.turns > 0, turns_begun: self.turns_begun }
    }

    pub(super) fn write_ends(&mut self, write: Write, now: Duration) {
        self.writes -= 1;
        self.active_until = now + ACTIVE;
        let took = now.saturating_sub(write.start);
        if write.met_read || self.turns_begun != write.turns_begun {
            self.round.beside.push(took);
        } else {
            self.round.alone.push(took);
            self.round.alone_in_round += 1;
        }
        if self.round.beside.count() >= ROUND_WRITES {
            self.adjust();
            if self.round.alone_in_round < ALONE_WRITES_PER_ROUND {
                let elapsed = now.saturating_sub(self.round.start);
                self.round.pause_until = now + (elapsed / PAUSE_PARTS).min(PAUSE_MAX);
            }
            self.round.begin(now);
        }
    }

    pub(super) fn asks(&self) -> Asked {
        Asked { writes_begun: self.writes_begun }
    }

    /// Whether a turn may begin now.
    pub(super) fn verdict(&self, asked: Asked, now: Duration) -> Verdict {
        let turns_max = if self.is_active(now) { 1 } else { COLD_TURNS };
        let passed = self.writes_begun - asked.writes_begun;
        if self.turns >= turns_max {
            Verdict::Wait
        } else if !self.is_active(now) || now >= self.due {
            Verdict::Go
        } else if now < self.round.pause_until {
            Verdict::Until(self.round.pause_until.min(self.due))
        } else if self.writes == 0 || passed >= COLD_WRITES_PASSED_MAX {
            Verdict::Go
        } else {
            Verdict::Wait
        }
    }

    pub(super) fn turn_begins(&mut self, bytes: usize, now: Duration) {
        self.turns += 1;
        self.turns_begun += 1;
        let nanos = u128::from(bytes as u64) * 1_000_000_000 / u128::from(self.floor_bytes_per_second);
        let owed = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.due = self.due.max(now).saturating_add(owed).min(now + FLOOR_WINDOW);
    }

    pub(super) fn turn_ends(&mut self) {
        self.turns -= 1;
    }

    fn is_active(&self, now: Duration) -> bool {
        self.writes > 0 || now < self.active_until
    }

    /// A step more while durable writes are as fast as they shall be, and a quarter less when they are not.
    fn adjust(&mut self) {
        let (Some(beside), Some(alone)) =
            (self.round.beside.median(ROUND_WRITES), self.round.alone.median(ALONE_WRITES_MIN))
        else {
            return;
        };
        let wanted = if beside * 100 <= alone * GOAL_PERCENT {
            self.turn_bytes + COLD_TURN_BYTES_STEP
        } else {
            self.turn_bytes / COLD_TURN_BYTES_STEP * 3 / 4 * COLD_TURN_BYTES_STEP
        };
        self.turn_bytes = wanted.clamp(COLD_TURN_BYTES_MIN, COLD_TURN_BYTES_MAX);
    }
}

impl Round {
    fn begin(&mut self, now: Duration) {
        self.start = now;
        self.beside = Samples::default();
        self.alone_in_round = 0;
    }
}

/// The last `N` times, in microseconds.
struct Samples<const N: usize> {
    micros: [u64; N],
    pushed: usize,
}

impl<const N: usize> Default for Samples<N> {
    fn default() -> Self {
        Self { micros: [0; N], pushed: 0 }
    }
}

impl<const N: usize> Samples<N> {
    fn push(&mut self, time: Duration) {
        // An hour, and products of it stay far below what a number holds.
        let micros = time.min(Duration::from_secs(3600)).as_micros();
        self.micros[self.pushed % N] = u64::try_from(micros).expect("an hour has few microseconds");
        self.pushed += 1;
    }

    fn count(&self) -> usize {
        self.pushed.min(N)
    }

    /// `None` with fewer than `least` times.
    fn median(&self, least: usize) -> Option<u64> {
        let mut sorted = self.micros;
        let some = sorted.get_mut(..self.count()).filter(|some| some.len() >= least.max(1))?;
        some.sort_unstable();
        some.get(some.len() / 2).copied()
    }
}

#[cfg(test)]
mod tests;
