//! Time within a run, in nanoseconds since it began.

use std::time::{Duration, Instant};

/// One clock for all threads of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: Instant,
}

impl Clock {
    /// A clock that begins now.
    pub(crate) fn start() -> Self {
        Self { epoch: Instant::now() }
    }

    /// Nanoseconds since the clock began; they last for 500 years.
    pub(crate) fn now_ns(&self) -> u64 {
        nanoseconds(self.epoch.elapsed())
    }
}

/// A time as nanoseconds.
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
