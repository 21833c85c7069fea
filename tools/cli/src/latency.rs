//! Latencies kept one by one, for what happens thousands of times and not millions.

#[cfg(test)]
mod tests;

use std::sync::Mutex;
use std::time::Duration;

use serde::Serialize;

use crate::quantity::show_span;

/// What was measured so far. Shared by the prober and the display.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Mutex<Vec<Duration>>);

/// Percentiles in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) samples: usize,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p99_9_us: u64,
}

impl Latencies {
    /// Adds one.
    pub(crate) fn add(&self, latency: Duration) {
        self.0.lock().expect("no holder of this lock panics").push(latency);
    }

    /// The percentiles of what was measured, if anything was.
    pub(crate) fn percentiles(&self) -> Option<Percentiles> {
        let mut sorted = self.0.lock().expect("no holder of this lock panics").clone();
        sorted.sort_unstable();
        let at = |per_mille: usize| {
            // The smallest sample that so many of a thousand do not exceed.
            let rank = (sorted.len() * per_mille).div_ceil(1_000).max(1);
            let latency = sorted.get(rank - 1)?;
            u64::try_from(latency.as_micros()).ok()
        };
        Some(Percentiles { samples: sorted.len(), p50_us: at(500)?, p99_us: at(990)?, p99_9_us: at(999)? })
    }
}

impl Percentiles {
    /// `p50 120 µs, p99 1.20 ms, p99.9 3.40 ms`
    pub(crate) fn text(&self) -> String {
        let show = |micros| show_span(Duration::from_micros(micros));
        format!("p50 {}, p99 {}, p99.9 {}", show(self.p50_us), show(self.p99_us), show(self.p99_9_us))
    }
}
