//! Percentiles, rates and both forms of the report.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::{
    CpuReport, CpuUse, FORMAT, FlowReport, Knee, LatencyReport, MachineReport, PartReport, QuotaReport,
    Report, ThrottleReport, Timeline,
};
use crate::load::Gain;
use crate::scenario::Scenario;

/// A run of 5 GB in 2.5 s.
pub(crate) fn report(change: impl FnOnce(&mut Report)) -> Report {
    let elapsed = std::time::Duration::from_millis(2_500);
    let answered = Gain { bytes: 5_000_000_000, records: 5_000_000, requests: 5_000 };
    let mut latency = Histogram::new(3).unwrap();
    for value in 1..=1_000 {
        latency.record(value * 10_000).unwrap();
    }
    let cpu = |ms| CpuUse::new(std::time::Duration::from_millis(ms), elapsed, answered, false);
    let part = PartReport {
        name: "produce".to_owned(),
        seconds: elapsed.as_secs_f64(),
        offered_per_second: None,
        answered: FlowReport::new(answered, elapsed),
        delivered: None,
        latency_us: vec![LatencyReport::new("append", "being handed over", &latency)],
        lateness_us: None,
        throttled: ThrottleReport { answers: 1, wait_ms: 1_200 },
        unfinished: 0,
        cpu: CpuReport { server: Some(cpu(2_250)), server_unknown: None, generator: cpu(1_000) },
        timeline: Timeline {
            step_seconds: 0.5,
            megabytes_per_second: vec![1_900.0, 2_100.0, 2_000.0, 2_000.0, 2_000.0],
            p50_us: vec![Some(5_000.0); 5],
            p99_us: vec![Some(9_000.0), None, Some(9_900.0), Some(9_900.0), Some(9_900.0)],
            max_us: vec![Some(10_000.0); 5],
        },
    };
    let mut report = Report {
        format: FORMAT,
        scenario: Scenario::Produce,
        protocol: "native".to_owned(),
        settings: BTreeMap::from(
            [("server", "localhost:7600"), ("ack", "written"), ("connections", "4")]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        ),
        server: "tidemill 0.1.0".to_owned(),
        generator: "tidemill-bench 0.1.0".to_owned(),
        machine: MachineReport { processor: "A & B <CPU>".to_owned(), cores: 2, ..MachineReport::default() },
        unix_seconds: 1_790_000_000,
        parts: vec![part],
        knee: None,
        quota: Vec::new(),
        memory: None,
        ceilings: Vec::new(),
    };
    change(&mut report);
    report
}

#[test]
fn percentiles_are_right_to_three_digits() {
    let mut latency = Histogram::new(3).unwrap();
    for value in 1..=100_000_u64 {
        latency.record(value * 1_000).unwrap();
    }
    let found = LatencyReport::new("append", "now", &latency);
    for (found, expected) in [
        (found.p50, 50_000.0),
        (found.p90, 90_000.0),
        (found.p99, 99_000.0),
        (found.p99_9, 99_900.0),
        (found.p99_99, 99_990.0),
        (found.max, 100_000.0),
    ] {
        assert!((found - expected).abs() <= expected / 1_000.0, "{found} for {expected}");
    }
    assert!(found.curve.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1));
    assert_eq!(LatencyReport::new("", "", &Histogram::new(3).unwrap()).max, 0.0);
}

#[test]
fn the_table_names_every_figure_with_its_unit() {
    let expected = "\
produce     ack written, connections 4
server      tidemill 0.1.0 at localhost:7600
measured    2.50 s: 5,000,000,000 bytes, 5,000,000 records, 5,000 requests
throughput  2,000 MB/s, 2,000,000 records/s, 2,000 requests/s
latency     append, from being handed over: p50 5.00 ms, p90 9.00 ms, p99 9.90 ms, p99.9 9.99 ms, max 10.0 ms
cpu         server 0.450 s/GB, 450 s per million requests, 0.90 cores (2.25 s)
            generator 0.200 s/GB, 200 s per million requests, 0.40 cores (1.00 s)
throttled   1 answer, 1,200 ms of waiting in all
";
    assert_eq!(report(|_| {}).to_string(), expected);
}

#[test]
fn a_run_without_answers_has_no_rates_and_divides_by_nothing() {
    let elapsed = std::time::Duration::ZERO;
    let text = report(|report| {
        let part = &mut report.parts[0];
        part.answered = FlowReport::new(Gain::default(), elapsed);
        part.latency_us.clear();
        part.cpu.server = None;
        part.cpu.server_unknown = Some("the server is on another machine".to_owned());
        part.cpu.generator = CpuUse::new(std::time::Duration::from_secs(1), elapsed, Gain::default(), false);
    })
    .to_string();
    assert!(text.contains("throughput  0.0 MB/s, 0.0 records/s, 0.0 requests/s\n"), "{text}");
    assert!(text.contains("cpu         server not known: the server is on another machine\n"), "{text}");
    assert!(text.contains("generator no data, 0.00 cores (1.00 s)\n"), "{text}");
}

#[test]
fn findings_stand_below_the_parts() {
    let text = report(|report| {
        report.knee = Some(Knee { part: Some("step 3".to_owned()), rule: "a rule".to_owned() });
        report.quota = vec![QuotaReport {
            direction: "in".to_owned(),
            admitted_per_second: 1_001_000.0,
            allowed_per_second: 1_000_000.0,
            error_percent: 0.1,
        }];
    })
    .to_string();
    assert!(text.contains("knee        step 3: a rule\n"), "{text}");
    assert!(
        text.contains("quota       in  1,001,000 B/s admitted, 1,000,000 B/s allowed: +0.10 %\n"),
        "{text}"
    );
}

#[test]
fn programs_read_the_same_figures_as_json_and_give_the_report_back() {
    let report = report(|_| {});
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["scenario"], "produce");
    assert_eq!(json["settings"]["ack"], "written");
    assert_eq!(json["parts"][0]["megabytes_per_second"], 2_000.0);
    assert_eq!(json["parts"][0]["latency_us"][0]["p99.9"], 9_994.2);
    assert_eq!(json["parts"][0]["cpu"]["server"]["seconds_per_gigabyte"], 0.45);
    assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
}
