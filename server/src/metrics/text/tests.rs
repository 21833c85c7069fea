//! The text against a golden page, and against the rules of the format.

use std::collections::{BTreeMap, BTreeSet};

use tidemill_storage::stats::{
    GROUP_BYTES_BOUNDS, Histogram, LaneHealth, LaneStats, Setbacks, TIME_US_BOUNDS,
};
use tidemill_wire::LaneId;

use super::*;
use crate::metrics::CoreMetrics;

fn core() -> CoreMetrics {
    let metrics = CoreMetrics::default();
    metrics.connections_accepted.add(3);
    metrics.open_connections.rise();
    metrics.open_connections.rise();
    metrics.open_connections.fall();
    metrics.received_bytes.add(1 << 40);
    metrics.inflight_limit_bytes.set(256 << 20);
    metrics.count_request(Operation::Append);
    metrics.count_request(Operation::Append);
    metrics.count_request(Operation::Unsubscribe);
    metrics.count_error(ErrorCode::WriteThrottled);
    for us in [1, 16, 17, 250, 20_000_000] {
        metrics.observe_duration_us(LatencyClass::AppendDurable, us);
    }
    metrics.heartbeat_delay.observe_us(900);
    metrics
}

fn lane() -> LaneSnapshot {
    let mut flush_time_us = Histogram::new(&TIME_US_BOUNDS);
    flush_time_us.record(120);
    let mut group_bytes = Histogram::new(&GROUP_BYTES_BOUNDS);
    group_bytes.record(1 << 20);
    let stats = LaneStats {
        appended_bytes: 4_096,
        appended_entries: 2,
        appended_records: 2_000,
        groups: 1,
        flushes: 1,
        fetched_bytes: 64,
        fetches: 1,
        expiry_looks: 6,
        index_lookups: 7,
        index_tables: 9,
        expiry_lookups: 8,
        retired_segments: 0,
        created_segments: 3,
        recycled_segments: 0,
        compactions: 0,
        compacted_segments: 0,
        rewritten_bytes: 1_024,
        setbacks: Setbacks { futile: 2, ..Setbacks::default() },
        compaction_paused: true,
        checkpoints: 2,
        checkpoint_bytes: 512,
        checkpoint_failures: 3,
        checkpoint_wait_ms: 1_500,
        key_rounds: 0,
        dropped_records: 0,
        flush_time_us,
        group_time_us: Histogram::new(&TIME_US_BOUNDS),
        group_bytes,
        segments_sealed: 1,
        segments_unsealed: 1,
        segments_spare: 1,
        segments_retired: 0,
        live_bytes: 4_096,
        dead_bytes: 0,
        reserve_bytes: 0,
        disk_bytes: 768 << 20,
        queued_bytes: 0,
        owners: 4,
    };
    LaneSnapshot { lane: LaneId(5), stats, health: LaneHealth::Full { needed: 1 } }
}

fn queue() -> QueueSnapshot {
    QueueSnapshot {
        core: 0,
        queue: "work".to_owned(),
        sent: 10,
        received: 8,
        deleted: 7,
        empty_receives: 2,
        visible: 2,
        in_flight: 1,
        delayed: 0,
        oldest_age_ms: 1_500,
    }
}

fn stream_queue() -> StreamQueueSnapshot {
    StreamQueueSnapshot {
        core: 0,
        queue: "shared".to_owned(),
        received: 12,
        acknowledged: 9,
        empty_receives: 1,
        dead_received: 3,
        dead_acknowledged: 2,
        restored: 1,
        visible: 40,
        in_flight: 3,
        dead: 4,
        dead_in_flight: 1,
    }
}

fn sample(cores: u32) -> String {
    let cores = (0..cores).map(|number| core().snapshot(number)).collect();
    ServerSnapshot {
        version: "1.2.3",
        streams: 7,
        known_queues: 3,
        cores,
        lanes: vec![lane()],
        queues: vec![queue()],
        stream_queues: vec![stream_queue()],
        shards: vec![],
    }
    .into_text()
}

