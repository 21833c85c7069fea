//! A stream that keeps the last record of each key: what was replaced goes, gaps are skipped, deleted keys vanish.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tidemill_client::{Client, ClientOptions, ProducerOptions, Record, StreamName};

use crate::process::{PATIENCE, Server, records};

/// Segments that fill within a moment, compaction at once.
const SMALL: [&str; 16] = [
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
    "--set",
    "storage.key_compaction_lag=1s",
    "--set",
    "storage.key_table=1MiB",
];

async fn send(address: &str, stream: &str, all: Vec<(String, String)>) {
    let client = Client::connect(address, ClientOptions::default()).await.expect("connected");
    let name = StreamName::new(stream).expect("the name is allowed");
    let producer = client.producer(&name, ProducerOptions::default()).await.expect("the stream is there");
    let mut deliveries = Vec::new();
    for (key, data) in &all {
        deliveries.push(producer.send(Record::keyed(key.as_bytes(), data.as_bytes())).await.expect("taken"));
    }
    for delivery in deliveries {
        delivery.await.expect("stored");
    }
}

fn key(number: usize) -> String {
    format!("key-{number:02}")
}

/// All records but the last one of each key, and the last ones.
fn split(server: &Server, arguments: &[&str]) -> (usize, BTreeMap<String, (u64, String)>) {
    let found = records(&server.run(arguments).ok());
    assert!(found.is_sorted_by(|left, right| left.sequence < right.sequence), "records are in order");
    let all = found.len();
    let last: BTreeMap<_, _> =
        found.into_iter().map(|record| (record.key, (record.sequence, record.data))).collect();
    (all - last.len(), last)
}

#[test]
fn the_last_record_of_each_key_is_kept_and_what_it_replaced_goes() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(&folder.path().join("data"), &SMALL);
    let created = server.run(&[
        "stream",
        "create",
        "state",
        "--compact",
        "keys",
        "--tombstone-age",
        "2s",
        "--quota",
        "off",
    ]);
    assert!(created.ok().contains("kept forever, of each key the last record, tombstones 2.00 s"));
    server.run(&["stream", "create", "other", "--retention-bytes", "1MiB", "--quota", "off"]).ok();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    // Of ten keys; the second half is deleted in the end, and one record behind keeps the last number.
    let update = |round: usize| move |number: usize| (key(number), format!("{round} {}", "x".repeat(2_000)));
    let mut all: Vec<_> = (0..400).flat_map(|round| (0..10).map(update(round))).collect();
    all.extend((5..10).map(|number| (key(number), String::new())));
    let written = all.len() as u64;
    let other: Vec<_> = (0..4_000).map(|number| (key(number % 10), "y".repeat(3_000))).collect();
    runtime.block_on(async {
        send(&server.address, "state", all).await;
        // What comes behind it fills the segment, which is compacted only then.
        send(&server.address, "other", other).await;
    });
    let deadline = Instant::now() + PATIENCE;
    let replay = ["replay", "state", "--from", "0", "--json"];
    loop {
        let (replaced, last) = split(&server, &replay);
        for number in 0..5 {
            let (_, data) = &last[&key(number)];
            assert!(data.starts_with("399 "), "the last value of {number} is {data:.20}");
        }
        if replaced == 0 && last.len() == 5 {
            break;
        }
        assert!(Instant::now() < deadline, "{replaced} replaced records are left, {} keys", last.len());
        std::thread::sleep(Duration::from_millis(300));
    }

    // From within the gap the next record comes first; the numbers of what is gone stay taken.
    let (_, last) = split(&server, &["tail", "state", "--from", "7", "--count", "5", "--json"]);
    assert_eq!(last.values().map(|(sequence, _)| *sequence).min(), Some(399 * 10));
    runtime.block_on(send(&server.address, "state", vec![(key(0), "new".to_owned())]));
    let (_, last) = split(&server, &replay);
    assert_eq!(last[&key(0)], (written, "new".to_owned()));
    assert_eq!(last.len(), 5);
    let described = server.run(&["stream", "update", "state", "--compact", "off", "--retention", "24h"]).ok();
    assert!(described.contains("kept 24h") && !described.contains("of each key"), "{described}");
    server.stop();
}

#[test]
fn key_compaction_is_refused_where_nothing_is_compacted() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let flags = ["--set", "data.lanes=1", "--set", "storage.compaction_bytes_per_second=0B"];
    let server = Server::start(&folder.path().join("data"), &flags);
    let refused = server.run(&["stream", "create", "state", "--compact", "keys"]);
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("storage.compaction_bytes_per_second is 0"), "{}", refused.stderr);
    let alone = server.run(&["stream", "create", "state", "--tombstone-age", "1h"]);
    assert!(alone.stderr.contains("--tombstone-age needs --compact keys"), "{}", alone.stderr);
}
