//! What was asked, by the options' names: only what has an effect in the scenario.

use std::collections::BTreeMap;

use tidemill_wire::batch::Compression;
use tidemill_wire::message::Ack;

use crate::load::Target;
use crate::options::{Options, Until};
use crate::scenario::Scenario;

/// The settings of a run.
pub(crate) fn settings(scenario: Scenario, options: &Options, target: &Target) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    let mut set = |name: &str, value: String| {
        settings.insert(name.to_owned(), value);
    };
    set("server", options.server.clone());
    if let Some(http) = &options.http {
        set("protocol", http.protocol.word().to_owned());
        set("endpoint", http.endpoint.clone());
    }
    if scenario == Scenario::Queue {
        set("queue", options.stream.to_string());
        set("backlog", options.backlog.to_string());
        set("message-bytes", options.record_bytes.to_string());
        set("batch", options.batch_records.to_string());
    } else {
        set("stream", options.stream.to_string());
    }
    if scenario != Scenario::Queue && target.queue.is_none() {
        set("shards", target.stream.shards.len().to_string());
    }
    set("connections", options.connections.to_string());
    if scenario != Scenario::Replay {
        set("warm-up", seconds(options.warm_up.as_secs_f64()));
        match options.until {
            Until::Elapsed(time) => set("duration", seconds(time.as_secs_f64())),
            Until::Bytes(bytes) => set("bytes", bytes.to_string()),
        }
    }
    if let Some(threads) = options.threads {
        set("threads", threads.to_string());
    }
    if let Some(rate) = options.rate {
        set("rate", rate.to_string());
    }
    if let Some(linger) = options.linger {
        set("linger", seconds(linger.as_secs_f64()));
    }
    if scenario.appends() {
        set("record-bytes", options.record_bytes.to_string());
        set("batch-records", options.batch_records.to_string());
        set("keys", options.keys.to_string());
        let ack = match options.ack {
            Ack::Durable => "durable",
            Ack::Written => "written",
        };
        set("ack", ack.to_owned());
        if options.compression != Compression::None {
            set("compression", options.compression.to_string());
            set("compressible", format!("{} %", options.compressible_percent));
        }
    }
    if scenario.fetches() {
        set("fetch-bytes", options.fetch_bytes.to_string());
    }
    if scenario.fills() {
        set("fill", options.fill_bytes.to_string());
    }
    if scenario.has_slots() {
        set("in-flight", options.in_flight.to_string());
    }
    settings
}

fn seconds(seconds: f64) -> String {
    format!("{seconds} s")
}
