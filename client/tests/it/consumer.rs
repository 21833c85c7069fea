//! Records are read from where the caller says to where the caller says, each once and in order.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tidemill_client::{
    Client, ClientError, Compression, Consumer, ConsumerOptions, DamageError, DeliveryMode, ErrorCode, Event,
    Failure, Gap, ProducerOptions, Record, SequenceNumber, ShardChoice, ShardIndex, Start, Timestamp, Until,
    Window,
};

use crate::fake::{Fake, Kind, Step, name};

const MODES: [DeliveryMode; 2] = [DeliveryMode::Fetch, DeliveryMode::Push];

fn replay() -> ConsumerOptions {
    ConsumerOptions { until: Until { end: true, ..Until::default() }, ..ConsumerOptions::default() }
}

/// Fills one shard with the numbers of a range, five to a batch.
async fn fill(client: &Client, shard: u32, numbers: std::ops::Range<u32>) {
    let options = ProducerOptions { batch_records_max: 5, ..ProducerOptions::default() };
    let producer = client.producer(&name("s"), options).await.expect("a producer");
    for number in numbers {
        let data = number.to_string();
        drop(producer.send_to_shard(ShardIndex(shard), Record::new(data.as_bytes())).await.expect("taken"));
    }
    producer.close().await.expect("stored");
}

async fn consumer(client: &Client, options: ConsumerOptions) -> Consumer {
    client.consumer(&name("s"), options).await.expect("a consumer")
}

/// Everything that a consumer gives, as text: sequence=data, or a gap.
async fn drain(consumer: &mut Consumer) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(event) = consumer.next().await {
        match event {
            Ok(Event::Records(batch)) => seen.extend(batch.map(|record| {
                let data = String::from_utf8(record.data.to_vec()).expect("text");
                format!("{}={data}", record.sequence)
            })),
            Ok(Event::Gap(Gap { from, to, .. })) => seen.push(format!("gap {from}..{to}")),
            Err(error) => seen.push(format!("error {error}")),
        }
    }
    seen
}

fn equal(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| format!("{number}={number}")).collect()
}

#[tokio::test]
async fn a_replay_ends_where_the_stream_ended_when_it_began() {
    for delivery in MODES {
        let fake = Fake::start(3).await;
        let client = fake.client().await;
        for shard in 0..2 {
            fill(&client, shard, 0..23).await;
        }
        let mut consumer = consumer(&client, ConsumerOptions { delivery, ..replay() }).await;
        fill(&client, 0, 23..40).await;
        let mut counts: BTreeMap<ShardIndex, u64> = BTreeMap::new();
        while let Some(event) = consumer.next().await {
            let Event::Records(batch) = event.expect("readable") else { panic!("nothing is missing") };
            for record in batch {
                let next = counts.entry(record.shard).or_default();
                assert_eq!(record.sequence, SequenceNumber(*next));
                assert_eq!(record.data, next.to_string());
                *next += 1;
            }
        }
        assert_eq!(counts, [(ShardIndex(0), 23), (ShardIndex(1), 23)].into_iter().collect());
        assert_eq!(consumer.positions()[&ShardIndex(2)], SequenceNumber(0));
    }
}

#[tokio::test]
async fn a_range_begins_and_ends_inside_of_batches() {
    for delivery in MODES {
        let fake = Fake::start(1).await;
        let client = fake.client().await;
        fill(&client, 0, 0..50).await;
        let until = Until { sequence: Some(SequenceNumber(27)), ..Until::default() };
        let start = Start::Sequence(SequenceNumber(13));
        let options = ConsumerOptions { start: start.clone(), until, delivery, ..ConsumerOptions::default() };
        assert_eq!(drain(&mut consumer(&client, options).await).await, equal(13..27));

        let options = ConsumerOptions { start, count: Some(10), delivery, ..ConsumerOptions::default() };
        let mut counted = consumer(&client, options).await;
        assert_eq!(drain(&mut counted).await, equal(13..23));
        assert_eq!(counted.positions()[&ShardIndex(0)], SequenceNumber(23));
    }
}

