//! The server kills itself at each step of a roll, a recycling and a compaction, with traffic on, on the same directory; the next start finds all that it
//! had acknowledged.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::process::{Finished, Server, Start, finish, run, tidemill};
use crate::traffic::{Acknowledged, Flow, runtime};

/// Steps of making a file. They are forced by segments of another size than those that could be used again.
const MAKING: &[&str] = &["before:create:preparing:1", "after:create:preparing:1", "amid:write:preparing:1"];
/// Every other step between two states of the files of a lane. What a start does is a step as well: leftovers are removed, torn segments sealed.
const FAILPOINTS: &[&str] = &[
    // A segment is made ready.
    "before:write_header:preparing:2",
    "amid:write_header:preparing:2",
    "after:write_header:preparing:2",
    "before:rename:preparing:2",
    "after:rename:preparing:2",
    // The log rolls: the full segment gets its footer and its trailer.
    "before:write:segment:40",
    "amid:write:segment:60",
    "after:write:segment:50",
    "before:write_trailer:segment:2",
    "amid:write_trailer:segment:2",
    "after:write_trailer:segment:2",
    // A retired segment is used again, or removed.
    "before:rename:segment:1",
    "after:rename:segment:1",
    "before:rename:segment:2",
    "after:rename:segment:2",
    "before:sync_directory:other:4",
    "after:sync_directory:other:5",
    "before:remove:segment:1",
    "after:remove:segment:1",
    // Compaction.
    "before:resize:reserve:1",
    "after:resize:reserve:1",
    "before:create:compacting:1",
    "after:create:compacting:1",
    "amid:write:compacting:1",
    "after:write:compacting:1",
    "before:flush:compacting:2",
    "before:write_trailer:compacting:1",
    "amid:write_trailer:compacting:1",
    "after:write_trailer:compacting:2",
    "before:write_header:compacting:1",
    "amid:write_header:compacting:1",
    "after:write_header:compacting:2",
    "before:rename:compacting:1",
    "after:rename:compacting:1",
    "after:rename:compacting:2",
];

/// The smallest segments, and a compaction that is always at work.
const FLAGS: &[&str] = &[
    "--set",
    "data.lanes=1",
    "--set",
    "storage.segment_size=4MiB",
    "--set",
    "storage.group_bytes=256KiB",
    "--set",
    "limits.frame_bytes=512KiB",
    "--set",
    "storage.upkeep_interval=100ms",
    "--set",
    "storage.compaction_bytes_per_second=1GiB",
];

/// Kept whole. It is in every segment, so none is ever wholly dead before compaction.
const KEPT: Flow = Flow {
    stream: "kept",
    shards: 2,
    retention_bytes: None,
    padding_bytes: 500,
    pause: Some(Duration::from_millis(1)),
};
/// Most of what is written, and soon over.
const PASSING: Flow =
    Flow { stream: "passing", shards: 1, retention_bytes: Some(1 << 20), padding_bytes: 4_000, pause: None };
const FLOWS: [Flow; 2] = [KEPT, PASSING];

/// Records that each stream gets between two crashes, all of them acknowledged.
const BETWEEN: u64 = 30;

/// With traffic on, a step of every kind comes within a fraction of this.
const REACHED_WITHIN: Duration = Duration::from_secs(30);

#[track_caller]
fn wait_for_the_end(server: &mut Server, point: &str) {
    let deadline = Instant::now() + REACHED_WITHIN;
    while server.process.child.try_wait().expect("the process is ours").is_none() {
        assert!(Instant::now() < deadline, "{point} is not reached: {}", server.log());
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn crash_at(
    point: &str,
    flags: &[&str],
    data: &Path,
    round: u64,
    acknowledged: &mut [Acknowledged; 2],
    runtime: &tokio::runtime::Runtime,
) {
    let mut server = match Server::start_armed(data, flags, point) {
        Start::Listening(server) => server,
        Start::Killed => return,
    };
    let (count, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let producing = FLOWS
        .map(|flow| runtime.spawn(flow.produce(server.address.clone(), round, count.clone(), ended.clone())));
    wait_for_the_end(&mut server, point);
    let status = server.process.wait();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{point}: {}", server.log());
    ended.store(true, Ordering::Relaxed);
    for ((flow, producing), acknowledged) in FLOWS.iter().zip(producing).zip(acknowledged) {
        let receipts = runtime.block_on(producing).expect("the producer does not panic");
        flow.note(round, receipts, acknowledged);
    }
}

#[test]
fn a_crash_at_any_step_of_roll_recycle_and_compaction_loses_nothing() {
    if !tidemill_storage::failpoint::COMPILED {
        eprintln!("not run: a release build has no failpoints");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary directory");
    let data = folder.path().join("data");
    let runtime = runtime();
    let mut acknowledged = [Acknowledged::new(), Acknowledged::new()];
    let server = Server::start(&data, FLAGS);
    for flow in &FLOWS {
        runtime.block_on(flow.create(&server.address));
    }
    server.stop();
    for (round, point) in (0..).zip(MAKING.iter().chain(FAILPOINTS)) {
        let size = format!("storage.segment_size={}KiB", 4096 + 256 * (round + 1));
        let flags = if MAKING.contains(point) { [FLAGS, &["--set", &size]].concat() } else { FLAGS.to_vec() };
        crash_at(point, &flags, &data, 2 * round, &mut acknowledged, &runtime);
        let server = Server::start(&data, FLAGS);
        for (flow, acknowledged) in FLOWS.iter().zip(&mut acknowledged) {
            runtime.block_on(flow.check(&server.address, acknowledged));
            // On a busy machine the crash comes before much is acknowledged: the next one has this to lose.
            let receipts = runtime.block_on(flow.send(&server.address, 2 * round + 1, BETWEEN));
            flow.note(2 * round + 1, receipts, acknowledged);
        }
        server.kill();
    }
    let acknowledged: Vec<usize> = acknowledged.iter().map(Acknowledged::len).collect();
    assert!(acknowledged.iter().all(|records| *records > 1000), "the traffic was on: {acknowledged:?}");
    run(&["log", "verify", &data.display().to_string()]).ok();
}

#[test]
fn a_failpoint_that_there_is_not_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let mut command = tidemill(&["serve", "--data", &folder.path().display().to_string()]);
    command.env("TIDEMILL_FAILPOINT", "sometimes:rename:segment:1");
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let Finished { code, stderr, .. } = finish(&mut command);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(
        stderr.contains("TIDEMILL_FAILPOINT") && stderr.contains("sometimes:rename:segment:1"),
        "{stderr}"
    );
}
