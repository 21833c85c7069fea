//! What a run found.
//!
//! Owns the figures and their units; `Display` is the table for people, serde the form for programs and for comparing runs. Every figure of a
//! part covers its measured time only, between two readings of all counters.

mod latency;
mod machine;
mod settings;
mod table;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

pub use latency::{LatencyReport, Timeline};
pub use machine::MachineReport;
pub(crate) use settings::settings;
pub(crate) use table::{grouped, rounded, significant, time};

use crate::load::{Flow, Found, Gain, Measured, Target};
use crate::options::Options;
use crate::scenario::Scenario;

/// The layout of the JSON form.
pub(crate) const FORMAT: u32 = 1;

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this layout.
    pub format: u32,
    /// Which load ran.
    pub scenario: Scenario,
    /// How the generator spoke to the server.
    pub protocol: String,
    /// What was asked, as far as it has an effect, by the options' names.
    pub settings: BTreeMap<String, String>,
    /// Name and version that the server gave.
    pub server: String,
    /// Name, version and build of the generator.
    pub generator: String,
    /// Where the generator ran.
    pub machine: MachineReport,
    /// When the run ended, in seconds since 1970.
    pub unix_seconds: u64,
    /// What was measured, in its order.
    pub parts: Vec<PartReport>,
    /// Where a ramp found the knee.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub knee: Option<Knee>,
    /// How exact quotas were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quota: Vec<QuotaReport>,
    /// What connections cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryReport>,
    /// What the machine could do at that moment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ceilings: Vec<CeilingShare>,
}

/// One measured part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartReport {
    /// What it is called: the scenario, or the step of it.
    pub name: String,
    /// Length of the measured part.
    pub seconds: f64,
    /// Requests that an open loop offered each second.
    pub offered_per_second: Option<f64>,
    /// What was answered.
    #[serde(flatten)]
    pub answered: FlowReport,
    /// What was read meanwhile, by subscribers or by fetches.
    pub delivered: Option<FlowReport>,
    /// Latencies of each kind.
    pub latency_us: Vec<LatencyReport>,
    /// How late the generator itself was, in an open loop: requests that had a free slot, from their time until they were handed over.
    pub lateness_us: Option<LatencyReport>,
    /// Refusals that asked for patience.
    pub throttled: ThrottleReport,
    /// Requests of an open loop that had no answer at the end; their latencies are at least what is counted.
    pub unfinished: u64,
    /// Processor time.
    pub cpu: CpuReport,
    /// The same over time.
    pub timeline: Timeline,
}

/// Records that went one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FlowReport {
    /// Bytes of keys and data in answered batches, as stored; offsets, headers and frames are not counted.
    pub bytes: u64,
    /// Answered records.
    pub records: u64,
    /// Answered requests, without the throttled ones; pushed batches for subscribers.
    pub requests: u64,
    /// Millions of `bytes` in each second.
    pub megabytes_per_second: f64,
    /// `records` in each second.
    pub records_per_second: f64,
    /// `requests` in each second.
    pub requests_per_second: f64,
}

/// Refusals that asked for patience, over the whole part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThrottleReport {
    /// How many.
    pub answers: u64,
    /// Sum of the times the server named, in milliseconds; requests of one connection wait side by side.
    pub wait_ms: u64,
}

/// Processor time of both sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CpuReport {
    /// The server's process.
    pub server: Option<CpuUse>,
    /// Why the server's is not known.
    pub server_unknown: Option<String>,
    /// The load generator's process.
    pub generator: CpuUse,
}

/// Processor time of one process.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CpuUse {
    /// In the measured part.
    pub seconds: f64,
    /// For each thousand million bytes that were answered; absent when there were none.
    pub seconds_per_gigabyte: Option<f64>,
    /// For each million requests that were answered; absent when there were none.
    pub seconds_per_million_requests: Option<f64>,
    /// For each million messages of a queue that were sent, received and deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_per_million_messages: Option<f64>,
    /// Cores that were busy on average.
    pub cores: f64,
}

/// Where a ramp found the knee.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Knee {
    /// The step's name; none when not even the first was kept up with.
    pub part: Option<String>,
    /// What makes a step the knee.
    pub rule: String,
}

/// How exact one quota was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuotaReport {
    /// `in` or `out`.
    pub direction: String,
    /// What was admitted each second.
    pub admitted_per_second: f64,
    /// What the quota allows each second.
    pub allowed_per_second: f64,
    /// How far the one is from the other, in percent of the other.
    pub error_percent: f64,
}

/// What connections cost the server.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryReport {
    /// Subscribed connections.
    pub connections: u64,
    /// Anonymous memory of the server's process before they were opened.
    pub before_bytes: u64,
    /// And after.
    pub after_bytes: u64,
    /// The difference for each of them.
    pub bytes_per_connection: f64,
}

