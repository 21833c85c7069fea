//! Records are routed, batched, held back, and come to a known end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tidemill_client::{
    Compression, ErrorCode, Failure, Producer, ProducerOptions, Quota, Receipt, Record, SendError,
    SequenceNumber, ShardIndex, ThrottlePolicy, Timestamp,
};
use tidemill_wire::routing::{HashKey, HashKeyRange};

use crate::fake::{Fake, Kind, Step, name, quick};

/// Batches that go out by themselves only when they are full.
fn patient() -> ProducerOptions {
    ProducerOptions { linger: Duration::from_secs(600), ..ProducerOptions::default() }
}

async fn producer(fake: &Fake, options: ProducerOptions) -> Producer {
    fake.client().await.producer(&name("s"), options).await.expect("a producer")
}

fn throttled(wait_ms: u64) -> Failure {
    Failure::new(ErrorCode::WriteThrottled, "used up").with_retry_after(Duration::from_millis(wait_ms))
}

fn data(fake: &Fake, shard: u32) -> Vec<String> {
    let records = fake.model().shard("s", shard).records();
    records.into_iter().map(|(_, data)| String::from_utf8(data).expect("text")).collect()
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

async fn send(producer: &Producer, text: &str) -> tidemill_client::Delivery {
    producer.send(Record::new(text.as_bytes())).await.expect("taken")
}

#[tokio::test]
async fn keys_go_where_their_hash_says_and_receipts_tell_it() {
    let fake = Fake::start(5).await;
    let producer = producer(&fake, ProducerOptions::default()).await;
    let ranges = HashKeyRange::split_evenly(5);
    let mut deliveries = Vec::new();
    for number in 0..200 {
        let key = format!("key-{}", number % 40);
        let data = number.to_string();
        let delivery = producer.send(Record::keyed(key.as_bytes(), data.as_bytes())).await.expect("taken");
        deliveries.push((key, data, delivery));
    }
    for (key, data, delivery) in deliveries {
        let Receipt { shard, sequence, append_time } = delivery.await.expect("stored");
        assert!(ranges[shard.0 as usize].contains(HashKey::of(key.as_bytes())), "{key} in shard {shard}");
        let stored = &fake.model().shard("s", shard.0).records()[usize::try_from(sequence.0).expect("small")];
        assert_eq!(stored, &(key.into_bytes(), data.into_bytes()));
        assert!(append_time > Timestamp(1_000));
    }
}

#[tokio::test]
async fn batches_end_at_their_records_and_at_their_bytes() {
    let fake = Fake::start(1).await;
    let by_records = producer(&fake, ProducerOptions { batch_records_max: 10, ..patient() }).await;
    for number in 0..25 {
        drop(send(&by_records, &number.to_string()).await);
    }
    by_records.flush().await.expect("stored");
    let sizes = |fake: &Fake| fake.model().batch_sizes.iter().map(|batch| batch.1).collect::<Vec<_>>();
    assert_eq!(sizes(&fake), [10, 10, 5]);

    fake.model().batch_sizes.clear();
    let by_bytes = producer(&fake, ProducerOptions { batch_bytes_max: 1_000, ..patient() }).await;
    for _ in 0..10 {
        drop(by_bytes.send(Record::new(&[7; 280])).await.expect("taken"));
    }
    drop(by_bytes.send(Record::new(&[7; 5_000])).await.expect("larger than a batch goes alone"));
    drop(by_bytes.send(Record::new(&[7; 10])).await.expect("taken"));
    by_bytes.flush().await.expect("stored");
    assert_eq!(sizes(&fake), [3, 3, 3, 1, 1, 1]);
}

#[tokio::test]
async fn a_batch_lingers_so_long_and_no_longer() {
    let fake = Fake::start(1).await;
    let linger = Duration::from_millis(200);
    let producer = producer(&fake, ProducerOptions { linger, ..ProducerOptions::default() }).await;
    let start = Instant::now();
    let first = send(&producer, "0").await;
    let second = send(&producer, "1").await;
    first.await.expect("stored");
    second.await.expect("stored");
    assert!(start.elapsed() >= linger);
    assert_eq!(fake.model().batch_sizes.len(), 1);
}

#[tokio::test]
async fn batches_grow_while_one_is_under_way() {
    let fake = Fake::start(1).await;
    let producer = producer(&fake, ProducerOptions { linger: Duration::ZERO, ..patient() }).await;
    fake.script(Kind::Append, [Step::Delay(Duration::from_millis(50))]);
    for number in 0..50 {
        drop(send(&producer, &number.to_string()).await);
        tokio::task::yield_now().await;
    }
    producer.flush().await.expect("stored");
    let sizes: Vec<_> = fake.model().batch_sizes.iter().map(|batch| batch.1).collect();
    assert_eq!(sizes.len(), 2, "{sizes:?}");
    assert_eq!(data(&fake, 0), numbers(0..50));
}

#[tokio::test]
async fn records_without_a_key_fill_one_shard_after_the_other() {
    let fake = Fake::start(3).await;
    let producer = producer(&fake, ProducerOptions { batch_records_max: 4, ..patient() }).await;
    for number in 0..24 {
        drop(send(&producer, &number.to_string()).await);
    }
    producer.flush().await.expect("stored");
    let mut shards = BTreeMap::new();
    for (shard, records, _) in &fake.model().batch_sizes {
        assert_eq!(*records, 4);
        *shards.entry(shard.0).or_insert(0) += 1;
    }
    assert_eq!(shards, [(0, 2), (1, 2), (2, 2)].into_iter().collect());
}

#[tokio::test]
async fn send_waits_while_the_buffer_is_full() {
    let fake = Fake::start(1).await;
    let options = ProducerOptions { buffer_bytes_max: 1_000, linger: Duration::from_millis(1), ..patient() };
    let producer = producer(&fake, options).await;
    fake.script(Kind::Append, [Step::Delay(Duration::from_millis(500))]);
    let start = Instant::now();
    for _ in 0..3 {
        drop(producer.send(Record::new(&[1; 280])).await.expect("taken"));
    }
    assert!(start.elapsed() < Duration::from_millis(400), "three records have room");
    drop(producer.send(Record::new(&[1; 280])).await.expect("taken"));
    assert!(start.elapsed() >= Duration::from_millis(490), "the fourth waits for an answer");
    drop(producer.send(Record::new(&[1; 9_000])).await.expect("larger than the buffer waits for all of it"));
    producer.close().await.expect("stored");
}

#[tokio::test]
async fn a_full_buffer_does_not_wait_for_what_lingers() {
    let fake = Fake::start(1).await;
    let producer = producer(&fake, ProducerOptions { buffer_bytes_max: 500, ..patient() }).await;
    for _ in 0..10 {
        let sent = producer.send(Record::new(&[1; 280]));
        drop(tokio::time::timeout(Duration::from_secs(5), sent).await.expect("no deadlock").expect("taken"));
    }
    producer.close().await.expect("stored");
}

#[tokio::test]
async fn a_throttled_batch_waits_and_keeps_its_place() {
    let fake = Fake::start(1).await;
    let options = ProducerOptions { batch_records_max: 3, ..ProducerOptions::default() };
    let producer = producer(&fake, options).await;
    fake.script(Kind::Append, [Step::Serve, Step::Refuse(throttled(40)), Step::Refuse(throttled(30))]);
    let start = Instant::now();
    for number in 0..30 {
        drop(send(&producer, &number.to_string()).await);
    }
    producer.close().await.expect("stored");
    assert!(start.elapsed() >= Duration::from_millis(70));
    assert_eq!(data(&fake, 0), numbers(0..30));
}

#[tokio::test]
async fn throttling_is_returned_when_asked_for_or_when_it_lasts() {
    for throttle in [ThrottlePolicy::Return, ThrottlePolicy::Wait { at_most: Duration::from_millis(10) }] {
        let fake = Fake::start(1).await;
        let producer = producer(&fake, ProducerOptions { throttle, ..ProducerOptions::default() }).await;
        fake.script(Kind::Append, [Step::Refuse(throttled(500))]);
        let refused = send(&producer, "0").await.await.expect_err("refused");
        assert!(matches!(&refused, SendError::Refused(_)), "{refused}");
        assert_eq!(refused.code(), Some(ErrorCode::WriteThrottled));
        send(&producer, "1").await.await.expect("stored");
        assert_eq!(data(&fake, 0), ["1"]);
    }
}

#[tokio::test]
async fn batches_leave_room_in_the_quotas_burst() {
    let fake = Fake::start(1).await;
    fake.model().quota = Quota { write_bytes_per_second: 10_000, write_records_per_second: 20, ..Quota::OFF };
    let producer = producer(&fake, patient()).await;
    for _ in 0..20 {
        drop(producer.send(Record::new(&[1; 100])).await.expect("taken"));
    }
    for _ in 0..8 {
        drop(producer.send(Record::new(&[1; 1_500])).await.expect("taken"));
    }
    producer.close().await.expect("stored");
    for (_, records, bytes) in &fake.model().batch_sizes {
        assert!(*records <= 10 && *bytes <= 5_000, "{records} records, {bytes} bytes");
    }
}

#[tokio::test]
async fn a_busy_server_is_tried_again() {
    let fake = Fake::start(1).await;
    let producer = producer(&fake, ProducerOptions::default()).await;
    let refuse = |code| Step::Refuse(Failure::new(code, "later"));
    let codes =
        [ErrorCode::Overloaded, ErrorCode::TooManyInFlight, ErrorCode::DiskFull, ErrorCode::ShuttingDown];
    fake.script(Kind::Append, codes.map(refuse));
    send(&producer, "0").await.await.expect("the fifth try");
    fake.script(Kind::Append, [refuse(ErrorCode::BatchTooLarge)]);
    let refused = send(&producer, "1").await.await.expect_err("final");
    assert!(matches!(refused, SendError::Refused(_)), "{refused}");
}

#[tokio::test]
async fn a_lost_answer_is_an_unknown_outcome() {
    let fake = Fake::start(1).await;
    let producer = producer(&fake, ProducerOptions::default()).await;
    fake.script(Kind::Append, [Step::LoseAnswer]);
    let error = send(&producer, "0").await.await.expect_err("nobody knows");
    assert!(matches!(error, SendError::UnknownOutcome(_)), "{error}");
    send(&producer, "1").await.await.expect("goes on");
    assert_eq!(data(&fake, 0), ["0", "1"], "it was stored, and it was not sent twice");
    assert!(producer.flush().await.is_err(), "flush tells of it too");
    producer.flush().await.expect("and only once");
}

#[tokio::test]
async fn unknown_outcomes_are_sent_again_when_allowed() {
    let fake = Fake::start(1).await;
    let options = ProducerOptions { resend_unknown: true, ..ProducerOptions::default() };
    let producer = producer(&fake, options).await;
    fake.script(Kind::Append, [Step::LoseAnswer, Step::Cut]);
    send(&producer, "0").await.await.expect("stored");
    assert_eq!(data(&fake, 0), ["0", "0"], "at least once");

    let invalid = Failure::new(ErrorCode::InvalidBatch, "no");
    fake.script(Kind::Append, [Step::LoseAnswer, Step::Refuse(invalid)]);
    let error = send(&producer, "1").await.await.expect_err("the second try was refused");
    assert!(matches!(error, SendError::UnknownOutcome(_)), "the first may have been stored: {error}");
}

#[tokio::test]
async fn a_server_out_of_reach_is_waited_for_and_then_given_up() {
    let mut fake = Fake::start(1).await;
    let producer =
        producer(&fake, ProducerOptions { retry: Some(quick()), ..ProducerOptions::default() }).await;
    send(&producer, "0").await.await.expect("stored");
    fake.stop_listening(0);
    fake.cut_connections();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let waiting = send(&producer, "1").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    fake.listen_again().await;
    waiting.await.expect("stored once it is back");

    fake.stop_listening(1);
    fake.stop_listening(0);
    fake.cut_connections();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let error = send(&producer, "2").await.await.expect_err("given up");
    assert!(matches!(error, SendError::Unreachable(_)), "{error}");
}

#[tokio::test]
async fn compressed_batches_hold_the_same_records() {
    for compression in [Compression::Lz4, Compression::Zstd] {
        let fake = Fake::start(1).await;
        let producer = producer(&fake, ProducerOptions { compression, ..ProducerOptions::default() }).await;
        for _ in 0..100 {
            drop(send(&producer, "the same text again and again").await);
        }
        producer.close().await.expect("stored");
        assert_eq!(data(&fake, 0), vec!["the same text again and again"; 100]);
        let bytes: usize = fake.model().batch_sizes.iter().map(|batch| batch.2).sum();
        assert!(bytes < 1_000, "{bytes} bytes");
    }
}

#[tokio::test]
async fn what_cannot_be_a_record_is_refused_and_nothing_else() {
    let fake = Fake::start(1).await;
    let producer = producer(&fake, ProducerOptions::default()).await;
    let long_key = producer.send(Record::keyed(&[b'k'; 1_025], b"")).await;
    assert!(matches!(long_key, Err(SendError::Record(_))), "{long_key:?}");
    let large = producer.send(Record::new(&vec![0; (10 << 20) + 1])).await;
    assert!(matches!(large, Err(SendError::Record(_))), "{large:?}");
    let elsewhere = producer.send_to_shard(ShardIndex(9), Record::new(b"")).await;
    assert!(matches!(elsewhere, Err(SendError::UnknownShard { shard: ShardIndex(9) })), "{elsewhere:?}");
    let plain = send(&producer, "0").await;
    let timed = producer.send(Record::new(b"1").at(Timestamp(5))).await.expect("goes into another batch");
    assert_eq!(plain.await.expect("stored").sequence, SequenceNumber(0));
    assert_eq!(timed.await.expect("stored").sequence, SequenceNumber(1));
    let other = producer.clone();
    producer.close().await.expect("stored");
    assert!(matches!(other.send(Record::new(b"")).await, Err(SendError::Closed)));
}

#[tokio::test]
async fn what_was_taken_is_sent_after_the_producer_is_dropped() {
    let fake = Fake::start(1).await;
    let producer = producer(&fake, patient()).await;
    let delivery = send(&producer, "0").await;
    drop(producer);
    delivery.await.expect("stored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn many_tasks_share_a_producer() {
    let fake = Fake::start(4).await;
    let producer =
        producer(&fake, ProducerOptions { batch_records_max: 7, ..ProducerOptions::default() }).await;
    let busy = || Step::Refuse(Failure::new(ErrorCode::Overloaded, "busy"));
    fake.script(Kind::Append, (0..40).map(|index| if index % 3 == 0 { busy() } else { Step::Serve }));
    let tasks = (0..8).map(|task| {
        let producer = producer.clone();
        tokio::spawn(async move {
            let key = format!("task-{task}");
            let mut deliveries = Vec::new();
            for number in 0..100 {
                let data = format!("{key}:{number}");
                let record = Record::keyed(key.as_bytes(), data.as_bytes());
                deliveries.push(producer.send(record).await.expect("taken"));
            }
            let mut last = None;
            for delivery in deliveries {
                let sequence = delivery.await.expect("stored").sequence;
                assert!(last.replace(sequence) < Some(sequence), "in order");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("no panic");
    }
    let stored: usize = (0..4).map(|shard| data(&fake, shard).len()).sum();
    assert_eq!(stored, 800);
}

#[tokio::test]
async fn unordered_batches_are_under_way_together() {
    let fake = Fake::start(1).await;
    let options =
        ProducerOptions { ordered: false, in_flight_per_shard: 4, batch_records_max: 1, ..patient() };
    let producer = producer(&fake, options).await;
    fake.script(Kind::Append, std::iter::repeat_n(Step::Delay(Duration::from_millis(100)), 8));
    let start = Instant::now();
    for number in 0..8 {
        drop(send(&producer, &number.to_string()).await);
    }
    producer.close().await.expect("stored");
    let spent = start.elapsed();
    assert!(spent >= Duration::from_millis(200) && spent < Duration::from_millis(700), "{spent:?}");
}
