//! Data that flows through a server whose live data stays constant, with crashes on the way: the small sister of the run in `docs/PERFORMANCE.md`.

use crate::process::{PATIENCE, Running, tidemill};
use serde_json::Value;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A little more than the minute after which records of one stream go for their age.
const FLOW: &[&str] = &[
    "bench",
    "flow",
    "--json",
    "--live",
    "20MB",
    "--total",
    "500MB",
    "--rate",
    "7500KB",
    "--segment",
    "4MiB",
    "--kills",
    "10",
    "--set",
    "storage.upkeep_interval=1s",
];

#[test]
fn disk_use_follows_what_is_live_and_every_record_is_right_through_ten_crashes() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let data = folder.path().join("data").display().to_string();
    let out = folder.path().join("out.json");
    let file = std::fs::File::create(&out).expect("the folder is writable");
    let mut command = tidemill(FLOW);
    let mut running = Running::start(command.args(["--data", &data]).stdout(file).stderr(Stdio::inherit()));
    // It takes as long as its rate says, and then reads everything once more.
    let deadline = Instant::now() + PATIENCE + Duration::from_secs(120);
    while running.child.try_wait().expect("the process is ours").is_none() {
        assert!(Instant::now() < deadline, "the flow does not end");
        std::thread::sleep(Duration::from_millis(100));
    }
    let status = running.wait();
    let printed = std::fs::read_to_string(&out).expect("it was written");
    assert_eq!(status.code(), Some(0), "{printed}");
    let report: Value = serde_json::from_str(&printed).expect("the report is JSON");
    let number = |name: &str| report[name].as_u64().unwrap_or_else(|| panic!("{name}: {printed}"));
    assert_eq!(number("kills"), 10);
    assert!(number("flowed_bytes") >= 500_000_000, "{printed}");
    // Followers alone read nearly everything.
    assert!(number("checked_bytes") > 400_000_000 && number("passes") > 10, "{printed}");
    assert!((10_000_000..40_000_000).contains(&number("retained_bytes")), "{printed}");
    let seen = &report["seen"];
    assert!(seen["looks"].as_u64() > Some(100) && seen["looks_over"] == 0, "{printed}");
    let amplification = report["write_amplification"].as_f64().expect("a number");
    assert!(amplification > 1.0 && amplification < 3.0, "{printed}");
}