#[tokio::test]
async fn times_bound_a_range() {
    for delivery in MODES {
        let fake = Fake::start(1).await;
        let client = fake.client().await;
        fill(&client, 0, 0..50).await;
        // The clock of the fake server begins at 1,000 and ticks with each batch of five.
        let start = Start::Timestamp(Timestamp(1_003));
        let until = Until { timestamp: Some(Timestamp(1_006)), ..Until::default() };
        let options = ConsumerOptions { start, until, delivery, ..ConsumerOptions::default() };
        assert_eq!(drain(&mut consumer(&client, options).await).await, equal(10..25));

        let start = Start::Timestamp(Timestamp(9_999));
        let late = ConsumerOptions { start, delivery, ..replay() };
        assert!(drain(&mut consumer(&client, late).await).await.is_empty());
    }
}

#[tokio::test]
async fn a_tail_sees_what_comes_after_it_was_made() {
    for delivery in MODES {
        let fake = Fake::start(1).await;
        let client = fake.client().await;
        fill(&client, 0, 0..7).await;
        let options =
            ConsumerOptions { start: Start::Newest, count: Some(8), delivery, ..ConsumerOptions::default() };
        let mut consumer = consumer(&client, options).await;
        // Before the first fetch, and while one waits.
        fill(&client, 0, 7..9).await;
        let (seen, ()) = tokio::join!(drain(&mut consumer), async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            fill(&client, 0, 9..15).await;
        });
        assert_eq!(seen, equal(7..15));
    }
}

#[tokio::test]
async fn positions_let_another_consumer_go_on() {
    let fake = Fake::start(2).await;
    let client = fake.client().await;
    fill(&client, 0, 0..40).await;
    fill(&client, 1, 0..40).await;
    let mut first = consumer(&client, ConsumerOptions { count: Some(33), ..replay() }).await;
    let seen = drain(&mut first).await;
    let start = Start::Positions(first.positions());
    let mut second = consumer(&client, ConsumerOptions { start, ..replay() }).await;
    let mut all = [seen, drain(&mut second).await].concat();
    let mut expected = [equal(0..40), equal(0..40)].concat();
    all.sort();
    expected.sort();
    assert_eq!(all, expected);
}

#[tokio::test]
async fn chosen_shards_are_read_and_unknown_ones_refused() {
    let fake = Fake::start(3).await;
    let client = fake.client().await;
    fill(&client, 1, 0..10).await;
    fill(&client, 2, 50..60).await;
    let shards = ShardChoice::Only(vec![ShardIndex(1)]);
    assert_eq!(
        drain(&mut consumer(&client, ConsumerOptions { shards, ..replay() }).await).await,
        equal(0..10)
    );
    let shards = ShardChoice::Only(vec![ShardIndex(3)]);
    let error =
        client.consumer(&name("s"), ConsumerOptions { shards, ..replay() }).await.expect_err("no shard 3");
    assert_eq!(error.code(), Some(ErrorCode::UnknownShard));
}

#[tokio::test]
async fn what_retention_took_is_reported() {
    for delivery in MODES {
        let fake = Fake::start(1).await;
        let client = fake.client().await;
        fill(&client, 0, 0..30).await;
        fake.model().trim("s", 0, 20);
        let start = Start::Sequence(SequenceNumber(3));
        let options = ConsumerOptions { start, delivery, ..replay() };
        let mut expected = vec!["gap 3..20".to_owned()];
        expected.extend(equal(20..30));
        assert_eq!(drain(&mut consumer(&client, options).await).await, expected);

        let oldest = ConsumerOptions { delivery, ..replay() };
        assert_eq!(drain(&mut consumer(&client, oldest).await).await, equal(20..30), "oldest is no gap");

        fake.model().trim("s", 0, 30);
        let start = Start::Sequence(SequenceNumber(3));
        let options = ConsumerOptions { start, delivery, ..replay() };
        assert_eq!(drain(&mut consumer(&client, options).await).await, ["gap 3..30"]);
    }
}

