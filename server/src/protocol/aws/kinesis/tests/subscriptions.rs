//! Subscriptions of registered consumers, from their answers' pieces.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidemill_wire::message::Quota;

use super::super::super::cbor::CborOutput;
use super::super::super::output::Output;
use super::super::super::value::Value as Input;
use super::super::super::{Encoding, SubscriptionTimes};
use super::served::{ACCOUNT, Events, Served, text};

const TIMES: SubscriptionTimes = SubscriptionTimes::TEST_MIN;

fn stream_arn() -> String {
    format!("arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/logs")
}

/// A server with a stream of one shard and a consumer of this name.
fn served(quota: Quota) -> (Served, String) {
    let served = Served::start_with(quota);
    served.create("logs", 1);
    let arn = register(&served, "reader");
    (served, arn)
}

fn register(served: &Served, name: &str) -> String {
    let input = json!({ "StreamARN": stream_arn(), "ConsumerName": name });
    text(&served.ask("RegisterStreamConsumer", &input)["Consumer"]["ConsumerARN"])
}

fn input(arn: &str, start: &Value) -> Value {
    json!({ "ConsumerARN": arn, "ShardId": "shardId-000000000000", "StartingPosition": start })
}

fn subscribe(served: &Served, arn: &str, start: &Value) -> Events {
    let events = served.subscribe(Encoding::Json, input(arn, start).to_string());
    let first = events.next().expect("an initial response");
    assert_eq!((first.header(":event-type"), &first.payload[..]), ("initial-response", &b"{}"[..]));
    events
}

#[expect(clippy::disallowed_methods, reason = "a test measures the server from outside")]
fn now() -> Instant {
    Instant::now()
}

/// The next event's payload.
fn event(events: &Events) -> Value {
    let event = events.next().expect("an event");
    assert_eq!(event.header(":event-type"), "SubscribeToShardEvent", "{event:?}");
    assert_eq!(event.header(":content-type"), "application/x-amz-json-1.1");
    let value: Value = serde_json::from_slice(&event.payload).expect("JSON");
    assert!(
        value["ContinuationSequenceNumber"].is_string() && value["MillisBehindLatest"].is_u64(),
        "{value}"
    );
    value
}

/// Keys of so many records from as many events as they come in, and the last event.
fn keys(events: &Events, count: usize) -> (Vec<String>, Value) {
    let mut keys = Vec::new();
    loop {
        let event = event(events);
        let records = event["Records"].as_array().expect("a list");
        keys.extend(records.iter().map(|record| text(&record["PartitionKey"])));
        if keys.len() >= count {
            return (keys, event);
        }
    }
}

/// The error that ends the events; those before it are passed over.
fn ending(events: &Events) -> (String, String) {
    loop {
        let last = events.next().expect("an error at the end");
        if last.header(":message-type") == "exception" {
            assert!(events.next().is_none(), "nothing follows an error");
            let value: Value = serde_json::from_slice(&last.payload).expect("JSON");
            return (last.header(":exception-type").to_owned(), text(&value["message"]));
        }
    }
}

#[test]
fn subscriptions_begin_at_each_of_the_five_positions() {
    let (served, _) = served(Quota::OFF);
    let numbers: Vec<String> = ["a", "b", "c"].map(|key| served.put("logs", key, "data").1).to_vec();
    let check = |name: &str, start: Value, expected: &[&str]| {
        let events = subscribe(&served, &register(&served, name), &start);
        let (found, last) = if expected.is_empty() {
            let last = event(&events);
            (last["Records"].as_array().expect("a list").iter().map(Value::to_string).collect(), last)
        } else {
            keys(&events, expected.len())
        };
        assert_eq!(found, expected, "{start}");
        assert_eq!(
            (text(&last["ContinuationSequenceNumber"]), &last["MillisBehindLatest"]),
            (numbers[2].clone(), &json!(0))
        );
    };
    check("oldest", json!({ "Type": "TRIM_HORIZON" }), &["a", "b", "c"]);
    check("latest", json!({ "Type": "LATEST" }), &[]);
    check("at", json!({ "Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": numbers[1] }), &["b", "c"]);
    check("after", json!({ "Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": numbers[1] }), &["c"]);
    check("time", json!({ "Type": "AT_TIMESTAMP", "Timestamp": 1 }), &["a", "b", "c"]);
}

