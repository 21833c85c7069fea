//! A whole data directory as an earlier version left it: the server opens it, and it holds what it held.
//!
//! The images in `tests/fixtures` are of a server that was killed: two lanes, a catalog with a stream of each kind; in the second one a stream was resharded. They are never written
//! anew for a change of the code: a change of a format gets an image of its own beside them, made by the second test with `TIDEMILL_DATA_IMAGE=FILE`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tidemill_client::{Client, ClientOptions, ProducerOptions, Receipt, Record, StreamName};

use crate::image::{pack, unpack};
use crate::process::{Server, records, run};
use crate::reshard::{scale, shards};
use crate::traffic::runtime;

/// Images, and the streams in them.
const IMAGES: [(&str, &[&str]); 2] = [
    ("data-directory.image", &["plain", "state"]),
    ("data-directory-resharded.image", &["plain", "state", "moved"]),
];
const FLAGS: &[&str] = &[
    "--set",
    "data.lanes=2",
    "--set",
    "storage.segment_size=4MiB",
    "--set",
    "storage.group_bytes=256KiB",
    "--set",
    "limits.frame_bytes=512KiB",
    "--set",
    "aws.authentication=off",
];
const KEYS: usize = 10;
const RECORDS: usize = 400;

fn record(number: usize) -> (String, String) {
    (format!("key-{:02}", number % KEYS), format!("value {number:04} {}", "x".repeat(number % 40)))
}

async fn send(address: &str, stream: &str, numbers: std::ops::Range<usize>) -> Vec<Receipt> {
    let client = Client::connect(address, ClientOptions::default()).await.expect("connected");
    let name = StreamName::new(stream).expect("the name is allowed");
    let producer = client.producer(&name, ProducerOptions::default()).await.expect("the stream is there");
    let mut deliveries = Vec::new();
    for number in numbers {
        let (key, data) = record(number);
        deliveries.push(producer.send(Record::keyed(key.as_bytes(), data.as_bytes())).await.expect("taken"));
    }
    let mut receipts = Vec::new();
    for delivery in deliveries {
        receipts.push(delivery.await.expect("stored"));
    }
    receipts
}

/// Lets a server write to a new directory, restart, write on, and be killed.
fn make(data: &Path) {
    let runtime = runtime();
    let server = Server::start(data, FLAGS);
    server.run(&["stream", "create", "plain", "--shards", "3", "--retention", "365d", "--quota", "off"]).ok();
    server.run(&["stream", "create", "state", "--shards", "2", "--compact", "keys", "--quota", "off"]).ok();
    runtime.block_on(send(&server.address, "plain", 0..RECORDS / 2));
    server.stop();
    let server = Server::start(data, FLAGS);
    runtime.block_on(send(&server.address, "plain", RECORDS / 2..RECORDS));
    runtime.block_on(send(&server.address, "state", 0..RECORDS));
    let moved = ["stream", "create", "moved", "--shards", "2", "--compact", "keys", "--quota", "off"];
    server.run(&moved).ok();
    for (part, target) in (0..4).zip([4, 3, 3, 3]) {
        runtime.block_on(send(&server.address, "moved", part * RECORDS / 4..(part + 1) * RECORDS / 4));
        let (status, answer) = scale(&server.http, "moved", target).expect("the server answers");
        assert_eq!(status, 200, "{answer}");
    }
    server.kill();
}

/// Checks that every record is there once and in the order of its key, and that the server goes on with the numbers. Of an image that `may_be_old`, the records of a stream
/// that keeps them for a year may all be over.
fn check(data: &Path, streams: &[&str], may_be_old: bool) {
    let server = Server::start(data, FLAGS);
    if streams.contains(&"moved") {
        // Its shards keep all, so those that were closed stay.
        assert_eq!(shards(&server.http, "moved"), (3, 13));
    }
    for stream in streams.iter().copied() {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for record in records(&server.run(&["replay", stream, "--json"]).ok()) {
            found.entry(record.key).or_default().push(record.data);
        }
        if found.is_empty() && stream == "plain" && may_be_old {
            continue;
        }
        let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (key, data) in (0..RECORDS).map(record) {
            expected.entry(key).or_default().push(data);
        }
        assert_eq!(found, expected, "the records of {stream}");
    }
    let appended = runtime().block_on(send(&server.address, "plain", 0..KEYS));
    let mut next: BTreeMap<u32, u64> = BTreeMap::new();
    for receipt in &appended {
        let next = next.entry(receipt.shard.get()).or_default();
        *next = receipt.sequence.get().max(*next);
    }
    let numbers: u64 = next.values().map(|last| last + 1).sum();
    assert_eq!((next.len(), numbers), (3, (RECORDS + KEYS) as u64), "numbers go on in every shard");
    server.stop();
    run(&["log", "verify", &data.display().to_string()]).ok();
}

#[test]
fn a_data_directory_of_an_earlier_version_opens_and_goes_on() {
    for (image, streams) in IMAGES {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let data = folder.path().join("data");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(image);
        unpack(&fs::read(path).expect("the image"), &data);
        check(&data, streams, true);
    }
}

#[test]
fn a_data_directory_that_is_made_now_is_like_the_image() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let data = folder.path().join("data");
    make(&data);
    let image = pack(&data);
    if let Some(path) = std::env::var_os("TIDEMILL_DATA_IMAGE") {
        fs::write(path, &image).expect("written");
    }
    let copy = folder.path().join("copy");
    unpack(&image, &copy);
    check(&copy, IMAGES[1].1, false);
}
