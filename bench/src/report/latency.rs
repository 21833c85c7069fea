//! Latencies as percentiles, as a curve, and over time.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::load::{Gain, Series};

/// Points of the curve for each halving of what is above.
const CURVE_TICKS: u32 = 4;

/// Percentiles in microseconds, to three digits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyReport {
    /// What takes so long.
    pub name: String,
    /// From when it is counted.
    pub counted_from: String,
    /// How many were counted.
    pub samples: u64,
    /// Half of them were faster.
    pub p50: f64,
    /// 90 of 100.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1,000.
    #[serde(rename = "p99.9")]
    pub p99_9: f64,
    /// 9,999 of 10,000.
    #[serde(rename = "p99.99")]
    pub p99_99: f64,
    /// The slowest.
    pub max: f64,
    /// Of all.
    pub mean: f64,
    /// Quantiles from 0 to 1, closer towards the end, and the latency there.
    pub curve: Vec<(f64, f64)>,
}

/// A part over time, from its beginning, at even steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// Length of a step.
    pub step_seconds: f64,
    /// Bytes answered in each step, in millions each second.
    pub megabytes_per_second: Vec<f64>,
    /// Median of the requests that belong to each step: of an open loop, those that were meant to leave in it.
    pub p50_us: Vec<Option<f64>>,
    /// Their 99th percentile.
    pub p99_us: Vec<Option<f64>>,
    /// The slowest of them.
    pub max_us: Vec<Option<f64>>,
}

impl LatencyReport {
    pub(crate) fn new(name: &str, counted_from: &str, latency_ns: &Histogram<u64>) -> Self {
        let at = |quantile| micros(latency_ns.value_at_quantile(quantile));
        let point = |quantile: f64| (quantile, at(quantile));
        let mut curve: Vec<(f64, f64)> =
            latency_ns.iter_quantiles(CURVE_TICKS).map(|value| point(value.quantile_iterated_to())).collect();
        // The last points are all the slowest request.
        let slowest = curve.iter().position(|(_, value)| *value >= micros(latency_ns.max()));
        curve.truncate(slowest.map_or(curve.len(), |first| first + 1));
        Self {
            name: name.to_owned(),
            counted_from: counted_from.to_owned(),
            samples: latency_ns.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: micros(latency_ns.max()),
            mean: latency_ns.mean() / 1e3,
            curve,
        }
    }
}

impl Timeline {
    pub(crate) fn new(step: Duration, elapsed: Duration, flow: &[Gain], latency: &Series) -> Self {
        let step_seconds = step.as_secs_f64();
        let steps = flow.len().max(latency.intervals.len());
        let rate = |index: usize| {
            // The last step may be cut short by the end.
            let began = step_seconds * index as f64;
            let length = step_seconds.min(elapsed.as_secs_f64() - began);
            let bytes = flow.get(index).map_or(0, |gain| gain.bytes);
            if length > step_seconds / 10.0 { bytes as f64 / length / 1e6 } else { 0.0 }
        };
        let at = |index: usize, value: fn(&Histogram<u64>) -> u64| {
            let filled = latency.intervals.get(index).and_then(Option::as_ref);
            filled.map(|histogram| micros(value(histogram)))
        };
        Self {
            step_seconds,
            megabytes_per_second: (0..steps).map(rate).collect(),
            p50_us: (0..steps).map(|index| at(index, |latency| latency.value_at_quantile(0.5))).collect(),
            p99_us: (0..steps).map(|index| at(index, |latency| latency.value_at_quantile(0.99))).collect(),
            max_us: (0..steps).map(|index| at(index, Histogram::max)).collect(),
        }
    }
}

/// Nanoseconds as microseconds, to a tenth of one.
fn micros(nanoseconds: u64) -> f64 {
    (nanoseconds as f64 / 100.0).round() / 10.0
}