#[test]
fn an_append_is_pushed_at_once_and_quiet_shards_have_events_too() {
    let (served, arn) = served(Quota::OFF);
    let events = subscribe(&served, &arn, &json!({ "Type": "LATEST" }));
    assert_eq!(event(&events)["Records"], json!([]), "the first one comes at once");
    let begun = now();
    let quiet = event(&events);
    assert_eq!((&quiet["Records"], &quiet["MillisBehindLatest"]), (&json!([]), &json!(0)));
    assert!(begun.elapsed() >= TIMES.keep_alive / 2, "an event after {:?}", begun.elapsed());
    let mut fastest = Duration::MAX;
    for key in ["a", "b", "c"] {
        let begun = now();
        let (_, number) = served.put("logs", key, "data");
        let (found, last) = keys(&events, 1);
        fastest = fastest.min(begun.elapsed());
        assert_eq!(found, [key]);
        assert_eq!(text(&last["ContinuationSequenceNumber"]), number);
    }
    assert!(fastest < TIMES.keep_alive / 2, "an append took {fastest:?} to be pushed");
}

#[test]
fn a_continuation_from_before_the_first_record_misses_nothing() {
    let (served, arn) = served(Quota::OFF);
    let events = subscribe(&served, &arn, &json!({ "Type": "TRIM_HORIZON" }));
    let number = text(&event(&events)["ContinuationSequenceNumber"]);
    drop(events);
    served.put("logs", "first", "data");
    for kind in ["AFTER_SEQUENCE_NUMBER", "AT_SEQUENCE_NUMBER"] {
        std::thread::sleep(TIMES.hold);
        let events = subscribe(&served, &arn, &json!({ "Type": kind, "SequenceNumber": number }));
        assert_eq!(keys(&events, 1).0, ["first"], "{kind}");
    }
    let more = json!({ "ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": number });
    let records = served.get(&served.iterator("logs", &more));
    assert_eq!(records["Records"][0]["PartitionKey"], "first");
}

#[test]
fn events_come_in_cbor_to_those_who_ask_in_it() {
    let (served, arn) = served(Quota::OFF);
    served.put("logs", "a", "data");
    let start = Input::structure([("Type", Input::text("TRIM_HORIZON"))]);
    let shard = Input::text("shardId-000000000000");
    let input = [("ConsumerARN", Input::text(arn)), ("ShardId", shard), ("StartingPosition", Some(start))];
    let mut body = CborOutput::with_capacity(256);
    body.value(&Input::structure(input));
    let events = served.subscribe(Encoding::Cbor, body.finish());
    assert_eq!(events.next().expect("an initial response").payload, [0xa0]);
    let event = events.next().expect("an event");
    assert_eq!(event.header(":content-type"), "application/x-amz-cbor-1.1");
    // A map of three that begins with a list of one record; data is bytes, not base64.
    assert!(event.payload.starts_with(b"\xa3\x67Records\x81\xa4"), "{:?}", event.payload);
    let data = b"\x64Data\x44data";
    assert!(event.payload.windows(data.len()).any(|window| window == data), "{:?}", event.payload);
}

#[test]
fn a_second_subscription_is_refused_at_first_and_then_takes_over() {
    let (served, arn) = served(Quota::OFF);
    let start = json!({ "Type": "LATEST" });
    let first = subscribe(&served, &arn, &start);
    let refused = || {
        let message = format!("Another active subscription exists for this consumer: {ACCOUNT}:logs:reader");
        served.expect("SubscribeToShard", &input(&arn, &start), "ResourceInUseException", &message);
    };
    refused();
    let other = subscribe(&served, &register(&served, "other"), &start);
    assert_eq!(event(&other)["Records"], json!([]), "others are not concerned");
    std::thread::sleep(TIMES.hold);
    let second = subscribe(&served, &arn, &start);
    let begun = now();
    let (name, message) = ending(&first);
    assert!(begun.elapsed() < TIMES.keep_alive, "the first was told after {:?}", begun.elapsed());
    assert_eq!(name, "ResourceInUseException");
    assert!(message.contains(":logs:reader"), "{message}");
    refused();
    served.put("logs", "a", "data");
    assert_eq!(keys(&second, 1).0, ["a"]);
}

