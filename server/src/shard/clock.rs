//! The one place where the server reads the clocks.

use std::time::{Duration, Instant, SystemTime};

use tidemill_wire::Timestamp;

/// Both clocks, with a zero that all cores share. Copies are the same clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    /// By how much a test has put it forward.
    #[cfg(test)]
    ahead: Duration,
}

impl Clock {
    /// A clock whose zero is now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the home of the clock")]
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
            #[cfg(test)]
            ahead: Duration::ZERO,
        }
    }

    /// Time since the zero; never falls.
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        let elapsed = self.start.elapsed();
        #[cfg(test)]
        let elapsed = elapsed + self.ahead;
        elapsed
    }

    /// The same clock when so much more time has passed.
    #[cfg(test)]
    pub(super) fn later(self, time: Duration) -> Self {
        Self { ahead: self.ahead + time, ..self }
    }

    /// The time of day.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the home of the clock")]
    pub fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}
