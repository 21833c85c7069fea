//! The open loop against a server that stalls: what was kept waiting counts, from the moment it was meant to leave.

use std::time::Duration;

use tidemill_bench::{Options, Rate, Scenario, Until};

use crate::server::{Fault, Server};
use crate::{options, produce, report};

/// One connection, 200 batches of a record each second for so long.
fn offered(server: &Server, time: Duration) -> Options {
    Options {
        connections: 1,
        batch_records: 1,
        in_flight: 4,
        rate: Some(Rate::Fixed(200)),
        warm_up: Duration::ZERO,
        until: Until::Elapsed(time),
        ..options(server)
    }
}

#[test]
fn every_request_that_was_meant_for_the_measured_time_is_sent_once() {
    let server = Server::start(Fault::None);
    let found = produce(&offered(&server, Duration::from_millis(500))).unwrap();
    let latency = found.main_latency().unwrap();
    assert_eq!((latency.samples, server.state().stored_batches), (100, 100), "{found:?}");
    assert_eq!((found.offered_per_second, found.unfinished), (Some(200.0), 0));
    assert_eq!(latency.counted_from, "its intended time");
    assert!(found.lateness_us.is_some());
}

#[test]
fn a_stall_is_in_the_latency_of_everything_that_it_kept_waiting() {
    // From its 20th append on the server answers nothing for 400 ms, so 80 requests are meant to leave while it stalls: their latencies begin at
    // 400 ms and fall to nothing. Who only counted from sending would see the stall in the four that were in flight.
    let stall = Duration::from_millis(400);
    let server = Server::start(Fault::Stall(20, stall));
    let found = produce(&offered(&server, Duration::from_secs(1))).unwrap();
    let latency = found.main_latency().unwrap();
    assert_eq!((latency.samples, found.unfinished), (200, 0), "{found:?}");
    let stall_us = stall.as_micros() as f64;
    assert!(latency.max >= stall_us * 0.95, "{latency:?}");
    // 40 of 200 waited for more than half of the stall, and so the 85th percentile did.
    let at = |quantile: f64| {
        latency.curve.iter().find(|(at, _)| *at >= quantile).map_or(latency.max, |(_, us)| *us)
    };
    assert!(at(0.85) >= stall_us * 0.5, "{latency:?}");
    assert!(latency.p90 >= stall_us * 0.5, "{latency:?}");
    // The generator was not late: it had no slot.
    assert!(found.lateness_us.unwrap().p50 < stall_us * 0.25);
    // The timeline shows the stall where it was, at the moments the requests were meant for.
    let worst = found.timeline.max_us.iter().flatten().fold(0.0_f64, |worst, value| worst.max(*value));
    assert!(worst >= stall_us * 0.95);
}

#[test]
fn what_is_never_answered_is_counted_with_the_time_it_has_waited() {
    let server = Server::start(Fault::ThrottleFrom(50));
    let options =
        Options { answer_timeout: Duration::from_secs(3), ..offered(&server, Duration::from_millis(500)) };
    let found = produce(&options).unwrap();
    assert_eq!(found.main_latency().unwrap().samples, 100, "{found:?}");
    assert_eq!(found.unfinished, 50, "{found:?}");
    // The last was meant for the end and has waited for the patience since.
    assert!(found.main_latency().unwrap().p90 >= 500_000.0, "{found:?}");
}

#[test]
fn records_that_linger_leave_together_and_late_by_their_wait() {
    let server = Server::start(Fault::None);
    let options = Options {
        batch_records: 100,
        // 200 records a second, and 5 in 20 ms.
        linger: Some(Duration::from_millis(20)),
        ..offered(&server, Duration::from_millis(500))
    };
    let found = produce(&options).unwrap();
    let state = server.state();
    assert_eq!((state.stored_records, state.stored_batches), (100, 20), "{found:?}");
    assert!(found.main_latency().unwrap().p50 >= 20_000.0, "the first record has waited: {found:?}");
}

#[test]
fn a_ramp_ends_beyond_the_knee_and_names_it() {
    // Each append takes the server 5 ms, one after the other: it carries 200 a second on the best of machines, and half of that on a bad one. So
    // 400 are beyond it wherever this runs, and two steps further the ramp ends.
    let server = Server::start(Fault::Slow(Duration::from_millis(5)));
    let options = Options {
        rate: Some(Rate::Ramp { from: 25, to: 3_200, steps: 8 }),
        ..offered(&server, Duration::from_millis(600))
    };
    let report = report(Scenario::Produce, &options).unwrap();
    let knee = report.knee.as_ref().unwrap();
    let named = knee.part.as_ref().map(|step| {
        let rate: u64 = step.rsplit_once(": ").unwrap().1.trim_end_matches("/s").parse().unwrap();
        rate
    });
    // No step at all is what a machine that stalls in the first one gets, and right.
    assert!(named.is_none_or(|rate| (25..400).contains(&rate)), "{report}");
    assert!(report.parts.len() <= 6, "it does not go on for ever: {report}");
    assert!(knee.rule.contains("99 %"), "{}", knee.rule);
}