#[test]
fn the_end_of_the_consumer_or_of_the_stream_ends_its_subscriptions() {
    let (served, arn) = served(Quota::OFF);
    let start = json!({ "Type": "LATEST" });
    let (one, other) =
        (subscribe(&served, &arn, &start), subscribe(&served, &register(&served, "b"), &start));
    served.ask("DeregisterStreamConsumer", &json!({ "ConsumerARN": arn }));
    let (name, message) = ending(&one);
    assert_eq!((name.as_str(), message.contains("reader")), ("ResourceNotFoundException", true), "{message}");
    served.expect("SubscribeToShard", &input(&arn, &start), "ResourceNotFoundException", "reader");
    assert_eq!(event(&other)["Records"], json!([]));
    served.ask("DeleteStream", &json!({ "StreamName": "logs", "EnforceConsumerDeletion": true }));
    assert_eq!(ending(&other).0, "ResourceNotFoundException");
}

#[test]
fn a_subscription_ends_when_its_time_is_over() {
    let (served, arn) = served(Quota::OFF);
    let begun = now();
    let events = subscribe(&served, &arn, &json!({ "Type": "LATEST" }));
    let mut seen = 0;
    while let Some(event) = events.next() {
        assert_eq!(event.header(":message-type"), "event");
        seen += 1;
    }
    let took = begun.elapsed();
    assert!(took >= TIMES.length && took < TIMES.length * 2, "it ended after {took:?}");
    assert!(seen >= 3, "{seen} events");
}

#[test]
fn each_consumer_has_the_rate_of_a_shard_for_itself_in_events_of_bounded_size() {
    let quota = Quota { read_bytes_per_second: 400_000, ..Quota::OFF };
    let (served, arn) = served(quota);
    for number in 0..12 {
        served.put("logs", &number.to_string(), &"x".repeat(60_000));
    }
    let start = json!({ "Type": "TRIM_HORIZON" });
    let begun = now();
    let all = [subscribe(&served, &arn, &start), subscribe(&served, &register(&served, "b"), &start)];
    for events in &all {
        let mut found = Vec::new();
        while found.len() < 12 {
            let event = event(events);
            let records = event["Records"].as_array().expect("a list");
            assert!(records.len() <= 2, "{} records in one event", records.len());
            assert!(
                records.is_empty() || found.len() + records.len() == 12 || event["MillisBehindLatest"] != 0
            );
            found.extend(records.iter().map(|record| text(&record["PartitionKey"])));
        }
        assert_eq!(found, (0..12).map(|number| number.to_string()).collect::<Vec<_>>());
    }
    // 720,000 bytes of which 400,000 are there at once; the two of them one after the other would take the double.
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(700) && took < Duration::from_millis(2_500), "{took:?}");
    let records = served.get(&served.iterator("logs", &json!({ "ShardIteratorType": "TRIM_HORIZON" })));
    assert!(!records["Records"].as_array().expect("a list").is_empty(), "the shard's own rate is untouched");
}

