//! `kill -9` in the middle of a durable ingest at full speed, again and again, on the same directory.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crate::process::{PATIENCE, Server, size_from};
use crate::traffic::{Acknowledged, Flow, runtime};

/// Small segments, so that crashes fall into every part of their life.
const FLAGS: &[&str] = &["--set", "storage.segment_size=8MiB", "--set", "storage.group_bytes=1MiB"];

const LOGS: Flow = Flow { stream: "logs", shards: 4, retention_bytes: None, padding_bytes: 200, pause: None };

#[track_caller]
fn wait_for(count: &AtomicU64, wanted: u64, server: &Server) {
    let deadline = Instant::now() + PATIENCE;
    while count.load(Ordering::Relaxed) < wanted {
        assert!(Instant::now() < deadline, "the server stopped acknowledging: {}", server.log());
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

fn crash_once(data: &Path, round: u64, acknowledged: &mut Acknowledged, runtime: &tokio::runtime::Runtime) {
    let server = Server::start(data, FLAGS);
    if round == 0 {
        runtime.block_on(LOGS.create(&server.address));
    } else {
        runtime.block_on(LOGS.check(&server.address, acknowledged));
    }
    let (count, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let producing = runtime.spawn(LOGS.produce(server.address.clone(), round, count.clone(), ended.clone()));
    // Another place each time, spread as a low-discrepancy sequence.
    wait_for(&count, 1_000 + round * 7_919 % 6_000, &server);
    server.kill();
    ended.store(true, Ordering::Relaxed);
    let receipts = runtime.block_on(producing).expect("the producer does not panic");
    assert!(!receipts.is_empty());
    LOGS.note(round, receipts, acknowledged);
}

#[test]
fn what_was_acknowledged_survives_kill_9_in_full_flight() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let data = folder.path().join("data");
    let runtime = runtime();
    let mut acknowledged = Acknowledged::new();
    for round in 0..size_from("TIDEMILL_TEST_CRASHES", 20) {
        crash_once(&data, round, &mut acknowledged, &runtime);
    }
    let server = Server::start(&data, FLAGS);
    runtime.block_on(LOGS.check(&server.address, &acknowledged));
    server.stop();
}
