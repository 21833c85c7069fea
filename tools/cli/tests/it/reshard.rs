//! Shards are split and merged under traffic, and the server is killed in the middle of it: at random moments, and at each step of a change.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidemill_client::{Client, ClientOptions, ConsumerOptions, Event, StreamName};

use crate::process::{PATIENCE, Server, Start, size_from};
use crate::traffic::{Acknowledged, Flow, runtime};

const FLAGS: &[&str] = &[
    "--set",
    "storage.segment_size=8MiB",
    "--set",
    "storage.group_bytes=1MiB",
    "--set",
    "data.lanes=3",
    "--set",
    "aws.authentication=off",
];

const LOGS: Flow = Flow { stream: "logs", shards: 2, retention_bytes: None, padding_bytes: 200, pause: None };

/// Calls Kinesis without a signature; an error is a server that has gone.
fn call(address: &str, operation: &str, input: &Value) -> std::io::Result<(u16, Value)> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let body = input.to_string();
    write!(
        socket,
        "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/x-amz-json-1.1\r\n\
         x-amz-target: Kinesis_20131202.{operation}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let gone = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(gone)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(gone)?;
    Ok((status, serde_json::from_str(body).unwrap_or_default()))
}

pub(crate) fn scale(address: &str, stream: &str, target: u64) -> std::io::Result<(u16, Value)> {
    let input = json!({ "StreamName": stream, "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING" });
    call(address, "UpdateShardCount", &input)
}

/// Open shards, and all of them. The stream is ACTIVE.
pub(crate) fn shards(address: &str, stream: &str) -> (u64, usize) {
    let ask =
        |operation| call(address, operation, &json!({ "StreamName": stream })).expect("the server answers").1;
    let summary = &ask("DescribeStreamSummary")["StreamDescriptionSummary"];
    assert_eq!(summary["StreamStatus"], "ACTIVE");
    let all = ask("ListShards")["Shards"].as_array().map_or(0, Vec::len);
    (summary["OpenShardCount"].as_u64().expect("a count"), all)
}

