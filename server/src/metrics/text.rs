//! The OpenMetrics text of a snapshot; the only home of the `prometheus-client` crate.
//!
//! That crate's own counters are shared and atomic, which the request path must not pay for; so only its
//! encoder is used, over snapshots.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use tidemill_wire::message::ErrorCode;

use super::core::{self, CoreSnapshot};
use super::histogram::HistogramSnapshot;
use super::lane::{self, LaneSnapshot};
use super::operation::{LatencyClass, Operation};
use super::queue::{self, QueueSnapshot};
use super::shard::{self, ShardSnapshot};
use super::stream_queue::{self, StreamQueueSnapshot};

/// The media type of the text, for the answer's header.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Every name begins with this and an underscore.
const PREFIX: &str = "tidemill";

/// Microseconds in the base unit of time.
const US_PER_SECOND: u32 = 1_000_000;

/// The numbers of a whole server at one moment.
#[derive(Debug, Clone)]
pub struct ServerSnapshot {
    /// Version of the server.
    pub version: &'static str,
    /// Streams in the catalog.
    pub streams: u64,
    /// Queues in the catalog.
    pub known_queues: u64,
    /// One snapshot per core.
    pub cores: Vec<CoreSnapshot>,
    /// One snapshot per lane.
    pub lanes: Vec<LaneSnapshot>,
    /// The busiest queues of each core.
    pub queues: Vec<QueueSnapshot>,
    /// The queues over streams that each core was asked for.
    pub stream_queues: Vec<StreamQueueSnapshot>,
    /// One snapshot per shard that is watched.
    pub shards: Vec<ShardSnapshot>,
}

type Labels = Vec<(&'static str, String)>;

impl ServerSnapshot {
    /// The text that `/metrics` answers.
    pub fn into_text(self) -> String {
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(self));
        let mut out = String::new();
        text::encode(&mut out, &registry).expect("writing to a string cannot fail");
        out
    }
}

impl Collector for ServerSnapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families { encoder };
        self.encode_server(&mut families)?;
        self.encode_cores(&mut families)?;
        self.encode_requests(&mut families)?;
        self.encode_lanes(&mut families)?;
        self.encode_queues(&mut families)?;
        self.encode_stream_queues(&mut families)?;
        self.encode_shards(&mut families)
    }
}

impl ServerSnapshot {
    fn encode_server(&self, families: &mut Families<'_>) -> fmt::Result {
        let build = vec![("version", self.version.to_owned())];
        families.gauge("build_info", "Version of the server.", [(build, 1)])?;
        families.gauge("streams", "Streams in the catalog.", [(vec![], self.streams)])?;
        families.gauge("queues", "Queues in the catalog.", [(vec![], self.known_queues)])
    }

    fn encode_cores(&self, families: &mut Families<'_>) -> fmt::Result {
        for (name, help, value) in core::COUNTERS {
            families.counter(name, help, self.cores.iter().map(|core| (of_core(core), value(core))))?;
        }
        for (name, help, value) in core::GAUGES {
            families.gauge(name, help, self.cores.iter().map(|core| (of_core(core), value(core))))?;
        }
        let delays = self.cores.iter().map(|core| (of_core(core), core.heartbeat_delay.clone()));
        families.histogram("heartbeat_delay_seconds", "How late each heartbeat came.", US_PER_SECOND, delays)
    }

    fn encode_requests(&self, families: &mut Families<'_>) -> fmt::Result {
        let requests = self.cores.iter().flat_map(|core| {
            let operations = Operation::ALL.iter().zip(core.requests);
            operations.map(|(operation, count)| (and(of_core(core), "operation", operation.as_str()), count))
        });
        families.counter("requests", "Requests by operation.", requests)?;
        let errors = self.cores.iter().flat_map(|core| {
            let codes = ErrorCode::ALL.iter().zip(core.errors);
            codes.map(|(code, count)| (and(of_core(core), "code", code.as_str()), count))
        });
        families.counter("errors", "Refusals by error code.", errors)?;
        let durations = self.cores.iter().flat_map(|core| {
            let classes = LatencyClass::ALL.iter().zip(&core.durations);
            classes.map(|(class, times)| (and(of_core(core), "class", class.as_str()), times.clone()))
        });
        families.histogram(
            "request_duration_seconds",
            "Time from request to answer.",
            US_PER_SECOND,
            durations,
        )
    }

    fn encode_queues(&self, families: &mut Families<'_>) -> fmt::Result {
        if self.queues.is_empty() {
            return Ok(());
        }
        for (name, help, value) in queue::COUNTERS {
            families.counter(name, help, self.queues.iter().map(|queue| (of_queue(queue), value(queue))))?;
        }
        for (name, help, value) in queue::GAUGES {
            families.gauge(name, help, self.queues.iter().map(|queue| (of_queue(queue), value(queue))))?;
        }
        Ok(())
    }

