//! Appends with subscribers, catching up, and quotas.

use std::time::Duration;

use tidemill_bench::{BenchError, Options, Rate, Scenario, Sizes, Until};

use crate::server::{Fault, Server};
use crate::{options, report};

#[test]
fn every_acknowledged_record_is_pushed_and_timed() {
    let server = Server::start(Fault::None);
    let options = Options {
        rate: Some(Rate::Fixed(2_000)),
        warm_up: Duration::ZERO,
        until: Until::Elapsed(Duration::from_millis(300)),
        ..options(&server)
    };
    let report = report(Scenario::Mixed, &options).unwrap();
    let part = &report.parts[0];
    let names: Vec<&str> = part.latency_us.iter().map(|latency| latency.name.as_str()).collect();
    assert_eq!(names, ["append", "end to end"]);
    // 600 records in batches of ten, and each batch carries one time.
    assert_eq!(part.latency_us[0].samples, 60, "{report}");
    assert_eq!(part.latency_us[1].samples, 60, "{report}");
    assert_eq!(part.main_latency().unwrap().name, "end to end");
    assert!(part.delivered.is_some());
}

#[test]
fn a_record_that_is_never_pushed_fails_the_run() {
    let server = Server::start(Fault::NoPush);
    // Long enough for the appends to be answered on a machine that stalls.
    let options = Options { answer_timeout: Duration::from_secs(5), ..options(&server) };
    let error = report(Scenario::Mixed, &options).unwrap_err();
    assert!(matches!(error, BenchError::NotPushed { .. }), "{error:?}");
}

#[test]
fn records_without_room_for_a_time_are_refused() {
    let server = Server::start(Fault::None);
    let options = Options {
        record_bytes: Sizes::Uniform(4, 9),
        rate: Some(Rate::Fixed(10)),
        // The parent of this test is a process like any other, and is not this one.
        server_pid: Some(std::os::unix::process::parent_id()),
        ..options(&server)
    };
    for scenario in [Scenario::Mixed, Scenario::Connections] {
        let error = report(scenario, &options).unwrap_err();
        assert_eq!(error.to_string(), "record-bytes is 4, must be 8 to 9");
    }
}

#[test]
fn a_replay_reads_everything_once_for_each_reader() {
    let server = Server::start(Fault::None);
    let options = Options { connections: 4, fill_bytes: 200_000, ..options(&server) };
    let report = report(Scenario::Replay, &options).unwrap();
    let (part, state) = (&report.parts[0], server.state());
    assert_eq!(part.answered.records, 2 * state.stored_records, "two readers for each shard");
    assert_eq!(part.answered.bytes, 2 * state.stored_bytes);
}

#[test]
fn what_a_quota_admits_is_compared_with_it() {
    // The server admits every second append, whatever its quota says.
    let server = Server::start(Fault::Throttle(2));
    let options = Options {
        shards: 1,
        connections: 1,
        batch_records: 10,
        rate: Some(Rate::Fixed(2_000)),
        until: Until::Elapsed(Duration::from_secs(1)),
        ..options(&server)
    };
    let report = report(Scenario::Quota, &options).unwrap();
    let quota = &report.quota[0];
    assert_eq!((quota.direction.as_str(), quota.allowed_per_second), ("in", 50_000.0));
    let (part, state) = (&report.parts[0], server.state());
    assert_eq!(quota.admitted_per_second, part.answered.bytes as f64 / part.seconds, "{report}");
    assert_eq!(quota.error_percent, (quota.admitted_per_second / 50_000.0 - 1.0) * 100.0, "{report}");
    // What is refused is dropped and not sent again, so half of what the server has seen is there; some of it is of the warm-up.
    assert!(part.answered.records > 0 && part.answered.records <= state.stored_records, "{report}");
    assert!(state.throttled.abs_diff(state.stored_batches) <= 1, "{report}");
    assert!(state.settings.unwrap().quota.is_none(), "the stream has the server's default");
}

#[test]
fn a_stream_without_quota_gives_a_quota_run_nothing_to_measure() {
    let server = Server::start(Fault::None);
    server.state().create(&tidemill_wire::message::CreateStream {
        name: "bench".parse().unwrap(),
        shards: 1,
        settings: tidemill_wire::message::Settings {
            quota: Some(tidemill_wire::message::Quota::OFF),
            ..Default::default()
        },
    });
    let options = Options { rate: Some(Rate::Fixed(10)), ..options(&server) };
    let error = report(Scenario::Quota, &options).unwrap_err();
    assert!(matches!(error, BenchError::NoQuota { .. }), "{error:?}");
}

#[test]
fn idle_connections_cost_memory_that_is_read_while_they_are_open() {
    let server = Server::start(Fault::None);
    // The parent of this test is a process like any other, and is not this one.
    let options = Options {
        connections: 50,
        server_pid: Some(std::os::unix::process::parent_id()),
        ..options(&server)
    };
    let found = report(Scenario::Connections, &options).unwrap();
    assert_eq!(found.memory.unwrap().connections, 50);
    let unknown = Options { server_pid: None, ..options };
    let error = report(Scenario::Connections, &unknown).unwrap_err();
    assert!(matches!(error, BenchError::NoProcess { .. }), "{error:?}");
}