#[test]
fn a_consumer_that_takes_nothing_for_a_while_misses_nothing() {
    let (served, arn) = served(Quota::OFF);
    let events = subscribe(&served, &arn, &json!({ "Type": "LATEST" }));
    assert_eq!(event(&events)["Records"], json!([]));
    for number in 0..40 {
        served.put("logs", &number.to_string(), &"x".repeat(100_000));
    }
    // Four megabytes of records, and room for one of events: all of them come, in order.
    let (found, last) = keys(&events, 40);
    assert_eq!(found, (0..40).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(last["MillisBehindLatest"], 0);
}

#[test]
fn a_large_record_comes_alone_and_many_in_one_batch_come_in_several_events() {
    let (served, arn) = served(Quota::OFF);
    let data = super::served::base64(&vec![b'x'; 50_000]);
    let records: Vec<_> =
        (0..20).map(|key| json!({ "PartitionKey": key.to_string(), "Data": data })).collect();
    served.ask("PutRecords", &json!({ "StreamName": "logs", "Records": records }));
    served.put("logs", "large", &"y".repeat(1_000_000));
    let events = subscribe(&served, &arn, &json!({ "Type": "TRIM_HORIZON" }));
    let mut sizes = Vec::new();
    let mut found = Vec::new();
    while found.len() < 21 {
        let event = event(&events);
        let records = event["Records"].as_array().expect("a list");
        sizes.push(records.len());
        found.extend(records.iter().map(|record| text(&record["PartitionKey"])));
    }
    let expected: Vec<_> = (0..20).map(|key| key.to_string()).chain(["large".to_owned()]).collect();
    assert_eq!(found, expected);
    assert!(sizes.iter().all(|size| *size <= 2) && sizes.last() == Some(&1), "{sizes:?}");
}

#[test]
fn what_cannot_be_subscribed_to_is_refused_before_anything_is_sent() {
    let (served, arn) = served(Quota::OFF);
    let check =
        |input: &Value, error: &str, part: &str| served.expect("SubscribeToShard", input, error, part);
    let latest = json!({ "Type": "LATEST" });
    let none = arn.replace("reader", "none");
    check(&input(&none, &latest), "ResourceNotFoundException", "none");
    check(&input(&arn.replace("logs", "nowhere"), &latest), "ResourceNotFoundException", "nowhere");
    let mut shard = input(&arn, &latest);
    shard["ShardId"] = json!("shardId-000000000009");
    check(&shard, "ResourceNotFoundException", "shardId-000000000009");
    check(&input(&arn, &json!({ "Type": "SOMEWHERE" })), "ValidationException", "enum value set");
    check(&input(&arn, &json!({ "Type": "AT_TIMESTAMP" })), "InvalidArgumentException", "timestamp");
    check(
        &input(&arn, &json!({ "Type": "AT_SEQUENCE_NUMBER" })),
        "InvalidArgumentException",
        "SequenceNumber",
    );
    let foreign = json!({ "Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": "7" });
    check(&input(&arn, &foreign), "InvalidArgumentException", "used in SubscribeToShard");
    let mut dry = input(&arn, &latest);
    dry["DryRun"] = json!(true);
    check(&dry, "DryRunOperationException", "would have succeeded");
    check(&json!({ "ConsumerARN": arn }), "ValidationException", "'startingPosition'");
    // None of these has taken the seat.
    subscribe(&served, &arn, &latest);
}

#[test]
fn consumers_that_take_nothing_keep_no_room_from_the_others() {
    let (served, arn) = served(Quota::OFF);
    let data = super::served::base64(&[b'x'; 6_000]);
    for _ in 0..4 {
        let records: Vec<_> = (0..100).map(|_| json!({ "PartitionKey": "k", "Data": data })).collect();
        served.ask("PutRecords", &json!({ "StreamName": "logs", "Records": records }));
    }
    let start = json!({ "Type": "TRIM_HORIZON" });
    // Each holds an event of about 340 KB with what it is made of, and there is room for three of them.
    let stuck: Vec<_> = (0..8)
        .map(|number| subscribe(&served, &register(&served, &format!("stuck-{number}")), &start))
        .collect();
    std::thread::sleep(TIMES.keep_alive);
    let events = subscribe(&served, &arn, &start);
    assert_eq!(keys(&events, 400).0.len(), 400);
    drop(stuck);
    std::thread::sleep(TIMES.hold);
    let again = subscribe(&served, &arn, &start);
    let first = event(&again)["Records"].as_array().map_or(0, Vec::len);
    assert!(first > 10, "the room has come back: {first} records in an event");
}

#[test]
fn at_the_end_of_a_closed_shard_a_subscription_names_the_children_and_ends() {
    let (served, arn) = served(Quota::OFF);
    served.put("logs", "a", "data");
    let waits = subscribe(&served, &arn, &json!({ "Type": "TRIM_HORIZON" }));
    assert_eq!(keys(&waits, 1).0, ["a"]);
    let half = (u128::MAX / 2 + 1).to_string();
    let split =
        json!({ "StreamName": "logs", "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": half });
    assert_eq!(served.ask("SplitShard", &split), Value::Null);
    let check = |events: &Events, records: usize| {
        let mut last = events.next().expect("an event");
        while let Some(next) = events.next() {
            last = next;
        }
        let last: Value = serde_json::from_slice(&last.payload).expect("JSON");
        assert!(last.get("ContinuationSequenceNumber").is_none(), "{last}");
        assert_eq!(
            (last["Records"].as_array().map(Vec::len), &last["MillisBehindLatest"]),
            (Some(records), &json!(0))
        );
        let children = last["ChildShards"].as_array().expect("a list");
        let ids: Vec<_> = children.iter().map(|child| text(&child["ShardId"])).collect();
        assert_eq!(ids, ["shardId-000000000001", "shardId-000000000002"]);
        assert_eq!(children[0]["ParentShards"], json!(["shardId-000000000000"]));
        assert_eq!(children[0]["HashKeyRange"]["StartingHashKey"], "0");
    };
    let begun = now();
    check(&waits, 0);
    assert!(begun.elapsed() < TIMES.keep_alive * 3, "it ended after {:?}", begun.elapsed());
    // One that comes later gets what is left and the children in one event.
    std::thread::sleep(TIMES.hold);
    check(&subscribe(&served, &arn, &json!({ "Type": "TRIM_HORIZON" })), 1);
}
