//! The lane's clock: the wall clock, kept from falling.
//!
//! Append times, retention by age and the age of tombstones go by it. Promises that it never falls, also from one start to the next where an entry tells
//! how far it had come; that it is never behind the wall clock; and that it goes on while the wall clock has fallen back, so that records go when
//! they are over and not when the wall clock has caught up. It then runs an eighth slower, so that the two meet again. A jump forward is believed: which of two
//! times is right is not for a log to tell.

use std::{cell::Cell, time::Duration};

use tidemill_wire::Timestamp;

/// While it is ahead of the wall clock it loses one part in so many of the time that goes by.
const SLOWER_PARTS: u32 = 8;

pub(super) struct Clock {
    /// What it showed last, since the epoch.
    shown: Cell<Duration>,
    /// When that was, by the clock that never falls.
    at: Cell<Duration>,
}

impl Clock {
    /// A clock that has shown `last` before.
    pub(super) fn new(last: Timestamp, monotonic: Duration) -> Self {
        Self { shown: Cell::new(Duration::from_millis(last.0)), at: Cell::new(monotonic) }
    }

    /// The time, as the wall clock and the one that never falls show it together.
    pub(super) fn show(&self, wall: Timestamp, monotonic: Duration) -> Timestamp {
        let passed = monotonic.saturating_sub(self.at.replace(monotonic));
        let slower = self.shown.get().saturating_add(passed - passed / SLOWER_PARTS);
        let time = slower.max(Duration::from_millis(wall.0));
        self.shown.set(time);
        Timestamp(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests;
