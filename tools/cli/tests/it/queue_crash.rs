//! `kill -9` under producers and consumers of queues, again and again, on the same directory: what was sent and not deleted is there, what was deleted is not.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::aws::{client, programs, source, start};
use crate::process::{PATIENCE, finish, size_from};

/// Small segments, so that crashes fall into every part of their life.
const FLAGS: &[&str] = &["--set", "storage.segment_size=8MiB", "--set", "storage.group_bytes=1MiB"];

/// Messages whose sending, and whose deletion, was acknowledged.
fn noted(notes: &Path) -> (usize, usize) {
    let text = std::fs::read_to_string(notes).unwrap_or_default();
    let of = |kind: &str| text.lines().filter(|line| line.starts_with(kind)).count();
    (of("S "), of("D "))
}

#[test]
#[expect(clippy::print_stdout, reason = "it says how much was done")]
fn queues_keep_what_was_sent_and_lose_what_was_deleted_over_kill_9() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (notes, script) = (folder.path().join("notes"), source("queue_crash.py"));
    for round in 0..size_from("TIDEMILL_TEST_QUEUE_CRASHES", 6) {
        let server = start(folder.path(), FLAGS);
        let before = noted(&notes);
        let mut work = client(&programs().join("python"), &server);
        let work = work.arg(&script).arg("work").arg(&notes).arg(round.to_string()).spawn();
        let mut work = work.expect("python runs");
        let wanted = 100 + usize::try_from(round * 7_919 % 700).expect("small");
        let deadline = Instant::now() + PATIENCE;
        // No round counts in which little was sent, or little deleted.
        loop {
            let (sent, deleted) = noted(&notes);
            if sent >= before.0 + wanted && deleted >= before.1 + wanted {
                break;
            }
            assert!(Instant::now() < deadline, "{sent} sent, {deleted} deleted: {}", server.log());
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