#[tokio::test]
async fn a_place_beyond_the_end_is_an_error() {
    let fake = Fake::start(1).await;
    let client = fake.client().await;
    fill(&client, 0, 0..5).await;
    let start = Start::Sequence(SequenceNumber(6));
    let mut consumer = consumer(&client, ConsumerOptions { start, ..ConsumerOptions::default() }).await;
    let error = consumer.next().await.expect("an error").expect_err("beyond");
    assert_eq!(error.code(), Some(ErrorCode::BeyondEnd));
    assert!(consumer.next().await.is_none());
}

#[tokio::test]
async fn damaged_bytes_are_an_error_with_a_place_after_what_is_whole() {
    let fake = Fake::start(1).await;
    let client = fake.client().await;
    fill(&client, 0, 0..15).await;
    fake.script(Kind::Fetch, [Step::Damage]);
    let mut consumer = consumer(&client, replay()).await;
    let mut whole = 0;
    let error = loop {
        match consumer.next().await.expect("an error comes") {
            Ok(Event::Records(batch)) => whole += batch.len(),
            Ok(Event::Gap(gap)) => panic!("{gap:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(whole, 10, "the last of three entries is damaged");
    let ClientError::Batch { shard: ShardIndex(0), sequence: SequenceNumber(10), source } = &error else {
        panic!("{error}")
    };
    assert!(matches!(**source, DamageError::Entry(_)), "{error}");
    assert!(consumer.next().await.is_none());
}

#[tokio::test]
async fn a_used_up_read_quota_is_waited_for() {
    let fake = Fake::start(1).await;
    let client = fake.client().await;
    fill(&client, 0, 0..10).await;
    let wait = Duration::from_millis(30);
    let throttled = Failure::new(ErrorCode::ReadThrottled, "used up").with_retry_after(wait);
    fake.script(Kind::Fetch, std::iter::repeat_n(Step::Refuse(throttled), 2));
    let start = Instant::now();
    assert_eq!(drain(&mut consumer(&client, replay()).await).await, equal(0..10));
    assert!(start.elapsed() >= wait * 2);
}

#[tokio::test]
async fn compressed_records_come_out_as_they_went_in() {
    let fake = Fake::start(1).await;
    let client = fake.client().await;
    let options = ProducerOptions { compression: Compression::Zstd, ..ProducerOptions::default() };
    let producer = client.producer(&name("s"), options).await.expect("a producer");
    for number in 0..50_u64 {
        let record = Record::keyed(b"key", b"the same text again and again").at(Timestamp(number));
        drop(producer.send(record).await.expect("taken"));
    }
    producer.close().await.expect("stored");
    let consumer = consumer(&client, replay()).await;
    let events: Vec<_> = consumer.collect().await;
    let mut count = 0;
    for event in events {
        let Event::Records(batch) = event.expect("readable") else { panic!("nothing is missing") };
        for record in batch {
            assert_eq!(
                (&record.key[..], &record.data[..]),
                (&b"key"[..], &b"the same text again and again"[..])
            );
            assert_eq!(record.timestamp, Some(Timestamp(count)));
            count += 1;
        }
    }
    assert_eq!(count, 50);
}

#[tokio::test]
async fn reading_ahead_stops_at_the_window() {
    for delivery in MODES {
        let fake = Fake::start(1).await;
        let client = fake.client().await;
        let options = ProducerOptions { batch_records_max: 1, ..ProducerOptions::default() };
        let producer = client.producer(&name("s"), options).await.expect("a producer");
        for _ in 0..100 {
            drop(producer.send(Record::new(&[5; 1_000])).await.expect("taken"));
        }
        producer.close().await.expect("stored");
        let window = Window { fetch_bytes: 4_000, prefetch_bytes: 12_000, ..Window::default() };
        let mut consumer = consumer(&client, ConsumerOptions { window, delivery, ..replay() }).await;
        while fake.model().bytes_sent < 8_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let ahead = fake.model().bytes_sent;
        assert!(ahead <= 16_000, "{delivery:?}: {ahead} bytes ahead");
        let mut count = 0;
        while let Some(event) = consumer.next().await {
            let Event::Records(batch) = event.expect("readable") else { panic!("nothing is missing") };
            count += batch.len();
        }
        assert_eq!(count, 100);
        assert!(fake.model().pushed_over_credit <= 1_200, "one entry at most");
    }
}
