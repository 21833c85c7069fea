//! The simulated wall clock: it goes with time, and jumps when it is told to.
//!
//! Owns how far it is from the right time, and what a clock that never falls may have come to by it: the bound that tests hold the engine's clock against.

use std::{cell::Cell, time::Duration};

use tidemill_wire::Timestamp;

/// Wall clock at the beginning of each world: 2026-01-01.
const EPOCH_MS: u64 = 1_767_225_600_000;

#[derive(Default)]
pub(super) struct WallClock {
    /// The right time, since the beginning.
    time: Cell<Duration>,
    /// How far ahead of it the clock is.
    error_ms: Cell<i64>,
    /// See `latest`, since the beginning.
    latest: Cell<Duration>,
}

impl WallClock {
    pub(super) fn now(&self) -> Timestamp {
        let right = EPOCH_MS.saturating_add(ms(self.time.get()));
        Timestamp(right.saturating_add_signed(self.error_ms.get()))
    }

    pub(super) fn error_ms(&self) -> i64 {
        self.error_ms.get()
    }

    /// The highest that a clock can be which went up with every jump forward, down with none, and on with time.
    pub(super) fn latest(&self) -> Timestamp {
        Timestamp(EPOCH_MS.saturating_add(ms(self.latest.get())).saturating_add(1))
    }

    pub(super) fn advance(&self, duration: Duration) {
        self.time.set(self.time.get().saturating_add(duration));
        self.latest.set(self.latest.get().saturating_add(duration));
        self.rise();
    }

    pub(super) fn jump(&self, by_ms: i64) {
        self.error_ms.set(self.error_ms.get().saturating_add(by_ms));
        self.rise();
    }

    fn rise(&self) {
        let ahead = Duration::from_millis(u64::try_from(self.error_ms.get()).unwrap_or(0));
        self.latest.set(self.latest.get().max(self.time.get().saturating_add(ahead)));
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
