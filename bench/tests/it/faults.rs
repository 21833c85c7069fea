//! Whatever goes wrong ends the run with its own error, and never leaves an own stream behind.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use tidemill_bench::{BenchError, Options, Sizes, Until};
use tidemill_wire::message::ErrorCode;

use crate::server::{Fault, Server};
use crate::{options, produce};

fn check(fault: Fault, is_expected: impl Fn(&BenchError) -> bool) {
    let server = Server::start(fault);
    let begin = Instant::now();
    let error = produce(&Options {
        until: Until::Elapsed(Duration::from_secs(600)),
        // Long enough for a busy machine, unless silence is what is waited for.
        answer_timeout: Duration::from_secs(if matches!(fault, Fault::Silence(_)) { 2 } else { 60 }),
        ..options(&server)
    })
    .unwrap_err();
    assert!(is_expected(&error), "{fault:?} gave {error:?}");
    assert!(begin.elapsed() < Duration::from_secs(300), "the failure ends the run");
    assert_eq!(server.state().deletions, 1, "{fault:?}");
}

#[test]
fn a_refusal_for_good_ends_the_run() {
    let is_refusal = |code| move |error: &BenchError| matches!(error, BenchError::Refused { request: "append", failure } if failure.code == code);
    check(Fault::Refuse(40, ErrorCode::LanePoisoned), is_refusal(ErrorCode::LanePoisoned));
    check(Fault::Refuse(0, ErrorCode::DiskFull), is_refusal(ErrorCode::DiskFull));
}

#[test]
fn a_closed_connection_ends_the_run() {
    check(Fault::Close(40), |error| {
        // What was on its way makes the system reset the connection instead of closing it.
        matches!(error, BenchError::Closed { unanswered: 1.., .. } | BenchError::Connection { .. })
    });
}

#[test]
fn silence_ends_the_run() {
    check(Fault::Silence(40), |error| matches!(error, BenchError::Silent { unanswered: 4, .. }));
}

#[test]
fn answers_that_make_no_sense_end_the_run() {
    check(Fault::WrongId(40), |error| matches!(error, BenchError::Unasked { id: 1_000.., .. }));
    check(
        Fault::WrongAnswer(40),
        |error| matches!(error, BenchError::Answer { request: "append", found } if found == "Done"),
    );
    check(Fault::NoFrame(40), |error| matches!(error, BenchError::Frame { .. }));
    check(Fault::NoMessage(40), |error| matches!(error, BenchError::Decode { .. }));
}

#[test]
fn what_the_server_would_refuse_is_not_even_tried() {
    let server = Server::start(Fault::None);
    let error = produce(&Options { in_flight: 65, ..options(&server) }).unwrap_err();
    assert_eq!(error.to_string(), "in-flight is 65, the server allows 64 per connection");
    let error =
        produce(&Options { record_bytes: Sizes::Fixed(2_000_000), batch_records: 1, ..options(&server) })
            .unwrap_err();
    assert!(error.to_string().starts_with("batch bytes is 2000"), "{error}");
    assert_eq!(server.state().appends, 0);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let name: tidemill_wire::StreamName = "bench".parse().unwrap();
    let error = produce(&Options::new(free.to_string(), name.clone())).unwrap_err();
    assert!(matches!(error, BenchError::Connect { address, .. } if address == free), "{error:?}");
    let error = produce(&Options::new("no port", name)).unwrap_err();
    assert!(matches!(error, BenchError::Resolve { .. }), "{error:?}");
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let options = Options {
        answer_timeout: Duration::from_millis(100),
        ..Options::new(address, "bench".parse().unwrap())
    };
    let error = produce(&options).unwrap_err();
    assert!(matches!(error, BenchError::Silent { unanswered: 1, .. }), "{error:?}");
}
