//! Appends: what the report counts is what the server stored.

use std::time::Duration;

use tidemill_bench::{Options, Scenario, Until};
use tidemill_wire::message::{CreateStream, Quota, Settings};

use crate::server::{Fault, Server};
use crate::{options, produce, report};

#[test]
fn a_run_counts_exactly_what_was_stored() {
    // Each batch has ten records of 100 bytes and a key of five, and beyond 100 batches all have to wait for a minute; the
    // end does not wait for them.
    let server = Server::start(Fault::ThrottleFrom(100));
    let found =
        produce(&Options { warm_up: Duration::ZERO, until: Until::Bytes(100_500), ..options(&server) })
            .unwrap();
    let state = server.state();
    assert_eq!((state.stored_batches, state.stored_records), (100, 1_000));
    assert_eq!((found.answered.requests, found.answered.records), (100, 1_000));
    assert_eq!((found.answered.bytes, state.stored_bytes), (100_500, 100_500));
    assert_eq!(found.throttled.answers, state.throttled);
    let latency = found.main_latency().unwrap();
    assert_eq!((latency.name.as_str(), latency.samples), ("append", 100));
    assert!(latency.p50 <= latency.p99 && latency.p99 <= latency.max);
}

#[test]
fn every_batch_goes_to_its_shard_by_its_key_and_its_lanes_port() {
    let server = Server::start(Fault::None);
    produce(&Options { until: Until::Bytes(200_000), ..options(&server) }).unwrap();
    let state = server.state();
    assert_eq!((state.misrouted, state.wrong_port), (0, 0));
    assert!(state.entries.iter().all(|entries| !entries.is_empty()), "both shards got batches");
}

#[test]
fn a_run_by_bytes_ends_when_they_are_answered() {
    let server = Server::start(Fault::None);
    let found = produce(&Options { until: Until::Bytes(200_000), ..options(&server) }).unwrap();
    assert!(found.answered.bytes >= 200_000, "{found:?}");
    assert!(found.answered.bytes < 2_000_000, "{found:?}");
}

#[test]
fn an_own_stream_is_created_without_quotas_and_deleted_or_kept_as_asked() {
    let server = Server::start(Fault::None);
    produce(&Options { keep_stream: true, ..options(&server) }).unwrap();
    {
        let state = server.state();
        let settings = state.settings.unwrap();
        assert_eq!((settings.quota, settings.retention_bytes), (Some(Quota::OFF), Some(1 << 30)));
        assert_eq!(state.stream.as_ref().unwrap().shards.len(), 2);
        assert_eq!(state.deletions, 0);
    }
    let other = Server::start(Fault::None);
    produce(&options(&other)).unwrap();
    let state = other.state();
    assert_eq!((state.deletions, state.stream.is_some()), (1, false));
}

#[test]
fn a_stream_that_was_there_is_never_deleted() {
    let server = Server::start(Fault::None);
    let name = "bench".parse().unwrap();
    server.state().create(&CreateStream { name, shards: 1, settings: Settings::default() });
    let report = report(Scenario::Produce, &options(&server)).unwrap();
    assert_eq!(report.settings["shards"], "1");
    let state = server.state();
    assert_eq!((state.deletions, state.stream.is_some()), (0, true));
}

#[test]
fn throttled_requests_are_counted_and_sent_again() {
    let server = Server::start(Fault::Throttle(7));
    let found = produce(&Options { until: Until::Bytes(100_000), ..options(&server) }).unwrap();
    let state = server.state();
    assert!(found.answered.requests > 0, "{found:?}");
    assert_eq!(found.throttled.answers, state.throttled);
    assert_eq!(found.throttled.wait_ms, state.throttled * 5);
    assert_eq!(state.stored_batches, state.appends - state.throttled);
}

#[test]
fn a_server_that_only_throttles_does_not_hold_up_the_end() {
    let server = Server::start(Fault::Throttle(1));
    let found = produce(&options(&server)).unwrap();
    assert_eq!((found.answered.requests, found.answered.bytes), (0, 0));
    assert!(found.throttled.answers > 0);
    assert_eq!(found.cpu.generator.seconds_per_gigabyte, None);
    assert_eq!(found.cpu.server_unknown.as_deref(), Some("server and generator are one process"));
}

#[test]
fn processor_time_of_a_named_process_is_reported() {
    let server = Server::start(Fault::None);
    // The parent of this test is a process like any other, and is not this one.
    let parent = std::os::unix::process::parent_id();
    let found = produce(&Options { server_pid: Some(parent), ..options(&server) }).unwrap();
    assert!(found.cpu.server.is_some_and(|server| server.seconds >= 0.0), "{found:?}");
    assert_eq!(found.cpu.server_unknown, None);
}
