//! Seats of consumers over a lane of the simulator.

use super::*;
use crate::service::consumer::{Consumer, ConsumerName};

const RATE: u64 = 2_000_000;
const HOLD: Duration = Duration::from_secs(5);
const REGISTERED: Timestamp = Timestamp(3);

fn name(text: &str) -> ConsumerName {
    ConsumerName::new(text).expect("a name")
}

fn place(consumer: &str) -> Place {
    Place { stream: STREAM, shard: SHARD, consumer: name(consumer), registered: REGISTERED }
}

/// The stream as it is with these consumers.
fn with(streams: &Streams<SimEnv>, consumers: &[&str]) {
    let mut definition = Definition::clone(streams.get(STREAM).expect("it is there").definition());
    definition.consumers = consumers
        .iter()
        .map(|text| {
            let tags = std::collections::BTreeMap::new();
            (name(text), Consumer { stream: STREAM, name: name(text), created: REGISTERED, tags })
        })
        .collect();
    streams.take_in(&Arc::new(definition));
    streams.name(STREAM);
}

fn feed(consumer: &str, turn: Turn, from: u64, wait: Duration) -> Feed {
    let position = Position::Sequence(SequenceNumber(from));
    let fetch =
        Fetch { stream: STREAM, shard: SHARD, position, bytes_max: 1 << 20, wait, kind: ReadKind::Flow };
    Feed { place: place(consumer), turn, fetch }
}

/// A shard with these consumers, read at [`RATE`].
async fn seated(env: &SimEnv, consumers: &[&str]) -> Streams<SimEnv> {
    let quota = Quota { read_bytes_per_second: RATE, ..Quota::OFF };
    let streams = streams(env, Retention::FOREVER, quota).await;
    with(&streams, consumers);
    streams
}

#[test]
fn a_seat_is_kept_for_a_while_and_then_taken_over_and_the_one_before_is_told() {
    let sim = Sim::new(1);
    let env = sim.env();
    let done = sim.run(async {
        let streams = seated(&env, &["a", "b"]).await;
        let first = streams.sit(&place("a"), HOLD).expect("it is free");
        let early = streams.sit(&place("a"), HOLD);
        assert_eq!(early, Err(SeatError::Taken { consumer: name("a") }));
        streams.sit(&place("b"), HOLD).expect("others have seats of their own");
        let unknown = streams.sit(&place("c"), HOLD);
        assert_eq!(unknown, Err(SeatError::UnknownConsumer { consumer: name("c") }));
        let again = Place { registered: Timestamp(4), ..place("a") };
        assert!(streams.sit(&again, HOLD).is_err(), "another one of the same name");
        let begun = env.monotonic();
        let waits = streams.feed(feed("a", first, 0, HOLD * 10), std::future::pending());
        let takes = async {
            env.sleep(HOLD).await;
            streams.sit(&place("a"), HOLD).expect("it was held long enough")
        };
        let (lost, second) = futures_lite::future::zip(waits, takes).await;
        assert_eq!(lost.expect_err("it is lost"), FeedError::TakenOver { consumer: name("a") });
        assert!(env.monotonic() - begun < HOLD * 2, "the one who waits is woken");
        append(&streams, 100, 1).await.expect("stored");
        let late = streams.feed(feed("a", first, 0, Duration::ZERO), std::future::pending()).await;
        assert_eq!(late.expect_err("it stays lost"), FeedError::TakenOver { consumer: name("a") });
        let read = streams.feed(feed("a", second, 0, Duration::ZERO), std::future::pending()).await;
        assert_eq!(read.expect("the last one reads").next, SequenceNumber(1));
    });
    assert!(done.is_some());
}

#[test]
fn an_append_wakes_who_waits_in_a_seat() {
    let sim = Sim::new(2);
    let env = sim.env();
    let done = sim.run(async {
        let streams = seated(&env, &["a"]).await;
        let turn = streams.sit(&place("a"), HOLD).expect("it is free");
        let begun = env.monotonic();
        let waits = streams.feed(feed("a", turn, 0, HOLD * 10), std::future::pending());
        let later = async {
            env.sleep(Duration::from_secs(1)).await;
            append(&streams, 100, 1).await.expect("stored");
        };
        let (read, ()) = futures_lite::future::zip(waits, later).await;
        assert_eq!(read.expect("it is there").next, SequenceNumber(1));
        assert!(env.monotonic() - begun < HOLD, "the append did not wake the reader");
    });
    assert!(done.is_some());
}

#[test]
fn who_sits_in_the_seat_of_a_consumer_that_goes_is_told() {
    let check = |seed: u64, go: fn(&Streams<SimEnv>)| {
        let sim = Sim::new(seed);
        let env = sim.env();
        let done = sim.run(async {
            let streams = seated(&env, &["a", "b"]).await;
            let turn = streams.sit(&place("a"), HOLD).expect("it is free");
            let waits = streams.feed(feed("a", turn, 0, HOLD * 10), std::future::pending());
            let goes = async {
                env.sleep(Duration::from_secs(1)).await;
                go(&streams);
            };
            let begun = env.monotonic();
            let (lost, ()) = futures_lite::future::zip(waits, goes).await;
            assert_eq!(lost.expect_err("it is gone"), FeedError::UnknownConsumer { consumer: name("a") });
            assert!(env.monotonic() - begun < HOLD, "the one who waits is woken");
            assert!(streams.sit(&place("a"), Duration::ZERO).is_err());
        });
        assert!(done.is_some());
    };
    check(3, |streams| with(streams, &["b"]));
    check(4, |streams| streams.forget(STREAM));
}

#[test]
fn every_consumer_has_the_rate_of_the_stream_for_itself_and_no_more_by_taking_over() {
    let sim = Sim::new(5);
    let env = sim.env();
    let done = sim.run(async {
        let streams = seated(&env, &["a", "b"]).await;
        let rate = Quota { read_bytes_per_second: 2_000, ..Quota::OFF };
        let mut definition = Definition::clone(streams.get(STREAM).expect("it is there").definition());
        definition.quota = rate;
        streams.take_in(&Arc::new(definition));
        streams.name(STREAM);
        for _ in 0..3 {
            append(&streams, 1_900, 1).await.expect("stored");
        }
        let take = |consumer: &'static str, turn, from| {
            streams.feed(feed(consumer, turn, from, Duration::ZERO), std::future::pending())
        };
        let throttled = |fed: Result<Delivery, FeedError>| {
            let error = fed.expect_err("the rate is used up");
            assert!(matches!(error, FeedError::Fetch(FetchError::Throttled { .. })), "{error}");
        };
        let (a, b) = (streams.sit(&place("a"), HOLD), streams.sit(&place("b"), HOLD));
        let (a, b) = (a.expect("it is free"), b.expect("it is free"));
        assert_eq!(take("a", a, 0).await.expect("a full second").next, SequenceNumber(1));
        throttled(take("a", a, 1).await);
        assert_eq!(take("b", b, 0).await.expect("its own second").next, SequenceNumber(1));
        let (shared, _) = fetch(&env, &streams, 0, Duration::ZERO).await;
        assert_eq!(shared.next, SequenceNumber(1), "the shard's own rate is untouched");
        let over = streams.sit(&place("a"), Duration::ZERO).expect("it may be taken over at once");
        throttled(take("a", over, 1).await);
        env.sleep(Duration::from_secs(1)).await;
        assert_eq!(take("a", over, 1).await.expect("another second").next, SequenceNumber(2));
    });
    assert!(done.is_some());
}
