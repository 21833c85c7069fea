//! Log files in, every line out again: once, and in the order of its key.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Stdio;

use crate::process::{Record, Running, Server, records, size_from};

/// Lines that all differ, of 40 keys, and the folder's files in order of their names.
fn write_logs(folder: &Path, bytes_each: u64) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, name) in ["access-1.log", "access-2.log", "access-3.log"].iter().enumerate() {
        let mut text = String::new();
        let mut number = 0;
        while (text.len() as u64) < bytes_each {
            let line =
                format!("10.0.0.{} file {index} line {number} {}", number * 7 % 40, "x".repeat(number % 120));
            text += &line;
            // Both ends of lines, and none at the end of the last file.
            text += if number % 10 == 3 { "\r\n" } else { "\n" };
            lines.push(line);
            number += 1;
        }
        if index == 2 {
            text.truncate(text.trim_end().len());
        }
        fs::write(folder.join(name), text).expect("the folder is writable");
    }
    lines
}

fn by_key<'l>(lines: impl Iterator<Item = &'l str>) -> BTreeMap<&'l str, Vec<&'l str>> {
    let mut keys: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in lines {
        keys.entry(line.split(' ').next().unwrap_or_default()).or_default().push(line);
    }
    keys
}

#[test]
fn every_line_comes_back_once_and_in_the_order_of_its_key() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let lines = write_logs(folder.path(), size_from("TIDEMILL_TEST_LOG_BYTES", 2_000_000));
    let server = Server::start(&folder.path().join("data"), &[]);
    server.run(&["stream", "create", "logs", "--shards", "4", "--quota", "off"]).ok();
    let pattern = folder.path().join("access-*.log").display().to_string();
    let summary = server.run(&["ingest", "logs", &pattern, "--key", "field:1", "--json"]).ok();
    let summary: serde_json::Value = serde_json::from_str(&summary).expect("the summary is JSON");
    assert_eq!(summary["records"].as_u64(), Some(lines.len() as u64));
    assert_eq!((summary["files"].as_u64(), summary["lines_without_key"].as_u64()), (Some(3), Some(0)));

    let replayed = records(&server.run(&["replay", "logs", "--json"]).ok());
    assert_eq!(replayed.len(), lines.len());
    assert!(replayed.iter().all(|record| record.data.starts_with(&format!("{} ", record.key))));
    let expected = by_key(lines.iter().map(String::as_str));
    assert!(
        by_key(replayed.iter().map(|record| record.data.as_str())) == expected,
        "a key's lines differ from the input's"
    );

    let mut raw: Vec<String> =
        server.run(&["replay", "logs", "--raw"]).ok().lines().map(str::to_owned).collect();
    let mut sorted = lines;
    raw.sort_unstable();
    sorted.sort_unstable();
    assert!(raw == sorted, "the lines differ from the input's");
    check_shards(&replayed);
    check_ranges(&server, &replayed);
    server.stop();
}

/// Numbers are dense from 0, and a key is in one shard.
fn check_shards(replayed: &[Record]) {
    let mut next: BTreeMap<u64, u64> = BTreeMap::new();
    let mut home: BTreeMap<&str, u64> = BTreeMap::new();
    for record in replayed {
        let next = next.entry(record.shard).or_default();
        assert_eq!(record.sequence, *next, "shard {}", record.shard);
        *next += 1;
        assert_eq!(*home.entry(&record.key).or_insert(record.shard), record.shard, "key {}", record.key);
    }
    assert_eq!(next.len(), 4, "40 keys reach every shard");
}

/// A range by number gives exactly its records.
fn check_ranges(server: &Server, replayed: &[Record]) {
    let shard: Vec<&Record> = replayed.iter().filter(|record| record.shard == 2).collect();
    let range = ["replay", "logs", "--shard", "2", "--from", "1000", "--count", "10"];
    let expected: Vec<&str> = shard[1_000..1_010].iter().map(|record| record.data.as_str()).collect();
    assert_eq!(server.run(&range).ok().lines().collect::<Vec<_>>(), expected);
    let half_open = ["replay", "logs", "--shard", "2", "--from", "1000", "--to", "1003", "--json"];
    let numbers: Vec<u64> =
        records(&server.run(&half_open).ok()).iter().map(|record| record.sequence).collect();
    assert_eq!(numbers, [1_000, 1_001, 1_002]);
    let beyond = server.run(&["replay", "logs", "--shard", "2", "--from", "99999999"]);
    assert_eq!((beyond.code, beyond.stdout.as_str()), (Some(3), ""), "there is no such record");
    assert_eq!(server.run(&["replay", "nowhere"]).code, Some(3));
    assert_eq!(server.run(&["replay", "logs", "--shard", "9"]).code, Some(3));
}

#[test]
fn a_reader_that_goes_away_ends_a_replay_quietly() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    write_logs(folder.path(), 500_000);
    let server = Server::start(&folder.path().join("data"), &[]);
    server.run(&["stream", "create", "logs", "--quota", "off"]).ok();
    let log = folder.path().join("access-1.log").display().to_string();
    server.run(&["ingest", "logs", &log]).ok();
    let mut replay =
        Running::start(server.command(&["replay", "logs"]).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut line = String::new();
    let stdout = replay.child.stdout.take().expect("standard output is piped");
    BufReader::new(stdout).read_line(&mut line).expect("a line comes");
    assert!(line.starts_with("10.0.0.0 file 0 line 0"), "{line}");
    let code = replay.wait().code();
    let mut errors = String::new();
    replay
        .child
        .stderr
        .take()
        .expect("standard error is piped")
        .read_to_string(&mut errors)
        .expect("a pipe can be read");
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    server.stop();
}

#[test]
fn streams_are_created_described_changed_and_deleted() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(&folder.path().join("data"), &[]);
    server.run(&["stream", "create", "logs", "--shards", "4", "--retention", "48h"]).ok();
    let again = server.run(&["stream", "create", "logs"]);
    assert_eq!(again.code, Some(4), "{}", again.stderr);
    assert_eq!(again.stderr.lines().count(), 1, "an error is one line");
    server.run(&["stream", "create", "logs", "--if-missing"]).ok();
    let describe = |name: &str| -> serde_json::Value {
        let text = server.run(&["stream", "describe", name, "--json"]).ok();
        serde_json::from_str(&text).expect("the description is JSON")
    };
    let stream = describe("logs");
    assert_eq!(stream["shards"].as_array().map(Vec::len), Some(4));
    assert_eq!(stream["retention_ms"].as_u64(), Some(48 * 3_600_000));
    let rates = |stream: &serde_json::Value| {
        ["write_bytes_per_second", "write_records_per_second", "read_bytes_per_second"]
            .map(|rate| stream["quota"][rate].as_u64())
    };
    assert_eq!(rates(&stream), [Some(1_000_000), Some(1_000), Some(2_000_000)], "as Kinesis, by default");
    server.run(&["stream", "update", "logs", "--quota", "write=5MB", "--retention", "24h"]).ok();
    assert_eq!(rates(&describe("logs")), [Some(5_000_000), Some(1_000), Some(2_000_000)]);
    assert!(server.run(&["stream", "list"]).ok().contains("logs"));
    server.run(&["stream", "delete", "logs"]).ok();
    assert_eq!(server.run(&["stream", "describe", "logs"]).code, Some(3));
    assert_eq!(server.run(&["stream", "delete", "logs"]).code, Some(3));
    server.run(&["stream", "delete", "logs", "--if-present"]).ok();
}
