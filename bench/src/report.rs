//! What a run found.
//!
//! Owns the figures and their units; `Display` is the table for people, serde the form for programs. Every figure covers the
//! measured part only, between two readings of all counters.

mod table;

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use tidemill_wire::message::{Ack, Welcome};

use crate::options::{Options, Until};

/// Which load ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Appends of batches.
    Produce,
    /// Fetches of what is stored.
    Consume,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Which load ran.
    pub command: Command,
    /// What was asked.
    pub settings: SettingsReport,
    /// Name and version that the server gave.
    pub server: String,
    /// Length of the measured part.
    pub seconds: f64,
    /// Bytes of keys and data in answered batches, as stored; offsets, headers and frames are not counted.
    pub bytes: u64,
    /// Answered records.
    pub records: u64,
    /// Answered requests, without the throttled ones.
    pub requests: u64,
    /// Millions of `bytes` in each second.
    pub megabytes_per_second: f64,
    /// `records` in each second.
    pub records_per_second: f64,
    /// `requests` in each second.
    pub requests_per_second: f64,
    /// From handing a request to its connection until its answer was read, without the throttled ones.
    pub latency_us: LatencyReport,
    /// Refusals that asked for patience.
    pub throttled: ThrottleReport,
    /// Processor time.
    pub cpu: CpuReport,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SettingsReport {
    /// Host and port.
    pub server: String,
    /// The stream's name.
    pub stream: String,
    /// Shards that the connections were dealt out to.
    pub shards: u32,
    /// Connections.
    pub connections: u32,
    /// Unanswered requests of each connection.
    pub in_flight: u32,
    /// Bytes of each record's data, for appends.
    pub record_bytes: u32,
    /// Records of each append.
    pub batch_records: u32,
    /// `durable` or `written`, for appends.
    pub ack: String,
    /// Bytes of a fetch's answer, at most.
    pub fetch_bytes: u32,
    /// Seconds of load before the measured part.
    pub warm_up_seconds: f64,
    /// Bytes after which the run was to end, if not by time.
    pub bytes: Option<u64>,
}

/// Percentiles in microseconds, to three digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LatencyReport {
    /// Half of the requests were faster.
    pub p50: u64,
    /// 90 of 100.
    pub p90: u64,
    /// 99 of 100.
    pub p99: u64,
    /// 999 of 1,000.
    #[serde(rename = "p99.9")]
    pub p99_9: u64,
    /// The slowest request.
    pub max: u64,
    /// Of all requests.
    pub mean: f64,
}

/// Refusals that asked for patience, over the whole run: each request was sent again after the time the server named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ThrottleReport {
    /// How many.
    pub answers: u64,
    /// Sum of the times the server named, in milliseconds; requests of one connection wait side by side.
    pub wait_ms: u64,
}

/// Processor time of both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CpuReport {
    /// The server's process.
    pub server: Option<CpuUse>,
    /// Why the server's is not known.
    pub server_unknown: Option<String>,
    /// The load generator's process.
    pub generator: CpuUse,
}

/// Processor time of one process.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CpuUse {
    /// In the measured part.
    pub seconds: f64,
    /// For each thousand million `bytes`; absent when there were none.
    pub seconds_per_gigabyte: Option<f64>,
    /// Cores that were busy on average.
    pub cores: f64,
}

/// The measured part as it was read off.
pub(crate) struct Measured {
    pub(crate) elapsed: Duration,
    pub(crate) bytes: u64,
    pub(crate) records: u64,
    pub(crate) requests: u64,
    pub(crate) server_cpu: Result<Duration, String>,
    pub(crate) generator_cpu: Duration,
}

impl Report {
    pub(crate) fn new(
        command: Command,
        settings: SettingsReport,
        server: &Welcome,
        measured: Measured,
        latency_us: &Histogram<u64>,
        throttled: ThrottleReport,
    ) -> Self {
        let Measured { elapsed, bytes, records, requests, server_cpu, generator_cpu } = measured;
        let seconds = elapsed.as_secs_f64();
        let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let cpu_use = |time: Duration| CpuUse {
            seconds: time.as_secs_f64(),
            seconds_per_gigabyte: (bytes > 0).then(|| time.as_secs_f64() / (bytes as f64 / 1e9)),
            cores: if seconds > 0.0 { time.as_secs_f64() / seconds } else { 0.0 },
        };
        Self {
            command,
            settings,
            server: server.server.clone(),
            seconds,
            bytes,
            records,
            requests,
            megabytes_per_second: per_second(bytes) / 1e6,
            records_per_second: per_second(records),
            requests_per_second: per_second(requests),
            latency_us: LatencyReport::new(latency_us),
            throttled,
            cpu: CpuReport {
                server: server_cpu.as_ref().ok().copied().map(cpu_use),
                server_unknown: server_cpu.err(),
                generator: cpu_use(generator_cpu),
            },
        }
    }
}

impl SettingsReport {
    pub(crate) fn new(options: &Options, shards: u32) -> Self {
        Self {
            server: options.server.clone(),
            stream: options.stream.to_string(),
            shards,
            connections: options.connections,
            in_flight: options.in_flight,
            record_bytes: options.record_bytes,
            batch_records: options.batch_records,
            ack: match options.ack {
                Ack::Durable => "durable",
                Ack::Written => "written",
            }
            .to_owned(),
            fetch_bytes: options.fetch_bytes,
            warm_up_seconds: options.warm_up.as_secs_f64(),
            bytes: match options.until {
                Until::Elapsed(_) => None,
                Until::Bytes(bytes) => Some(bytes),
            },
        }
    }
}

impl LatencyReport {
    fn new(latency_us: &Histogram<u64>) -> Self {
        let at = |quantile| latency_us.value_at_quantile(quantile);
        Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: latency_us.max(),
            mean: latency_us.mean(),
        }
    }
}

#[cfg(test)]
mod tests;
