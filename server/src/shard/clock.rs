//! The one place where the server reads the clocks.

use std::time::{Duration, Instant, SystemTime};

use tidemill_wire::Timestamp;

/// Both clocks, with a zero that all cores share. Copies are the same clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose zero is now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the home of the clock")]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Time since the zero; never falls.
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    /// The time of day.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the home of the clock")]
    pub fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}
