//! The shard map changes while records are on their way.

use std::collections::BTreeMap;
use std::time::Duration;

use tidemill_client::{
    ConsumerOptions, ErrorCode, Event, Failure, HashKey, ProducerOptions, Record, RetryPolicy, SendError,
    ShardIndex, Until,
};

use crate::fake::{Fake, Kind, Step, name};

fn key(number: u32) -> String {
    format!("key-{}", number % 17)
}

#[tokio::test]
async fn records_follow_their_keys_across_splits_in_order() {
    let fake = Fake::start(2).await;
    let client = fake.client().await;
    let options = ProducerOptions { batch_records_max: 5, ..ProducerOptions::default() };
    let producer = client.producer(&name("s"), options).await.expect("a producer");
    let mut deliveries = Vec::new();
    for number in 0..600_u32 {
        if number == 200 {
            fake.model().split("s", 0);
        }
        if number == 400 {
            fake.model().split("s", 1);
            fake.model().split("s", 2);
        }
        let record = (key(number), number.to_string());
        let record = Record::keyed(record.0.as_bytes(), record.1.as_bytes());
        deliveries.push(producer.send(record).await.expect("taken"));
        if number % 50 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    for (number, delivery) in (0..).zip(deliveries) {
        let receipt = delivery.await.expect("stored");
        let at = usize::try_from(receipt.sequence.0).expect("small");
        let stored = fake.model().shard("s", receipt.shard.0).records()[at].clone();
        assert_eq!(stored, (key(number).into_bytes(), number.to_string().into_bytes()));
    }
    assert_eq!(producer.stream().map_version, 4);
    producer.close().await.expect("stored");

    // A consumer of all shards reads parents before their children, so each key's numbers rise.
    let until = Until { end: true, ..Until::default() };
    let options = ConsumerOptions { until, ..ConsumerOptions::default() };
    let mut consumer = client.consumer(&name("s"), options).await.expect("a consumer");
    let mut seen: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    let mut count = 0;
    while let Some(event) = consumer.next().await {
        let Event::Records(batch) = event.expect("readable") else { panic!("nothing is missing") };
        for record in batch {
            let number: u32 = std::str::from_utf8(&record.data).expect("text").parse().expect("a number");
            let last = seen.insert(record.key.to_vec(), number);
            assert!(last < Some(number), "{last:?} before {number}");
            count += 1;
        }
    }
    assert_eq!(count, 600);
}

#[tokio::test]
async fn a_record_for_a_shard_that_closed_fails_alone() {
    let fake = Fake::start(2).await;
    let client = fake.client().await;
    let options = ProducerOptions { linger: Duration::from_secs(600), ..ProducerOptions::default() };
    let producer = client.producer(&name("s"), options).await.expect("a producer");
    let mut keyed = Vec::new();
    for number in 0..40_u32 {
        let record = (key(number), number.to_string());
        keyed.push(
            producer.send(Record::keyed(record.0.as_bytes(), record.1.as_bytes())).await.expect("taken"),
        );
    }
    let pinned = producer.send_to_shard(ShardIndex(0), Record::new(b"pinned")).await.expect("taken");
    fake.model().split("s", 0);
    assert!(producer.flush().await.is_err());
    let error = pinned.await.expect_err("its shard is closed");
    assert!(matches!(error, SendError::UnknownShard { shard: ShardIndex(0) }), "{error}");
    for delivery in keyed {
        delivery.await.expect("stored elsewhere");
    }
}

#[tokio::test]
async fn a_stream_that_was_deleted_ends_its_producer() {
    for recreated in [false, true] {
        let fake = Fake::start(2).await;
        let client = fake.client().await;
        let producer = client.producer(&name("s"), ProducerOptions::default()).await.expect("a producer");
        fake.model().streams.clear();
        if recreated {
            fake.model().create(&name("s"), 2);
        }
        for _ in 0..2 {
            let sent = producer.send(Record::keyed(b"k", b"v")).await;
            let error = match sent {
                Ok(delivery) => delivery.await.expect_err("gone"),
                Err(error) => error,
            };
            assert_eq!(error.code(), Some(ErrorCode::UnknownStream), "{error}");
        }
        assert!(!recreated || fake.model().shard("s", 0).records().is_empty());
    }
}

#[tokio::test]
async fn a_refusal_that_the_map_does_not_explain_is_tried_again() {
    let fake = Fake::start(1).await;
    let client = fake.client().await;
    let producer = client.producer(&name("s"), ProducerOptions::default()).await.expect("a producer");
    let unknown = Step::Refuse(Failure::new(ErrorCode::UnknownShard, "a moment"));
    fake.script(Kind::Append, std::iter::repeat_n(unknown.clone(), 3));
    producer.send(Record::new(b"x")).await.expect("taken").await.expect("the fourth try");
    fake.script(Kind::Append, std::iter::repeat_n(unknown, 2_000));
    let error = producer.send(Record::new(b"x")).await.expect("taken").await.expect_err("given up");
    assert_eq!(error.code(), Some(ErrorCode::UnknownShard), "{error}");
}

#[tokio::test]
async fn a_shard_that_is_being_split_is_waited_for_without_counting_as_a_failure() {
    let fake = Fake::start(1).await;
    let client = fake.client_with(|options| options.retry = RetryPolicy::NEVER).await;
    let producer = client.producer(&name("s"), ProducerOptions::default()).await.expect("a producer");
    let moving = Failure::new(ErrorCode::ShardMoving, "a moment").with_retry_after(Duration::from_millis(2));
    fake.script(Kind::Append, std::iter::repeat_n(Step::Refuse(moving), 20));
    let sent = producer.send(Record::new(b"x")).await.expect("taken").await.expect("the next try");
    assert_eq!(sent.sequence.get(), 0, "it is stored once");
    let long = Failure::new(ErrorCode::ShardMoving, "long").with_retry_after(Duration::from_secs(31));
    fake.script(Kind::Append, [Step::Refuse(long)]);
    let error = producer.send(Record::new(b"y")).await.expect("taken").await.expect_err("too long");
    assert_eq!(error.code(), Some(ErrorCode::ShardMoving), "{error}");
}

#[tokio::test]
async fn shards_are_split_by_the_client_and_an_old_server_says_that_it_cannot_scale() {
    let fake = Fake::start(1).await;
    let admin = fake.client().await.admin();
    let split = admin.split_shard(&name("s"), ShardIndex(0), HashKey(1 << 127)).await.expect("it is open");
    assert_eq!((split.map_version, split.shards.len()), (2, 3));
    for refused in [
        admin.scale_stream(&name("s"), 4).await,
        admin.merge_shards(&name("s"), ShardIndex(1), ShardIndex(2)).await,
    ] {
        assert_eq!(refused.expect_err("it is old").code(), Some(ErrorCode::UnknownRequest));
    }
}

#[tokio::test]
async fn a_tailing_consumer_goes_on_in_the_children() {
    let fake = Fake::start(1).await;
    let client = fake.client().await;
    let options = ConsumerOptions { count: Some(60), ..ConsumerOptions::default() };
    let mut consumer = client.consumer(&name("s"), options).await.expect("a consumer");
    let producer = client.producer(&name("s"), ProducerOptions::default()).await.expect("a producer");
    let writing = async {
        for number in 0..60_u32 {
            if number == 30 {
                fake.model().split("s", 0);
                fake.shared.appended.notify_waiters();
            }
            let key = key(number);
            let delivery = producer.send(Record::keyed(key.as_bytes(), b"v")).await.expect("taken");
            delivery.await.expect("stored");
        }
    };
    let reading = async {
        let mut shards: BTreeMap<ShardIndex, u64> = BTreeMap::new();
        while let Some(event) = consumer.next().await {
            let Event::Records(batch) = event.expect("readable") else { panic!("nothing is missing") };
            *shards.entry(batch.shard()).or_default() += batch.len() as u64;
        }
        shards
    };
    let ((), shards) = tokio::join!(writing, reading);
    assert_eq!(shards.len(), 3);
    assert_eq!(shards[&ShardIndex(0)], 30);
    assert_eq!(shards.values().sum::<u64>(), 60);
}
