//! The log files of a stopped server: sound as they are, and a flipped byte is found.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::process::{Server, run};

fn filled(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    let log = folder.join("log");
    let lines: String =
        (0..30_000).map(|number| format!("line {number} {}\n", "x".repeat(number % 400))).collect();
    fs::write(&log, lines).expect("the folder is writable");
    let server = Server::start(
        &data,
        &[
            "--set",
            "storage.segment_size=4MiB",
            "--set",
            "storage.group_bytes=256KiB",
            "--set",
            "data.lanes=1",
            "--set",
            "limits.frame_bytes=512KiB",
        ],
    );
    server.run(&["stream", "create", "logs", "--shards", "2", "--quota", "off"]).ok();
    server.run(&["ingest", "logs", &log.display().to_string()]).ok();
    server.stop();
    data
}

/// The first sealed segment's file, where its entries end, and how many segments there are.
fn segments(data: &str) -> (String, u64, usize) {
    let report: Value =
        serde_json::from_str(&run(&["log", "inspect", data, "--json"]).ok()).expect("the report is JSON");
    let segments = report["lanes"][0]["segments"].as_array().expect("a list of segments");
    let sealed = segments
        .iter()
        .find(|segment| segment["state"] == "sealed")
        .expect("the log is longer than a segment");
    (
        sealed["file"].as_str().expect("a path").to_owned(),
        sealed["entry_bytes"].as_u64().expect("a number"),
        segments.len(),
    )
}

#[test]
fn verify_finds_a_flipped_byte() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let data = filled(folder.path()).display().to_string();
    assert!(run(&["log", "verify", &data]).ok().contains("all sound"));
    let (file, entry_bytes, count) = segments(&data);
    assert!(count > 1);
    let text = run(&["log", "inspect", &data, "--owners"]).ok();
    assert!(text.contains("sealed") && text.contains("OWNER") && text.contains("live"), "{text}");
    let listed = run(&["log", "inspect", &data, "--entries"]).ok();
    let report: Value =
        serde_json::from_str(&run(&["log", "inspect", &data, "--json"]).ok()).expect("the report is JSON");
    let told = report["lanes"][0]["segments"].as_array().into_iter().flatten();
    let told: u64 = told.filter_map(|segment| segment["entries"].as_u64()).sum();
    assert_eq!(listed.lines().count() as u64, told);
    assert!(listed.contains(" batch owner ") && listed.contains(" mark owner 0 "), "{listed}");

    let segment = OpenOptions::new().read(true).write(true).open(&file).expect("the segment is there");
    let place = entry_bytes / 2;
    let mut byte = [0];
    segment.read_exact_at(&mut byte, place).expect("it is that long");
    segment.write_all_at(&[byte[0] ^ 1], place).expect("it is writable");
    let found = run(&["log", "verify", &data]);
    assert_eq!(found.code, Some(5), "{}\n{}", found.stdout, found.stderr);
    assert!(found.stderr.contains(&file) && found.stderr.contains("at byte"), "{}", found.stderr);
    let report: Value =
        serde_json::from_str(&run(&["log", "verify", &data, "--json"]).stdout).expect("the report is JSON");
    assert_eq!(report["is_sound"], false);
    let findings = report["lanes"][0]["segments"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|segment| segment["findings"].as_array().cloned().unwrap_or_default());
    let offsets: Vec<u64> = findings
        .filter(|finding| finding["is_damage"] == true)
        .filter_map(|finding| finding["offset"].as_u64())
        .collect();
    assert!(
        offsets.iter().any(|offset| *offset <= place && place - offset < 1 << 20),
        "byte {place}, found {offsets:?}"
    );

    segment.write_all_at(&byte, place).expect("it is writable");
    run(&["log", "verify", &data]).ok();
}

#[test]
fn what_is_no_data_directory_is_not_found() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let found = run(&["log", "verify", &folder.path().display().to_string()]);
    assert_eq!(found.code, Some(3), "{}", found.stderr);
    assert_eq!(run(&["log", "inspect", "/nowhere/at/all"]).code, Some(3));
}
