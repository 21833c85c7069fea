//! What people get wrong, and what the commands make of it: nothing is lost, stored twice, or said that is not so.

use std::fs;
use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::process::{Finished, PATIENCE, Running, Server, hearing_hangups, records, tidemill};

#[track_caller]
fn refused(finished: &Finished, code: i32, reason: &str) {
    assert_eq!(finished.code, Some(code), "{}", finished.stderr);
    assert!(finished.stderr.contains(reason), "{}", finished.stderr);
    assert!(finished.stdout.is_empty(), "{}", finished.stdout);
}

#[test]
fn a_replay_says_when_it_has_nothing_to_begin_with() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(&folder.path().join("data"), &[]);
    let file = folder.path().join("ten.log");
    fs::write(&file, (0..10).map(|number| format!("{number}\n")).collect::<String>()).expect("writable");
    let file = file.display().to_string();
    server.run(&["stream", "create", "logs", "--shards", "2", "--quota", "off"]).ok();
    // One key, so that one shard has all of it.
    server.run(&["ingest", "logs", &file, "--key", "file"]).ok();
    let stored = records(&server.run(&["replay", "logs", "--json"]).ok());
    let (full, empty) = (stored[0].shard.to_string(), (1 - stored[0].shard).to_string());

    refused(&server.run(&["replay", "logs", "--from", "11"]), 3, "beyond the end of stream logs: 10");
    refused(&server.run(&["replay", "logs", "--from", "1", "--shard", &empty]), 3, "beyond the end");
    refused(&server.run(&["tail", "logs", "--from", "11"]), 3, "beyond the end");
    refused(&server.run(&["replay", "logs", "--from", "5", "--to", "4"]), 2, "--to lies before --from");
    refused(&server.run(&["replay", "logs", "--from", "1h", "--to", "2h"]), 2, "--to lies before --from");
    refused(&server.run(&["replay", "logs", "--shard", "7"]), 3, "no shard 7");

    assert_eq!(server.run(&["replay", "logs", "--from", "10"]).ok(), "", "the next record may be asked for");
    assert_eq!(server.run(&["replay", "logs", "--from", "8"]).ok(), "8\n9\n", "the other shard is shorter");
    assert_eq!(server.run(&["tail", "logs", "--from", "8", "--count", "2"]).ok(), "8\n9\n");
    assert_eq!(server.run(&["tail", "logs", "--from", "9", "--shard", &full, "--count", "1"]).ok(), "9\n");
    let before = server.run(&["replay", "logs", "--to", "2020-01-01"]);
    assert_eq!(
        (before.code, before.stdout.as_str(), before.stderr.as_str()),
        (Some(0), "", ""),
        "nothing is missing"
    );
}

#[test]
fn an_ingest_that_cannot_keep_its_checkpoint_stores_nothing() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(&folder.path().join("data"), &[]);
    let file = folder.path().join("a.log");
    fs::write(&file, "one\ntwo\n").expect("the folder is writable");
    let file = file.display().to_string();
    server.run(&["stream", "create", "logs"]).ok();
    let nowhere = folder.path().join("missing/state").display().to_string();
    refused(
        &server.run(&["ingest", "logs", &file, "--checkpoint", &nowhere]),
        3,
        "cannot write the checkpoint",
    );
    refused(&server.run(&["ingest", "logs", "/nowhere/*.log"]), 3, "no file matches");
    assert_eq!(server.run(&["replay", "logs"]).ok(), "");

    let told = server.run(&["ingest", "logs", &file, &file]).ok();
    assert!(told.starts_with("2 records, 6 B from 1 file in "), "{told}");
    assert_eq!(server.run(&["replay", "logs"]).ok(), "one\ntwo\n", "a file that is named twice is read once");
}

#[test]
fn stream_commands_tell_what_they_did_and_no_more() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(&folder.path().join("data"), &[]);
    server.run(&["stream", "create", "logs"]).ok();
    refused(&server.run(&["stream", "update", "logs"]), 2, "--retention");
    refused(&server.run(&["stream", "update", "logs", "--retention", "1s"]), 2, "out of range");
    assert_eq!(server.run(&["stream", "delete", "other", "--if-present"]).ok(), "");
    let json = server.run(&["stream", "delete", "logs", "other", "--if-present", "--json"]).ok();
    assert_eq!(json.trim(), r#"{"deleted":["logs"]}"#);
}

#[test]
fn a_server_can_be_stopped_before_it_listens() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let data = folder.path().join("data");
    let shown = data.display().to_string();
    // Large enough that the first segments are still being written.
    let flags = [
        "--listen",
        "127.0.0.1:0",
        "--http-port=0",
        "--admin-port=0",
        "--set",
        "storage.segment_size=256MiB",
    ];
    let mut command = tidemill(&["serve", "--data", &shown]);
    let mut starting = Running::start(command.args(flags).stdout(Stdio::null()).stderr(Stdio::null()));
    let deadline = Instant::now() + PATIENCE;
    while !data.join("LOCK").exists() {
        assert!(Instant::now() < deadline, "the server does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
    starting.signal(Signal::TERM);
    assert_eq!(starting.wait().code(), Some(0));
    Server::start(&data, &[]).stop();
}

#[test]
fn a_demo_that_is_stopped_leaves_nothing_behind() {
    for signal in [Signal::TERM, Signal::HUP] {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mut command = hearing_hangups(&["demo", "--size", "3GB"]);
        command.env("TMPDIR", folder.path()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut demo = Running::start(&mut command);
        let deadline = Instant::now() + PATIENCE;
        let is_empty = || fs::read_dir(folder.path()).expect("it exists").next().is_none();
        while is_empty() {
            assert!(Instant::now() < deadline, "the demo does not begin");
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(200));
        demo.signal(signal);
        let code = demo.wait().code();
        let mut said = String::new();
        demo.child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
        assert_eq!(code, Some(130), "{said}");
        assert!(is_empty(), "{signal:?}");
    }
}