    fn encode_stream_queues(&self, families: &mut Families<'_>) -> fmt::Result {
        if self.stream_queues.is_empty() {
            return Ok(());
        }
        for (name, help, value) in stream_queue::COUNTERS {
            let shown = self.stream_queues.iter().map(|queue| (of_stream_queue(queue), value(queue)));
            families.counter(name, help, shown)?;
        }
        for (name, help, value) in stream_queue::GAUGES {
            let shown = self.stream_queues.iter().map(|queue| (of_stream_queue(queue), value(queue)));
            families.gauge(name, help, shown)?;
        }
        Ok(())
    }

    fn encode_shards(&self, families: &mut Families<'_>) -> fmt::Result {
        // Families that nobody has asked for are left out.
        if self.shards.is_empty() {
            return Ok(());
        }
        for (name, help, value) in shard::COUNTERS {
            let shown = self.shards.iter().filter_map(|shard| Some((of_shard(shard), value(shard)?)));
            families.counter(name, help, shown)?;
        }
        for (name, help, value) in shard::GAUGES {
            let shown = self.shards.iter().filter_map(|shard| Some((of_shard(shard), value(shard)?)));
            families.gauge(name, help, shown)?;
        }
        Ok(())
    }

    fn encode_lanes(&self, families: &mut Families<'_>) -> fmt::Result {
        for (name, help, value) in lane::COUNTERS {
            families.counter(
                name,
                help,
                self.lanes.iter().map(|lane| (of_lane(lane), value(&lane.stats))),
            )?;
        }
        let setbacks = self.lanes.iter().flat_map(|lane| {
            lane::SETBACKS
                .iter()
                .map(|(reason, value)| (and(of_lane(lane), "reason", reason), value(&lane.stats)))
        });
        families.counter("compaction_setbacks", "Compactions that were given up, by reason.", setbacks)?;
        let amplification = self.lanes.iter().map(|lane| (of_lane(lane), lane.stats.write_amplification()));
        families.ratio(
            "write_amplification_ratio",
            "(appended + rewritten) / appended bytes since the start.",
            amplification,
        )?;
        for (name, help, value) in lane::GAUGES {
            families.gauge(name, help, self.lanes.iter().map(|lane| (of_lane(lane), value(&lane.stats))))?;
        }
        let segments = self.lanes.iter().flat_map(|lane| {
            lane::SEGMENTS
                .iter()
                .map(|(state, value)| (and(of_lane(lane), "state", state), value(&lane.stats)))
        });
        families.gauge("segments", "Segments by state.", segments)?;
        let health = self.lanes.iter().flat_map(|lane| {
            let present = lane::health_of(&lane.health);
            lane::HEALTH
                .iter()
                .map(move |state| (and(of_lane(lane), "state", state), u64::from(*state == present)))
        });
        families.gauge("lane_health", "1 for the state that the lane is in, 0 for the others.", health)?;
        for (name, help, per_unit, value) in lane::HISTOGRAMS {
            let histograms = self.lanes.iter().map(|lane| (of_lane(lane), value(&lane.stats).into()));
            families.histogram(name, help, *per_unit, histograms)?;
        }
        Ok(())
    }
}

fn of_core(core: &CoreSnapshot) -> Labels {
    vec![("core", core.core.to_string())]
}

fn of_queue(queue: &QueueSnapshot) -> Labels {
    vec![("core", queue.core.to_string()), ("queue", queue.queue.clone())]
}

fn of_stream_queue(queue: &StreamQueueSnapshot) -> Labels {
    vec![("core", queue.core.to_string()), ("queue", queue.queue.clone())]
}

fn of_shard(shard: &ShardSnapshot) -> Labels {
    vec![("stream", shard.stream.clone()), ("shard", shard.shard.to_string())]
}

fn of_lane(lane: &LaneSnapshot) -> Labels {
    vec![("lane", lane.lane.to_string())]
}

fn and(mut labels: Labels, name: &'static str, value: &str) -> Labels {
    labels.push((name, value.to_owned()));
    labels
}

/// Writes families of samples.
struct Families<'a> {
    encoder: DescriptorEncoder<'a>,
}

impl Families<'_> {
    fn counter(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, u64)>,
    ) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in samples {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, u64)>,
    ) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            // The empty set of braces that no labels would give is left out.
            if labels.is_empty() {
                family.encode_gauge(&value)?;
            } else {
                family.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }

    fn ratio(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        per_unit: u32,
        samples: impl IntoIterator<Item = (Labels, HistogramSnapshot)>,
    ) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, histogram) in samples {
            encode_histogram(family.encode_family(&labels)?, per_unit, &histogram)?;
        }
        Ok(())
    }
}

/// The text has floating numbers; what is counted stays whole until here.
#[allow(clippy::cast_precision_loss)]
fn encode_histogram(
    mut encoder: MetricEncoder<'_>,
    per_unit: u32,
    histogram: &HistogramSnapshot,
) -> fmt::Result {
    let in_units = |value: u64| value as f64 / f64::from(per_unit);
    let bounds = histogram.bounds.iter().map(|bound| in_units(*bound)).chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(histogram.counts.iter().copied()).collect();
    let count = histogram.counts.iter().sum();
    encoder.encode_histogram::<NoLabelSet>(in_units(histogram.sum), count, &buckets, None)
}

#[cfg(test)]
mod tests;