/// What the machine could do at that moment, and which share of it the run was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CeilingShare {
    /// Of what.
    pub name: String,
    /// Right before the run, in millions of bytes each second.
    pub before: f64,
    /// Right after it.
    pub after: f64,
    /// The run's throughput in percent of their mean.
    pub share_percent: f64,
}

impl Report {
    /// A report with what every scenario has.
    pub(crate) fn new(scenario: Scenario, options: &Options, target: &Target, found: &[Found]) -> Self {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            format: FORMAT,
            scenario,
            protocol: options.http.as_ref().map_or("native", |http| http.protocol.word()).to_owned(),
            settings: settings(scenario, options, target),
            server: target.welcome.server.clone(),
            generator: generator(),
            machine: MachineReport::read(),
            unix_seconds: unix.as_secs(),
            parts: found.iter().map(PartReport::new).collect(),
            knee: None,
            quota: Vec::new(),
            memory: None,
            ceilings: Vec::new(),
        }
    }
}

/// Name, version and build.
fn generator() -> String {
    let build = if cfg!(debug_assertions) { " (debug build)" } else { "" };
    format!("tidemill-bench {}{build}", env!("CARGO_PKG_VERSION"))
}

impl PartReport {
    pub(crate) fn new(found: &Found) -> Self {
        let Measured { elapsed, flows, server_cpu, generator_cpu } = &found.measured;
        let (request, other) = match found.flow {
            Flow::In => ("append", Flow::Out),
            Flow::Out => ("fetch", Flow::In),
        };
        let answered = flows[found.flow as usize];
        let delivered = flows[other as usize];
        let has_messages = found.steps.iter().any(|series| !series.total.is_empty());
        let cpu_use = |time: Duration| CpuUse::new(time, *elapsed, answered, has_messages);
        let open = if found.offered_per_second.is_some() { "its intended time" } else { "being handed over" };
        let [send, receive, delete] = &found.steps;
        let kinds = [
            (request, open, &found.requests),
            ("end to end", open, &found.deliveries),
            ("send", open, send),
            ("receive", open, receive),
            ("delete", open, delete),
        ];
        let filled = kinds.into_iter().filter(|(_, _, series)| !series.total.is_empty());
        let latency_us: Vec<_> =
            filled.map(|(name, from, series)| LatencyReport::new(name, from, &series.total)).collect();
        let has_lateness = found.offered_per_second.is_some() && !found.lateness.total.is_empty();
        let shown = match (has_messages, found.deliveries.total.is_empty()) {
            (true, _) => &found.steps[1],
            (false, true) => &found.requests,
            (false, false) => &found.deliveries,
        };
        Self {
            name: found.name.clone(),
            seconds: elapsed.as_secs_f64(),
            offered_per_second: found.offered_per_second,
            answered: FlowReport::new(answered, *elapsed),
            delivered: (delivered != Gain::default()).then(|| FlowReport::new(delivered, *elapsed)),
            latency_us,
            lateness_us: has_lateness
                .then(|| LatencyReport::new("generator", "its due time", &found.lateness.total)),
            throttled: ThrottleReport { answers: found.throttled, wait_ms: found.wait_ms },
            unfinished: found.unfinished,
            cpu: CpuReport {
                server: server_cpu.as_ref().ok().copied().map(cpu_use),
                server_unknown: server_cpu.as_ref().err().cloned(),
                generator: cpu_use(*generator_cpu),
            },
            timeline: Timeline::new(found.interval, *elapsed, &found.timeline[found.flow as usize], shown),
        }
    }

    /// The latency that the scenario is about: the last of its kinds.
    #[must_use]
    pub fn main_latency(&self) -> Option<&LatencyReport> {
        self.latency_us.last()
    }
}

impl FlowReport {
    pub(crate) fn new(gain: Gain, elapsed: Duration) -> Self {
        let seconds = elapsed.as_secs_f64();
        let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        Self {
            bytes: gain.bytes,
            records: gain.records,
            requests: gain.requests,
            megabytes_per_second: per_second(gain.bytes) / 1e6,
            records_per_second: per_second(gain.records),
            requests_per_second: per_second(gain.requests),
        }
    }
}

impl CpuUse {
    fn new(time: Duration, elapsed: Duration, answered: Gain, has_messages: bool) -> Self {
        let seconds = time.as_secs_f64();
        let per = |count: u64, unit: f64| (count > 0).then(|| seconds / (count as f64 / unit));
        Self {
            seconds,
            seconds_per_gigabyte: per(answered.bytes, 1e9),
            seconds_per_million_requests: per(answered.requests, 1e6),
            seconds_per_million_messages: per(answered.records, 1e6).filter(|_| has_messages),
            cores: if elapsed.is_zero() { 0.0 } else { seconds / elapsed.as_secs_f64() },
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