#[test]
fn the_text_is_the_golden_page() {
    let text = sample(1);
    let golden = include_str!("golden.txt");
    for (at, (line, expected)) in text.lines().zip(golden.lines()).enumerate() {
        assert_eq!(line, expected, "line {}", at + 1);
    }
    assert_eq!(text.lines().count(), golden.lines().count());
}

/// A sample line taken apart: name, labels, value.
fn parse(line: &str) -> (&str, BTreeMap<&str, &str>, f64) {
    let (series, value) = line.rsplit_once(' ').expect("a value after a space");
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').expect("a closing brace")),
        None => (series, ""),
    };
    let labels = labels.split(',').filter(|label| !label.is_empty()).map(|label| {
        let (key, value) = label.split_once('=').expect("a label's value");
        (key, value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).expect("quotes"))
    });
    assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{name}");
    (name, labels.collect(), value.parse().expect("a number"))
}

#[test]
fn the_text_keeps_the_rules_of_the_format() {
    let text = sample(2);
    let (mut types, mut helps, mut seen) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    let mut bucket: Option<(String, f64)> = None;
    let body = text.strip_suffix("# EOF\n").expect("the end is marked");
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help text");
            assert!(help.ends_with('.') && helps.insert(name), "{line}");
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert!(types.insert(name, kind).is_none() && helps.contains(name), "{line}");
            continue;
        }
        let (name, labels, value) = parse(line);
        assert!(name.starts_with("tidemill_") && value >= 0.0, "{line}");
        assert!(seen.insert(line.rsplit_once(' ').expect("a value").0), "{line} is there twice");
        let suffixes = ["_total", "_bucket", "_count", "_sum"];
        let family = suffixes.iter().find_map(|suffix| {
            let family = name.strip_suffix(suffix)?;
            types.get(family).map(|kind| (*suffix, *kind))
        });
        match family.unwrap_or_else(|| ("", types.get(name).copied().expect("a declared family"))) {
            ("_total", "counter") | ("", "gauge") | ("_sum", "histogram") => bucket = None,
            ("_count", "histogram") => bucket = Some((name.replace("_count", "_bucket"), value)),
            ("_bucket", "histogram") => {
                let (family, count) = bucket.as_ref().expect("the count goes before the buckets");
                assert_eq!(family, name);
                assert!(value <= *count && labels.contains_key("le"), "{line}");
                assert!(labels["le"] != "+Inf" || value == *count, "{line}");
            }
            other => panic!("{line}: {other:?}"),
        }
    }
    assert!(types.len() > 30 && seen.len() > 300, "{} families, {} series", types.len(), seen.len());
}

#[test]
fn a_server_without_cores_has_a_text_too() {
    let empty = ServerSnapshot {
        version: "1.2.3",
        streams: 0,
        known_queues: 0,
        cores: vec![],
        lanes: vec![],
        queues: vec![],
        stream_queues: vec![],
        shards: vec![],
    }
    .into_text();
    assert!(empty.ends_with("# EOF\n"));
}

#[test]
fn watched_shards_have_the_series_that_their_streams_ask_for() {
    let shard = |stream: &str, shard, incoming_bytes, age_ms| ShardSnapshot {
        stream: stream.to_owned(),
        shard,
        incoming_bytes,
        incoming_records: None,
        outgoing_bytes: None,
        outgoing_records: None,
        throttled_writes: None,
        throttled_reads: None,
        age_ms,
    };
    let shards = vec![shard("logs", 3, Some(7), None), shard("other", 0, None, Some(9))];
    let (cores, lanes, queues) = (vec![], vec![], vec![]);
    let text = ServerSnapshot {
        version: "1.2.3",
        streams: 2,
        known_queues: 0,
        cores,
        lanes,
        queues,
        stream_queues: vec![],
        shards,
    }
    .into_text();
    let of_shards: Vec<&str> = text.lines().filter(|line| line.starts_with("tidemill_shard")).collect();
    assert_eq!(
        of_shards,
        [
            "tidemill_shard_incoming_bytes_total{stream=\"logs\",shard=\"3\"} 7",
            "tidemill_shard_iterator_age_milliseconds{stream=\"other\",shard=\"0\"} 9",
        ]
    );
}
