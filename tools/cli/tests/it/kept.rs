//! A data directory with some full segments of known records, for tests that damage copies of it and hold what is left against the original.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::process::{Finished, Server, records, run};

/// One lane with the smallest segments, in which nothing moves.
pub(crate) const FLAGS: &[&str] = &[
    "--set",
    "data.lanes=1",
    "--set",
    "storage.segment_size=4MiB",
    "--set",
    "storage.group_bytes=256KiB",
    "--set",
    "storage.compaction_bytes_per_second=0",
];
/// So many lines of 20 kB fill three segments, and a part of the next one.
const LINES: u64 = 700;
const LINE_BYTES: usize = 20_000;

/// Every record by shard and number.
pub(crate) type Records = BTreeMap<(u64, u64), String>;

/// The directory and what is in it.
pub(crate) struct Kept {
    folder: tempfile::TempDir,
    pub(crate) records: Records,
}

impl Kept {
    /// Fills a directory, and stops its server in order.
    pub(crate) fn fill() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let server = Server::start(&folder.path().join("data"), FLAGS);
        let lines: String = (0..LINES)
            .map(|line| format!("key-{} {line:05} {}\n", line % 64, "x".repeat(LINE_BYTES)))
            .collect();
        let file = folder.path().join("lines");
        fs::write(&file, lines).expect("the folder is writable");
        server.run(&["stream", "create", "logs", "--shards", "2", "--quota", "off"]).ok();
        server.run(&["ingest", "logs", &file.display().to_string(), "--key", "field:1"]).ok();
        let records = read(&server).expect("everything can be read");
        assert_eq!(records.len() as u64, LINES);
        server.stop();
        Self { folder, records }
    }

    /// A copy in a folder of its own, which goes with the first value.
    pub(crate) fn copy(&self) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let data = folder.path().join("data");
        copy_all(&self.folder.path().join("data"), &data);
        (folder, data)
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir(to).expect("made");
    for entry in fs::read_dir(from).expect("the directory") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_all(&path, &to);
        } else {
            fs::copy(&path, &to).expect("copied");
        }
    }
}

/// Reads everything through a server, or returns what the replay said.
pub(crate) fn read(server: &Server) -> Result<Records, Finished> {
    let finished = server.run(&["replay", "logs", "--json"]);
    if finished.code != Some(0) {
        return Err(finished);
    }
    let read = records(&finished.stdout);
    let count = read.len();
    let read: Records =
        read.into_iter().map(|record| ((record.shard, record.sequence), record.data)).collect();
    assert_eq!(read.len(), count, "a number is there twice");
    Ok(read)
}

/// The full segments of lane 0, in order.
pub(crate) fn segments(data: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(data.join("lane-000")).expect("the lane");
    let mut segments: Vec<PathBuf> = files
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "segment") && footer(path).is_some())
        .collect();
    segments.sort();
    segments
}

/// Where the footer of a full segment begins and where its trailer page does.
pub(crate) fn footer(path: &Path) -> Option<(u64, u64)> {
    let file = fs::File::open(path).expect("it is there");
    let trailer = file.metadata().expect("it is there").len() - 4096;
    let mut page = [0; 40];
    file.read_exact_at(&mut page, trailer).expect("it is that long");
    let position = u64::from_le_bytes(page[32..].try_into().expect("eight bytes"));
    (&page[..8] == b"TIDEMEND").then_some((position, trailer))
}

/// Flips one bit.
pub(crate) fn flip(path: &Path, place: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).expect("it is there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).expect("it is that long");
    file.write_all_at(&[byte[0] ^ 0x10], place).expect("it is writable");
}

/// Repairs, and returns the report.
pub(crate) fn repair(data: &Path) -> Value {
    let repaired = run(&["log", "repair", &data.display().to_string(), "--apply", "--json"]).ok();
    serde_json::from_str(&repaired).expect("the report is JSON")
}

/// How many records a report calls lost.
pub(crate) fn lost(report: &Value) -> u64 {
    let segments = report["lanes"].as_array().into_iter().flatten();
    let segments = segments.flat_map(|lane| lane["segments"].as_array().into_iter().flatten());
    let lost = segments.flat_map(|segment| segment["lost_records"].as_array().into_iter().flatten());
    lost.map(|lost| {
        let number = |name: &str| lost[name].as_u64().expect("a number");
        number("to_sequence") - number("from_sequence")
    })
    .sum()
}

/// What can be read is as it was, but for so many records.
#[track_caller]
pub(crate) fn check(data: &Path, original: &Records, lost: u64) {
    run(&["log", "verify", &data.display().to_string()]).ok();
    let server = Server::start(data, FLAGS);
    let read = read(&server).unwrap_or_else(|finished| panic!("{}", finished.stderr));
    let same = read.iter().all(|(place, data)| original.get(place) == Some(data));
    assert!(same, "a record is another one than before");
    assert_eq!(original.len() as u64 - read.len() as u64, lost, "as many are gone as were told");
    server.stop();
}
