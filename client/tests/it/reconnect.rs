//! Connections are lost while records are read and written.

use std::collections::VecDeque;
use std::time::Duration;

use tidemill_client::{
    ClientError, ConsumerOptions, DeliveryMode, ErrorCode, Event, Failure, ProducerOptions, Record,
    RetryPolicy, SequenceNumber, Window,
};

use crate::fake::{Fake, Kind, Step, name};

const RECORDS: u64 = 400;

async fn writes(fake: &Fake) {
    let producer =
        fake.client().await.producer(&name("s"), ProducerOptions::default()).await.expect("a producer");
    for number in 0..RECORDS {
        let data = number.to_string();
        let record = Record::keyed(b"k", data.as_bytes());
        let mut sent = producer.send(record).await.expect("taken").await;
        while sent.is_err() {
            // Cutting the connection may leave the outcome unknown, and the log then tells.
            let stored = fake.model().shard("s", 0).records().len() as u64;
            if stored > number {
                break;
            }
            sent = producer.send(record).await.expect("taken").await;
        }
    }
}

#[tokio::test]
async fn a_consumer_loses_and_repeats_nothing() {
    for delivery in [DeliveryMode::Fetch, DeliveryMode::Push] {
        let fake = Fake::start(1).await;
        *fake.shared.cut_after_pushes.lock().expect("no panic") = VecDeque::from([1, 2, 3, 5, 8]);
        let window = Window { fetch_bytes: 600, prefetch_bytes: 2_000, ..Window::default() };
        let options =
            ConsumerOptions { delivery, window, count: Some(RECORDS), ..ConsumerOptions::default() };
        let mut consumer = fake.client().await.consumer(&name("s"), options).await.expect("a consumer");
        let reading = async {
            let mut next = 0;
            while let Some(event) = consumer.next().await {
                let Event::Records(batch) = event.expect("readable") else { panic!("nothing is missing") };
                for record in batch {
                    assert_eq!(record.sequence, SequenceNumber(next));
                    assert_eq!(record.data, next.to_string());
                    next += 1;
                }
            }
            next
        };
        let cutting = async {
            for _ in 0..30 {
                tokio::time::sleep(Duration::from_millis(7)).await;
                fake.script(Kind::Fetch, [Step::LoseAnswer]);
                fake.cut_connections();
            }
        };
        let linger_free = writes(&fake);
        let (read, (), ()) = tokio::join!(reading, cutting, linger_free);
        assert_eq!(read, RECORDS, "{delivery:?}");
    }
}

#[tokio::test]
async fn a_consumer_survives_a_server_that_goes_down_politely() {
    for delivery in [DeliveryMode::Fetch, DeliveryMode::Push] {
        let fake = Fake::start(1).await;
        let options = ConsumerOptions { delivery, count: Some(1), ..ConsumerOptions::default() };
        let down = Step::Refuse(Failure::new(ErrorCode::ShuttingDown, "going down"));
        fake.script(Kind::Fetch, std::iter::repeat_n(down.clone(), 3));
        fake.script(Kind::Subscribe, [down, Step::Refuse(Failure::new(ErrorCode::TooManyInFlight, "many"))]);
        let mut consumer = fake.client().await.consumer(&name("s"), options).await.expect("a consumer");
        let (event, ()) = tokio::join!(consumer.next(), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let client = fake.client().await;
            let producer = client.producer(&name("s"), ProducerOptions::default()).await.expect("a producer");
            drop(producer.send(Record::new(b"x")).await.expect("taken"));
            producer.close().await.expect("stored");
        });
        assert!(matches!(event, Some(Ok(Event::Records(_)))), "{event:?}");
    }
}

#[tokio::test]
async fn a_consumer_gives_up_when_its_policy_does() {
    let fake = Fake::start(1).await;
    let policy = RetryPolicy { attempts: 3, backoff_min: Duration::from_millis(1), ..RetryPolicy::default() };
    let options = ConsumerOptions { retry: Some(policy), ..ConsumerOptions::default() };
    let mut consumer = fake.client().await.consumer(&name("s"), options).await.expect("a consumer");
    fake.stop_listening(0);
    fake.cut_connections();
    let error = consumer.next().await.expect("an error").expect_err("out of reach");
    assert!(matches!(error, ClientError::Connect { .. } | ClientError::Disconnected { .. }), "{error}");
    assert!(consumer.next().await.is_none());
}

#[tokio::test]
async fn garbage_from_the_server_ends_a_consumer_with_a_typed_error() {
    let fake = Fake::start(1).await;
    fake.script(Kind::Fetch, [Step::Garbage]);
    let client = fake.client().await;
    let mut consumer = client.consumer(&name("s"), ConsumerOptions::default()).await.expect("a consumer");
    let error = consumer.next().await.expect("an error").expect_err("garbage");
    assert!(matches!(error, ClientError::Protocol { .. }), "{error}");
}
