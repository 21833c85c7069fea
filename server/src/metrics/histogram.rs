//! Counts of durations by fixed buckets.

use std::cell::Cell;

/// Buckets with a bound.
const BOUNDS: usize = 21;

/// Upper bounds in microseconds, each twice the one before: from 16 µs, below which no request is answered
/// over a socket, to 16.8 s, beyond which nobody waits.
const BOUNDS_US: [u64; BOUNDS] = {
    let mut bounds = [16; BOUNDS];
    let mut at = 1;
    while at < BOUNDS {
        bounds[at] = bounds[at - 1] * 2;
        at += 1;
    }
    bounds
};

/// Durations in microseconds by bucket; written by one core.
#[derive(Debug)]
pub struct Histogram {
    counts: [Cell<u64>; BOUNDS + 1],
    sum_us: Cell<u64>,
}

/// A histogram at one moment, of durations or of anything else that has buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// Upper bounds, inclusive, of all buckets but the last.
    pub bounds: &'static [u64],
    /// Values in each bucket, not cumulated; one more than there are bounds.
    pub counts: Vec<u64>,
    /// Sum of all values.
    pub sum: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [const { Cell::new(0) }; BOUNDS + 1], sum_us: Cell::new(0) }
    }
}

impl Histogram {
    /// Counts a duration.
    pub fn observe_us(&self, us: u64) {
        let bucket = &self.counts[bucket_of(us)];
        bucket.set(bucket.get().wrapping_add(1));
        self.sum_us.set(self.sum_us.get().wrapping_add(us));
    }

    /// What has been counted so far.
    pub fn snapshot(&self) -> HistogramSnapshot {
        let counts = self.counts.iter().map(Cell::get).collect();
        HistogramSnapshot { bounds: &BOUNDS_US, counts, sum: self.sum_us.get() }
    }
}

/// The first bucket whose bound is not below the value; the last one if there is none.
fn bucket_of(us: u64) -> usize {
    let doublings = us.saturating_sub(1).checked_ilog2().map_or(0, |log| log + 1);
    let beyond_first = doublings.saturating_sub(BOUNDS_US[0].ilog2());
    usize::try_from(beyond_first).unwrap_or(BOUNDS).min(BOUNDS)
}

impl From<&tidemill_storage::stats::Histogram> for HistogramSnapshot {
    fn from(histogram: &tidemill_storage::stats::Histogram) -> Self {
        Self { bounds: histogram.bounds, counts: histogram.counts.to_vec(), sum: histogram.sum }
    }
}

#[cfg(test)]
mod tests;
