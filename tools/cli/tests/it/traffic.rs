//! Records that tell what they are, sent at full speed until the server is gone, and the check of what it kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tidemill_client::{
    Client, ClientOptions, ConsumerOptions, Delivery, Event, ProducerOptions, Quota, Receipt, Record,
    RetryPolicy, Settings, StreamName, Until,
};

const KEYS: u64 = 64;

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

async fn connect(address: &str) -> Client {
    try_connect(address).await.expect("the server answers")
}

async fn try_connect(address: &str) -> Option<Client> {
    let options = ClientOptions { retry: RetryPolicy::NEVER, ..ClientOptions::default() };
    Client::connect(address, options).await.ok()
}

/// A stream and what is sent to it.
#[derive(Clone, Copy)]
pub(crate) struct Flow {
    pub(crate) stream: &'static str,
    pub(crate) shards: u32,
    /// Bytes that a shard keeps, where that is bounded: the oldest records may be gone then.
    pub(crate) retention_bytes: Option<u64>,
    /// Records are up to so many bytes longer than what tells them apart.
    pub(crate) padding_bytes: u64,
    /// Pause before each record, for a stream that others drown.
    pub(crate) pause: Option<Duration>,
}

/// Round and index of acknowledged records, by shard and number.
pub(crate) type Acknowledged = BTreeMap<(u32, u64), (u64, u64)>;

impl Flow {
    fn name(&self) -> StreamName {
        StreamName::new(self.stream).expect("the name is allowed")
    }

    fn payload(&self, round: u64, index: u64) -> String {
        let padding = usize::try_from(index % self.padding_bytes).expect("small");
        format!("{round:03}-{index:09}-{}", "x".repeat(padding))
    }

    pub(crate) async fn create(&self, address: &str) {
        let settings = Settings {
            quota: Some(Quota::OFF),
            retention_bytes: self.retention_bytes,
            ..Settings::default()
        };
        let admin = connect(address).await.admin();
        admin.create_stream(&self.name(), self.shards, settings).await.expect("a new stream");
    }

    /// Sends until the server is gone, which it may be from the start, counts what is acknowledged, and returns it.
    pub(crate) async fn produce(
        self,
        address: String,
        round: u64,
        count: Arc<AtomicU64>,
        ended: Arc<AtomicBool>,
    ) -> Vec<(Receipt, u64)> {
        let Some(client) = try_connect(&address).await else { return Vec::new() };
        let options = ProducerOptions {
            batch_bytes_max: 100_000,
            linger: Duration::ZERO,
            ..ProducerOptions::default()
        };
        let Ok(producer) = client.producer(&self.name(), options).await else { return Vec::new() };
        let (sender, mut deliveries) = tokio::sync::mpsc::channel::<(u64, Delivery)>(100_000);
        let sending = tokio::spawn(async move {
            for index in 0.. {
                if let Some(pause) = self.pause {
                    tokio::time::sleep(pause).await;
                }
                let (key, data) = (format!("key-{}", index % KEYS), self.payload(round, index));
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

    /// Sends so many records and waits until all of them are acknowledged.
    pub(crate) async fn send(&self, address: &str, round: u64, count: u64) -> Vec<(Receipt, u64)> {
        let client = connect(address).await;
        let producer =
            client.producer(&self.name(), ProducerOptions::default()).await.expect("the stream exists");
        let mut deliveries = Vec::new();
        for index in 0..count {
            let (key, data) = (format!("key-{}", index % KEYS), self.payload(round, index));
            let delivery = producer.send(Record::keyed(key.as_bytes(), data.as_bytes())).await;
            deliveries.push((index, delivery.expect("the server takes it")));
        }
        let mut receipts = Vec::new();
        for (index, delivery) in deliveries {
            receipts.push((delivery.await.expect("acknowledged"), index));
        }
        receipts
    }

    /// Takes in what was acknowledged. No number is given twice.
    #[track_caller]
    pub(crate) fn note(&self, round: u64, receipts: Vec<(Receipt, u64)>, acknowledged: &mut Acknowledged) {
        for (receipt, index) in receipts {
            let place = (receipt.shard.get(), receipt.sequence.get());
            let before = acknowledged.insert(place, (round, index));
            assert_eq!(before, None, "number {place:?} of {} was given twice", self.stream);
        }
    }

    /// Everything that is stored is dense, each record is there once and in the order of its key, and what was acknowledged is there
    /// unless retention took it, which takes the oldest. Returns how many records there are.
    pub(crate) async fn check(&self, address: &str, acknowledged: &Acknowledged) -> u64 {
        let client = connect(address).await;
        let options =
            ConsumerOptions { until: Until { end: true, ..Until::default() }, ..ConsumerOptions::default() };
        let mut consumer = client.consumer(&self.name(), options).await.expect("the stream exists");
        let bounded = self.retention_bytes.is_some();
        let mut next: BTreeMap<u32, u64> = BTreeMap::new();
        let mut expired: BTreeMap<u32, u64> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut last_of_key: BTreeMap<Vec<u8>, String> = BTreeMap::new();
        let mut found = BTreeSet::new();
        while let Some(event) = consumer.next().await {
            let batch = match event.expect("stored records can be read") {
                Event::Records(batch) => batch,
                Event::Gap(gap) => {
                    assert!(bounded, "nothing of {} has expired: {gap:?}", self.stream);
                    next.insert(gap.shard.get(), gap.to.get());
                    expired.insert(gap.shard.get(), gap.to.get());
                    continue;
                }
            };
            for record in batch {
                let (shard, sequence) = (record.shard.get(), record.sequence.get());
                let first = if bounded { sequence } else { 0 };
                let next = next.entry(shard).or_insert_with(|| {
                    expired.insert(shard, first);
                    first
                });
                assert_eq!(sequence, *next, "shard {shard} of {} has a hole or a repetition", self.stream);
                *next += 1;
                let data = String::from_utf8(record.data.to_vec()).expect("the records are text");
                if let Some((round, index)) = acknowledged.get(&(shard, sequence)) {
                    assert_eq!(data, self.payload(*round, *index), "shard {shard} record {sequence}");
                    found.insert((shard, sequence));
                }
                // Round and index are at the beginning, with leading zeroes, so texts compare as they were sent.
                let identity = data.get(..13).expect("round and index").to_owned();
                let last = last_of_key.insert(record.key.to_vec(), identity.clone());
                assert!(last.is_none_or(|last| last < identity), "{identity} is out of order");
                assert!(seen.insert(identity), "{data} is there twice");
            }
        }
        let missing = acknowledged
            .keys()
            .find(|place| !found.contains(place) && expired.get(&place.0).is_none_or(|end| place.1 >= *end));
        assert_eq!(missing, None, "an acknowledged record of {} is missing", self.stream);
        seen.len() as u64
    }
}