/// Scales up and down, each change as soon as the one before is answered, until the server is gone. Returns how many changes were answered.
fn keep_scaling(address: &str) -> u64 {
    let mut answered = 0;
    for target in [3, 6, 4, 2, 4, 5, 3, 2].into_iter().cycle() {
        match scale(address, LOGS.stream, target) {
            Ok((200, _)) => answered += 1,
            // After a kill the next target may be too far off.
            Ok((400, refused)) if refused["__type"] == "LimitExceededException" => {}
            Ok(other) => panic!("a change is refused: {other:?}"),
            Err(_) => break,
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    answered
}

#[test]
fn what_was_acknowledged_survives_kill_9_in_the_middle_of_changes() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let data = folder.path().join("data");
    let runtime = runtime();
    let mut acknowledged = Acknowledged::new();
    let mut changes = 0;
    for round in 0..size_from("TIDEMILL_TEST_RESHARD_CRASHES", 8) {
        let server = Server::start(&data, FLAGS);
        if round == 0 {
            runtime.block_on(LOGS.create(&server.address));
        } else {
            runtime.block_on(LOGS.check(&server.address, &acknowledged));
            shards(&server.http, LOGS.stream);
        }
        let (count, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let producing =
            runtime.spawn(LOGS.produce(server.address.clone(), round, count.clone(), ended.clone()));
        let http = server.http.clone();
        let scaling = std::thread::spawn(move || keep_scaling(&http));
        let deadline = Instant::now() + PATIENCE;
        while count.load(Ordering::Relaxed) < 2_000 + round * 7_919 % 6_000 {
            assert!(Instant::now() < deadline, "the server stopped acknowledging: {}", server.log());
            std::thread::sleep(Duration::from_millis(1));
        }
        server.kill();
        ended.store(true, Ordering::Relaxed);
        changes += scaling.join().expect("no change is refused");
        let receipts = runtime.block_on(producing).expect("the producer does not panic");
        LOGS.note(round, receipts, &mut acknowledged);
    }
    assert!(changes > 0, "no shard was ever changed");
    let server = Server::start(&data, FLAGS);
    runtime.block_on(LOGS.check(&server.address, &acknowledged));
    server.stop();
}

/// The steps of a change: hold, write down, take in, show, release.
const STEPS: &[(&str, bool)] = &[
    ("before:tell:other:1", false),
    ("after:tell:other:1", false),
    ("before:commit:other:1", false),
    ("after:commit:other:1", true),
    ("before:tell:other:2", true),
    ("after:tell:other:2", true),
    ("after:tell:other:3", true),
    ("before:tell:other:4", true),
    ("after:tell:other:4", true),
];

#[test]
fn a_kill_at_any_step_of_a_change_leaves_the_old_shards_or_the_new_ones() {
    if !tidemill_storage::failpoint::COMPILED {
        eprintln!("not run: a release build has no failpoints");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary directory");
    let data = folder.path().join("data");
    let runtime = runtime();
    let mut acknowledged = Acknowledged::new();
    let server = Server::start(&data, FLAGS);
    runtime.block_on(LOGS.create(&server.address));
    let (mut open, mut all) = shards(&server.http, LOGS.stream);
    server.stop();
    for (round, (point, is_changed)) in (0..).zip(STEPS) {
        crash_at(point, &data, 2 * round, if open == 2 { 4 } else { 2 }, &mut acknowledged, &runtime);
        let server = Server::start(&data, FLAGS);
        let found = shards(&server.http, LOGS.stream);
        assert_eq!(found == (open, all), !is_changed, "{point}: {open} of {all} shards are {found:?}");
        assert!(!is_changed || found.0 == 6 - open, "{point}: half of a change: {found:?}");
        (open, all) = found;
        runtime.block_on(LOGS.check(&server.address, &acknowledged));
        let receipts = runtime.block_on(LOGS.send(&server.address, 2 * round + 1, 200));
        LOGS.note(2 * round + 1, receipts, &mut acknowledged);
        server.kill();
    }
}

fn crash_at(
    point: &str,
    data: &Path,
    round: u64,
    target: u64,
    acknowledged: &mut Acknowledged,
    runtime: &tokio::runtime::Runtime,
) {
    let Start::Listening(mut server) = Server::start_armed(data, FLAGS, point) else {
        panic!("{point} is met before a change");
    };
    let (count, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let producing = runtime.spawn(LOGS.produce(server.address.clone(), round, count.clone(), ended.clone()));
    let deadline = Instant::now() + PATIENCE;
    while count.load(Ordering::Relaxed) < 500 {
        assert!(Instant::now() < deadline, "the server stopped acknowledging: {}", server.log());
        std::thread::sleep(Duration::from_millis(1));
    }
    scale(&server.http, LOGS.stream, target).expect_err("the server has gone before it answers");
    let status = server.process.wait();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{point}: {}", server.log());
    ended.store(true, Ordering::Relaxed);
    let receipts = runtime.block_on(producing).expect("the producer does not panic");
    LOGS.note(round, receipts, acknowledged);
}

#[test]
fn the_commands_split_merge_and_scale() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(&folder.path().join("data"), FLAGS);
    server.run(&["stream", "create", "logs", "--shards", "2"]).ok();
    let states = |arguments: &[&str]| {
        let output = server.run(&[&["stream"], arguments, &["--json"]].concat()).ok();
        let described: Value = serde_json::from_str(&output).expect("JSON");
        let shards = described["shards"].as_array().expect("a list").clone();
        let state = |shard: &Value| shard["state"].as_str().expect("a state").to_owned();
        shards.iter().map(state).collect::<Vec<_>>()
    };
    assert_eq!(states(&["split", "logs", "0"]), ["closed", "open", "open", "open"]);
    assert_eq!(states(&["merge", "logs", "3", "1"]), ["closed", "closed", "open", "closed", "open"]);
    assert_eq!(states(&["scale", "logs", "4"]).iter().filter(|state| *state == "open").count(), 4);
    let refused = server.run(&["stream", "split", "logs", "0"]);
    assert!(refused.code != Some(0) && refused.stderr.contains("closed"), "{refused:?}");
    let refused = server.run(&["stream", "scale", "logs", "9"]);
    assert!(refused.code != Some(0) && refused.stderr.contains("half to twice"), "{refused:?}");
    server.stop();
}

/// Reads as it comes, from the first record on, and checks that each key's records come in order.
async fn follow(address: String, records: u64) -> usize {
    let client = Client::connect(&address, ClientOptions::default()).await.expect("the server answers");
    let name = StreamName::new(LOGS.stream).expect("the name is allowed");
    let options = ConsumerOptions { count: Some(records), ..ConsumerOptions::default() };
    let mut consumer = client.consumer(&name, options).await.expect("the stream exists");
    let mut last_of_key: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut shards = std::collections::BTreeSet::new();
    while let Some(event) = consumer.next().await {
        let Event::Records(batch) = event.expect("stored records can be read") else { panic!("a gap") };
        for record in batch {
            shards.insert(record.shard);
            let identity = record.data[..13].to_vec();
            let last = last_of_key.insert(record.key.to_vec(), identity.clone());
            assert!(last.is_none_or(|last| last < identity), "{identity:?} is out of order");
        }
    }
    shards.len()
}

#[test]
fn producers_and_consumers_follow_the_shards_without_loss_or_repetition() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let runtime = runtime();
    let server = Server::start(&folder.path().join("data"), FLAGS);
    runtime.block_on(LOGS.create(&server.address));
    let (rounds, each) = (12, 1_000);
    let following = runtime.spawn(follow(server.address.clone(), rounds * each));
    let ended = Arc::new(AtomicBool::new(false));
    let (http, scaling_ended) = (server.http.clone(), Arc::clone(&ended));
    let scaling = std::thread::spawn(move || {
        for (changes, target) in [3, 6, 4, 2, 4, 5, 3, 2].into_iter().cycle().enumerate() {
            if scaling_ended.load(Ordering::Relaxed) && changes >= 8 {
                return;
            }
            let (status, answer) = scale(&http, LOGS.stream, target).expect("the server answers");
            assert_eq!(status, 200, "{answer}");
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let mut acknowledged = Acknowledged::new();
    for round in 0..rounds {
        let receipts = runtime.block_on(LOGS.send(&server.address, round, each));
        LOGS.note(round, receipts, &mut acknowledged);
    }
    ended.store(true, Ordering::Relaxed);
    scaling.join().expect("every change is made");
    assert_eq!(acknowledged.len() as u64, rounds * each);
    assert_eq!(runtime.block_on(LOGS.check(&server.address, &acknowledged)), rounds * each);
    let follow = async { tokio::time::timeout(PATIENCE, following).await };
    let shards = runtime.block_on(follow).expect("every record comes").expect("the consumer does not panic");
    assert!(shards > 5, "{shards} shards have records");
    server.stop();
}
