//! `kill -9` in the middle of a durable ingest at full speed, again and again, on the same directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tidemill_client::{
    Client, ClientOptions, ConsumerOptions, Delivery, Event, ProducerOptions, Quota, Receipt, Record,
    RetryPolicy, Settings, StreamName, Until,
};

use crate::process::{PATIENCE, Server, size_from};

const KEYS: u64 = 64;
/// Small segments, so that crashes fall into every part of their life.
const FLAGS: &[&str] = &["--set", "storage.segment_size=8MiB", "--set", "storage.group_bytes=1MiB"];

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn name() -> StreamName {
    StreamName::new("logs").expect("the name is allowed")
}

async fn connect(address: &str) -> Client {
    let options = ClientOptions { retry: RetryPolicy::NEVER, ..ClientOptions::default() };
    Client::connect(address, options).await.expect("the server answers")
}

fn payload(round: u64, index: u64) -> String {
    format!("{round:03}-{index:09}-{}", "x".repeat(usize::try_from(index % 200).expect("small")))
}

/// Acknowledged records by shard and number.
type Acknowledged = BTreeMap<(u32, u64), String>;

/// Sends at full speed until the server is gone, and returns what was acknowledged.
async fn produce(
    address: String,
    round: u64,
    count: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
) -> Vec<(Receipt, u64)> {
    let client = connect(&address).await;
    let options =
        ProducerOptions { batch_bytes_max: 100_000, linger: Duration::ZERO, ..ProducerOptions::default() };
    let producer = client.producer(&name(), options).await.expect("the stream exists");
    let (sender, mut deliveries) = tokio::sync::mpsc::channel::<(u64, Delivery)>(100_000);
    let sending = tokio::spawn(async move {
        for index in 0.. {
            let (key, data) = (format!("key-{}", index % KEYS), payload(round, index));
            let Ok(delivery) = producer.send(Record::keyed(key.as_bytes(), data.as_bytes())).await else {
                break;
            };
            if ended.load(Ordering::Relaxed) || sender.send((index, delivery)).await.is_err() {
                break;
            }
        }
    });
    let mut receipts = Vec::new();
    while let Some((index, delivery)) = deliveries.recv().await {
        if let Ok(receipt) = delivery.await {
            receipts.push((receipt, index));
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
    sending.await.expect("the sending task does not panic");
    receipts
}

/// Everything that is stored is dense, each record is there once and in the order of its key, and what was acknowledged is there.
async fn check(address: &str, acknowledged: &Acknowledged) -> u64 {
    let client = connect(address).await;
    let options =
        ConsumerOptions { until: Until { end: true, ..Until::default() }, ..ConsumerOptions::default() };
    let mut consumer = client.consumer(&name(), options).await.expect("the stream exists");
    let mut next: BTreeMap<u32, u64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut last_of_key: BTreeMap<Vec<u8>, String> = BTreeMap::new();
    let mut found = 0;
    while let Some(event) = consumer.next().await {
        let Event::Records(batch) = event.expect("stored records can be read") else {
            panic!("nothing has expired")
        };
        for record in batch {
            let (shard, sequence) = (record.shard.get(), record.sequence.get());
            let next = next.entry(shard).or_default();
            assert_eq!(sequence, *next, "shard {shard} has a hole or a repetition");
            *next += 1;
            let data = String::from_utf8(record.data.to_vec()).expect("the records are text");
            if let Some(expected) = acknowledged.get(&(shard, sequence)) {
                assert_eq!(&data, expected, "shard {shard} record {sequence}");
                found += 1;
            }
            // Round and index are at the beginning, with leading zeroes, so texts compare as they were sent.
            let last = last_of_key.insert(record.key.to_vec(), data.clone());
            assert!(last.is_none_or(|last| last < data), "{data} is out of order");
            assert!(seen.insert(data.clone()), "{data} is there twice");
        }
    }
    assert_eq!(found, acknowledged.len(), "acknowledged records are missing");
    seen.len() as u64
}

#[track_caller]
fn wait_for(count: &AtomicU64, wanted: u64, server: &Server) {
    let deadline = Instant::now() + PATIENCE;
    while count.load(Ordering::Relaxed) < wanted {
        assert!(Instant::now() < deadline, "the server stopped acknowledging: {}", server.log());
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn crash_once(data: &Path, round: u64, acknowledged: &mut Acknowledged, runtime: &tokio::runtime::Runtime) {
    let server = Server::start(data, FLAGS);
    let stored = if round == 0 {
        runtime.block_on(async {
            let settings = Settings { quota: Some(Quota::OFF), ..Settings::default() };
            connect(&server.address)
                .await
                .admin()
                .create_stream(&name(), 4, settings)
                .await
                .expect("a new stream");
        });
        0
    } else {
        runtime.block_on(check(&server.address, acknowledged))
    };
    let (count, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let producing = runtime.spawn(produce(server.address.clone(), round, count.clone(), ended.clone()));
    // Another place each time, spread as a low-discrepancy sequence.
    wait_for(&count, 1_000 + round * 7_919 % 6_000, &server);
    server.kill();
    ended.store(true, Ordering::Relaxed);
    let receipts = runtime.block_on(producing).expect("the producer does not panic");
    assert!(!receipts.is_empty());
    for (receipt, index) in receipts {
        let place = (receipt.shard.get(), receipt.sequence.get());
        let before = acknowledged.insert(place, payload(round, index));
        assert_eq!(before, None, "number {place:?} was given twice, with {stored} records stored before");
    }
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
    runtime.block_on(check(&server.address, &acknowledged));
    server.stop();
}
