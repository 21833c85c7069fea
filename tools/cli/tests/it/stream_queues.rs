//! Queues over streams by boto3 on the real socket, and `kill -9` under their producers and consumers: what was put and not acknowledged is there, what was
//! acknowledged is not.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::aws::{client, programs, source, start};
use crate::process::{PATIENCE, finish, size_from};

/// Small segments, so that crashes fall into every part of their life.
const FLAGS: &[&str] = &["--set", "storage.segment_size=8MiB", "--set", "storage.group_bytes=1MiB"];

/// Acknowledgements that the clients have noted, and those of dead letters among them.
fn acknowledged(notes: &Path) -> (usize, usize) {
    let text = std::fs::read_to_string(notes).unwrap_or_default();
    let count = |kind| text.lines().filter(|line| line.starts_with(kind)).count();
    (count("D "), count("X "))
}

#[test]
fn boto3_works_with_queues_over_streams() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = start(folder.path(), &[]);
    let finished = finish(client(&programs().join("python"), &server).arg(source("stream_queues.py")));
    assert_eq!(finished.code, Some(0), "{}{}\n{}", finished.stdout, finished.stderr, server.log());
    server.stop();
}

#[test]
#[expect(clippy::print_stdout, reason = "it says how much was done")]
fn queues_over_streams_keep_what_is_not_acknowledged_over_kill_9() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (notes, script) = (folder.path().join("notes"), source("stream_queue_crash.py"));
    for round in 0..size_from("TIDEMILL_TEST_STREAM_QUEUE_CRASHES", 4) {
        let server = start(folder.path(), FLAGS);
        let before = acknowledged(&notes);
        let mut work = client(&programs().join("python"), &server);
        let work = work.arg(&script).arg("work").arg(&notes).arg(round.to_string()).spawn();
        let mut work = work.expect("python runs");
        let wanted = before.0 + 100 + usize::try_from(round * 7_919 % 600).expect("small");
        let deadline = Instant::now() + PATIENCE;
        let is_enough = |(all, dead): (usize, usize)| all >= wanted && dead > before.1;
        while !is_enough(acknowledged(&notes)) {
            assert!(Instant::now() < deadline, "the clients do nothing: {}", server.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        server.kill();
        work.wait().expect("the clients end when the server is gone");
    }
    let server = start(folder.path(), FLAGS);
    let finished = finish(client(&programs().join("python"), &server).arg(&script).arg("check").arg(&notes));
    assert_eq!(finished.code, Some(0), "{}{}\n{}", finished.stdout, finished.stderr, server.log());
    println!("{}", finished.stdout);
    server.stop();
}
