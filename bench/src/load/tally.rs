//! What a thread finds: latencies and throughput, as a whole and interval by interval.

use hdrhistogram::Histogram;

use super::progress::{Flow, Gain, Span};

/// Latencies are kept up to an hour, in nanoseconds.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;
/// Digits of the whole.
const DIGITS: u8 = 3;
/// Digits of an interval: there are many of them.
const INTERVAL_DIGITS: u8 = 2;
/// Intervals that are kept; what comes later counts in the last.
const INTERVALS_MAX: usize = 600;

/// What a latency is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// A request until its answer.
    Request = 0,
    /// An append until its records have reached a subscriber.
    Delivery = 1,
    /// A request's time until the generator handed it over: its own delay.
    Lateness = 2,
    /// Messages that are sent until they are durable.
    Send = 3,
    /// A receive until its messages are there.
    Receive = 4,
    /// Messages that are deleted until that is durable.
    Delete = 5,
}

/// Latencies of one kind.
#[derive(Clone)]
pub(crate) struct Series {
    pub(crate) total: Histogram<u64>,
    /// By the moment that the latency counts from; `None` where nothing began.
    pub(crate) intervals: Vec<Option<Histogram<u64>>>,
}

/// What a thread has found.
pub(super) struct Tally {
    pub(super) series: [Series; 6],
    /// By the moment of the answer.
    pub(super) flows: [Vec<Gain>; 2],
    /// Throttled answers.
    pub(super) throttled: u64,
    /// Sum of the times that the server named.
    pub(super) wait_ms: u64,
    /// Requests that had no answer when the run ended; their latencies are at least what is recorded.
    pub(super) unfinished: u64,
    interval_ns: u64,
    /// The interval that is being filled.
    newest: usize,
}

impl Series {
    fn new() -> Self {
        Self { total: histogram(DIGITS), intervals: Vec::new() }
    }

    fn record(&mut self, interval: usize, value_ns: u64) {
        self.total.saturating_record(value_ns);
        if self.intervals.len() <= interval {
            self.intervals.resize(interval + 1, None);
        }
        self.intervals[interval]
            .get_or_insert_with(|| histogram(INTERVAL_DIGITS))
            .saturating_record(value_ns);
    }

    /// Adds another thread's.
    fn merge(&mut self, other: Self) {
        self.total.add(&other.total).expect("all histograms have the same range");
        if self.intervals.len() < other.intervals.len() {
            self.intervals.resize(other.intervals.len(), None);
        }
        for (own, other) in self.intervals.iter_mut().zip(other.intervals) {
            match (own.as_mut(), other) {
                (Some(own), Some(other)) => own.add(&other).expect("all histograms have the same range"),
                (None, other) => *own = other,
                (Some(_), None) => {}
            }
        }
    }
}

impl Tally {
    pub(super) fn new(interval_ns: u64) -> Self {
        Self {
            series: std::array::from_fn(|_| Series::new()),
            flows: [Vec::new(), Vec::new()],
            throttled: 0,
            wait_ms: 0,
            unfinished: 0,
            interval_ns: interval_ns.max(1),
            newest: 0,
        }
    }

    /// Notes a latency that counts from `from_ns`. Returns the 99th percentile of an interval that is complete with this.
    pub(super) fn latency(
        &mut self,
        measure: Measure,
        span: Span,
        from_ns: u64,
        value_ns: u64,
    ) -> Option<u64> {
        let interval = self.interval(span, from_ns);
        let series = &mut self.series[measure as usize];
        series.record(interval, value_ns.max(1));
        if measure == Measure::Lateness || interval <= self.newest {
            return None;
        }
        let complete = series.intervals.get(self.newest)?.as_ref()?.value_at_quantile(0.99);
        self.newest = interval;
        Some(complete)
    }

    /// Notes answered work if it was answered in the measured part.
    pub(super) fn gain(&mut self, flow: Flow, span: Span, now_ns: u64, gain: Gain) {
        if !span.contains(now_ns) {
            return;
        }
        let interval = self.interval(span, now_ns);
        let flow = &mut self.flows[flow as usize];
        if flow.len() <= interval {
            flow.resize(interval + 1, Gain::default());
        }
        flow[interval].add(gain);
    }

    fn interval(&self, span: Span, at_ns: u64) -> usize {
        let index = at_ns.saturating_sub(span.begin_ns) / self.interval_ns;
        usize::try_from(index).unwrap_or(usize::MAX).min(INTERVALS_MAX - 1)
    }

    /// Adds another thread's.
    pub(super) fn merge(&mut self, other: Self) {
        for (own, other) in self.series.iter_mut().zip(other.series) {
            own.merge(other);
        }
        for (own, other) in self.flows.iter_mut().zip(other.flows) {
            own.resize(own.len().max(other.len()), Gain::default());
            own.iter_mut().zip(other).for_each(|(own, other)| own.add(other));
        }
        self.throttled += other.throttled;
        self.wait_ms += other.wait_ms;
        self.unfinished += other.unfinished;
    }
}

fn histogram(digits: u8) -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, digits).expect("the bounds are constants that suit")
}
