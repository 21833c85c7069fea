//! Percentiles, rates and both forms of the report.

use std::time::Duration;

use hdrhistogram::Histogram;
use tidemill_wire::message::{Ack, Welcome};

use super::{Command, LatencyReport, Measured, Report, SettingsReport, ThrottleReport};
use crate::options::{Options, Until};

fn report(command: Command, change: impl FnOnce(&mut Measured)) -> Report {
    let mut options = Options::new("localhost:7600", "bench".parse().unwrap());
    (options.connections, options.ack, options.until) = (4, Ack::Written, Until::Bytes(5_000_000_000));
    let welcome = Welcome {
        version: 1,
        server: "tidemill 0.1.0".to_owned(),
        node: 1,
        core: 0,
        frame_bytes_max: 1 << 24,
        in_flight_max: 1_024,
        lanes: Vec::new(),
    };
    let mut measured = Measured {
        elapsed: Duration::from_millis(2_500),
        bytes: 5_000_000_000,
        records: 5_000_000,
        requests: 5_000,
        server_cpu: Ok(Duration::from_millis(2_250)),
        generator_cpu: Duration::from_millis(1_000),
    };
    change(&mut measured);
    let mut latency = Histogram::new(3).unwrap();
    for value in 1..=1_000 {
        latency.record(value * 10).unwrap();
    }
    let throttled = ThrottleReport { answers: 1, wait_ms: 1_200 };
    Report::new(command, SettingsReport::new(&options, 2), &welcome, measured, &latency, throttled)
}

#[test]
fn percentiles_are_right_to_three_digits() {
    let mut latency = Histogram::new(3).unwrap();
    for value in 1..=100_000_u64 {
        latency.record(value).unwrap();
    }
    let found = LatencyReport::new(&latency);
    for (found, expected) in [
        (found.p50, 50_000),
        (found.p90, 90_000),
        (found.p99, 99_000),
        (found.p99_9, 99_900),
        (found.max, 100_000),
    ] {
        assert!(found.abs_diff(expected) <= expected / 1_000, "{found} for {expected}");
    }
    assert_eq!(LatencyReport::new(&Histogram::new(3).unwrap()), LatencyReport::default());
}

#[test]
fn the_table_names_every_figure_with_its_unit() {
    let expected = "\
produce     4 connections × 8 in flight, 1,000 × 1,000 B per append, written
server      tidemill 0.1.0 at localhost:7600, stream bench of 2 shards
measured    2.50 s after 1.00 s of warm-up: 5,000,000,000 bytes, 5,000,000 records, 5,000 requests
throughput  2,000 MB/s, 2,000,000 records/s, 2,000 requests/s
latency     p50 5.00 ms, p90 9.01 ms, p99 9.90 ms, p99.9 9.99 ms, max 10.0 ms
cpu         server 0.450 s/GB, 0.90 cores (2.25 s)
            generator 0.200 s/GB, 0.40 cores (1.00 s)
throttled   1 answer, 1,200 ms of waiting in all";
    assert_eq!(report(Command::Produce, |_| {}).to_string(), expected);
}

#[test]
fn a_run_without_answers_has_no_rates_and_divides_by_nothing() {
    let report = report(Command::Consume, |measured| {
        (measured.bytes, measured.records, measured.requests) = (0, 0, 0);
        measured.elapsed = Duration::ZERO;
        measured.server_cpu = Err("the server is on another machine".to_owned());
    });
    let text = report.to_string();
    assert!(text.starts_with("consume     4 connections × 8 in flight, fetches of 1,048,576 B\n"), "{text}");
    assert!(text.contains("throughput  0.0 MB/s, 0.0 records/s, 0.0 requests/s\n"), "{text}");
    assert!(text.contains("cpu         server not known: the server is on another machine\n"), "{text}");
    assert!(text.contains("generator no data, 0.00 cores (1.00 s)\n"), "{text}");
}

#[test]
fn programs_read_the_same_figures_as_json() {
    let json = serde_json::to_value(report(Command::Produce, |_| {})).unwrap();
    assert_eq!(json["command"], "produce");
    assert_eq!(json["settings"]["ack"], "written");
    assert_eq!(json["settings"]["bytes"], 5_000_000_000_u64);
    assert_eq!(json["megabytes_per_second"], 2_000.0);
    assert_eq!(json["latency_us"]["p99.9"], 9_991);
    assert_eq!(json["cpu"]["server"]["seconds_per_gigabyte"], 0.45);
    assert_eq!(json["cpu"]["server_unknown"], serde_json::Value::Null);
    assert_eq!(json["throttled"]["answers"], 1);
}
