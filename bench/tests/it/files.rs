//! Latency files are read again by the crate's own reader.

use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use tidemill_bench::{Options, Rate, Scenario, Until, Unwatched, run};

use crate::options;
use crate::server::{Fault, Server};

#[test]
fn an_interval_log_holds_every_latency() {
    let server = Server::start(Fault::None);
    let options = Options {
        rate: Some(Rate::Fixed(2_000)),
        warm_up: Duration::ZERO,
        until: Until::Elapsed(Duration::from_millis(300)),
        ..options(&server)
    };
    let outcome = run(Scenario::Mixed, &options, None, &mut Unwatched).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.hlog");
    assert_eq!(outcome.write_latencies(&path).unwrap(), std::slice::from_ref(&path));
    let text = std::fs::read(&path).unwrap();
    let (mut requests, mut deliveries) = (0, 0);
    for entry in IntervalLogIterator::new(&text) {
        let LogEntry::Interval(interval) = entry.unwrap() else { continue };
        let bytes = base64(interval.encoded_histogram());
        let histogram: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
        match interval.tag().unwrap().as_str() {
            "mixed-requests" => requests += histogram.len(),
            "mixed-end-to-end" => deliveries += histogram.len(),
            tag => panic!("{tag}"),
        }
        assert_eq!(interval.duration(), Duration::from_millis(10));
    }
    assert_eq!((requests, deliveries), (60, 60));

    let path = folder.path().join("run.hgrm");
    let names: Vec<_> = outcome.write_latencies(&path).unwrap();
    let names: Vec<_> = names.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["run-mixed-requests.hgrm", "run-mixed-end-to-end.hgrm"]);
}

/// Reads the alphabet of RFC 4648.
fn base64(text: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => u32::from(letter - b'A'),
        b'a'..=b'z' => u32::from(letter - b'a') + 26,
        b'0'..=b'9' => u32::from(letter - b'0') + 52,
        b'+' => 62,
        b'/' => 63,
        other => panic!("{other} is not base64"),
    };
    let text = text.trim_end_matches('=').as_bytes();
    let group = |group: &[u8]| {
        let bits = group.iter().fold(0, |bits, letter| bits << 6 | value(*letter)) << (6 * (4 - group.len()));
        bits.to_be_bytes()[1..group.len()].to_vec()
    };
    text.chunks(4).flat_map(group).collect()
}
