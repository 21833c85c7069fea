//! Starting, stopping, and being in each other's way.

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::process::{Running, Server, first_line, records, run, tidemill};

#[test]
fn sigterm_ends_a_server_in_order_and_its_records_stay() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let data = folder.path().join("data");
    let log = folder.path().join("log");
    std::fs::write(&log, "one\ntwo\nthree\n").expect("the folder is writable");
    for round in 1..=3 {
        let mut server = Server::start(&data, &[]);
        server.run(&["stream", "create", "logs", "--if-missing"]).ok();
        // Not flushed when acknowledged, so only an orderly end writes them before the interval does.
        server.run(&["ingest", "logs", &log.display().to_string(), "--ack", "written"]).ok();
        let signal = if round == 2 { Signal::INT } else { Signal::TERM };
        server.process.signal(signal);
        assert_eq!(server.process.wait().code(), Some(0), "{}", server.log());
        let server = Server::start(&data, &[]);
        let replayed = records(&server.run(&["replay", "logs", "--json"]).ok());
        let lines: Vec<&str> = replayed.iter().map(|record| record.data.as_str()).collect();
        assert_eq!(lines, ["one", "two", "three"].repeat(round));
        server.stop();
    }
}

#[test]
fn a_second_server_on_the_same_directory_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let data = folder.path().join("data");
    let server = Server::start(&data, &[]);
    let second = run(&[
        "serve",
        "--data",
        &data.display().to_string(),
        "--listen",
        "127.0.0.1:0",
        "--http-port",
        "0",
        "--admin-port",
        "0",
    ]);
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    assert!(second.stderr.contains("in use"), "{}", second.stderr);
    server.run(&["stream", "create", "logs"]).ok();
    server.stop();
}

#[test]
fn a_server_that_is_not_there_has_its_own_exit_code() {
    let finished = run(&["--server", "127.0.0.1:1", "stream", "list"]);
    assert_eq!(finished.code, Some(6), "{}", finished.stderr);
    assert_eq!(finished.stderr.lines().count(), 1);
    assert!(finished.stderr.starts_with("tidemill: cannot connect to 127.0.0.1:1"), "{}", finished.stderr);
}

#[test]
fn the_admin_port_tells_health_and_metrics() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(&folder.path().join("data"), &[]);
    assert!(server.admin_text("/healthz").starts_with("HTTP/1.1 200"));
    assert!(server.admin_text("/readyz").starts_with("HTTP/1.1 200"));
    assert!(server.admin_text("/metrics").contains("tidemill_"));
    server.stop();
}

#[test]
fn each_core_has_a_pinned_thread() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(&folder.path().join("data"), &["--set", "server.cores=1"]);
    let pid = server.process.child.id().to_string();
    let threads = run(&["doctor", "--pid", &pid, "--json"]).ok();
    let threads: serde_json::Value = serde_json::from_str(&threads).expect("the threads are JSON");
    let pinned = threads
        .as_array()
        .map_or(0, |threads| threads.iter().filter(|thread| thread["is_pinned"] == true).count());
    assert!(pinned >= 1, "{threads}");
    server.stop();
}

#[test]
fn a_server_whose_log_nobody_takes_goes_on() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let data = folder.path().join("data").display().to_string();
    let arguments =
        ["serve", "--json", "--data", &data, "--listen", "127.0.0.1:0", "--http-port=0", "--admin-port=0"];
    let mut command = tidemill(&arguments);
    let mut process = Running::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let line = first_line(&mut process.child).expect("the server listens");
    let started: Value = serde_json::from_str(&line).expect("a line of JSON");
    // As a pipeline does whose last command has ended.
    drop(process.child.stderr.take());
    let address = started["native"].as_str().expect("an address");
    // Both are told in the log.
    run(&["--server", address, "stream", "create", "logs"]).ok();
    run(&["--server", address, "stream", "delete", "logs"]).ok();
    process.signal(Signal::TERM);
    assert_eq!(process.wait().code(), Some(0), "an orderly end, whatever became of its log");
}

#[test]
fn the_log_tells_which_signal_ended_a_server() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let mut server = Server::start(&folder.path().join("data"), &[]);
        server.process.signal(signal);
        assert_eq!(server.process.wait().code(), Some(0), "{}", server.log());
        assert!(server.log().contains(&format!("told to end signal=\"{name}\"")), "{}", server.log());
    }
}
