//! Records put and got.

use serde_json::{Value, json};
use tidemill_wire::message::Quota;
use tidemill_wire::routing::{HashKey, HashKeyRange, RoutingTable};
use tidemill_wire::{SequenceNumber, ShardIndex, Timestamp};

use super::super::super::Encoding;
use super::super::super::cbor::{self, CborOutput};
use super::super::super::output::Output;
use super::super::super::seal::Seal;
use super::super::super::shape::Operation;
use super::super::super::value::Value as Tree;
use super::super::model;
use super::super::sequence::RecordNumber;
use super::super::token::ShardIterator;
use super::served::{Served, base64, text};

const DAY_MS: u64 = 86_400_000;

fn data(answer: &Value) -> Vec<String> {
    let records = answer["Records"].as_array().expect("a list");
    records.iter().map(|record| text(&record["Data"])).collect()
}

fn encoded<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.iter().map(|text| base64(text.as_bytes())).collect()
}

/// The shard that a key leads to, of so many.
fn shard_of(key: &str, shards: u32) -> String {
    let ranges = HashKeyRange::split_evenly(shards).into_iter().zip((0..).map(ShardIndex));
    let table = RoutingTable::new(ranges).expect("even ranges cover all");
    super::super::names::shard_id(table.shard_of(HashKey::of(key.as_bytes())))
}

#[test]
fn a_record_is_put_where_its_key_leads_and_got_as_it_was() {
    let served = Served::start();
    served.create("logs", 4);
    for key in ["a", "b", "c", "d", "ü"] {
        assert_eq!(served.put("logs", key, "x").0, shard_of(key, 4));
    }
    served.create("one", 1);
    let (_, first) = served.put("one", "ü/\\\"", "first");
    let (_, second) = served.put("one", "k", "");
    assert!(second > first && second.len() == first.len(), "{first} {second}");
    let got = served.get(&served.iterator("one", &json!({ "ShardIteratorType": "TRIM_HORIZON" })));
    assert_eq!(data(&got), encoded(["first", ""]));
    let records = got["Records"].as_array().expect("a list");
    assert_eq!(
        (&records[0]["PartitionKey"], &records[0]["SequenceNumber"]),
        (&json!("ü/\\\""), &json!(first))
    );
    assert!(records[0]["ApproximateArrivalTimestamp"].as_f64().expect("seconds") > 1.7e9);
    assert_eq!((&got["MillisBehindLatest"], &got["ChildShards"]), (&json!(0), &Value::Null));
    let next = served.get(&text(&got["NextShardIterator"]));
    assert_eq!((data(&next).len(), next["NextShardIterator"].is_string()), (0, true));
}

#[test]
fn a_hash_key_goes_before_the_partition_key() {
    let served = Served::start();
    served.create("logs", 2);
    let put = |hash: &str| {
        let input = json!({ "StreamName": "logs", "PartitionKey": "a", "Data": "", "ExplicitHashKey": hash });
        served.ask_raw("PutRecord", Encoding::Json, input.to_string())
    };
    let shard = |hash: &str| {
        let (status, body) = put(hash);
        assert_eq!(status, 200);
        text(&serde_json::from_slice::<Value>(&body).expect("JSON")["ShardId"])
    };
    assert_eq!(shard("0"), "shardId-000000000000");
    assert_eq!(shard(&u128::MAX.to_string()), "shardId-000000000001");
    let check = |hash: &str, error, part| {
        let input = json!({ "StreamName": "logs", "PartitionKey": "a", "Data": "", "ExplicitHashKey": hash });
        served.expect("PutRecord", &input, error, part);
    };
    check("340282366920938463463374607431768211456", "InvalidArgumentException", "[0, 2^128-1]");
    check("01", "ValidationException", "'explicitHashKey'");
}

#[test]
fn records_put_together_have_a_fate_each() {
    let served = Served::start();
    served.create("logs", 3);
    let records: Vec<Value> = (0..100)
        .map(|index| json!({ "PartitionKey": format!("key {index}"), "Data": base64(&[index]) }))
        .collect();
    let answer = served.ask("PutRecords", &json!({ "StreamName": "logs", "Records": records }));
    assert_eq!(answer["FailedRecordCount"], 0);
    let fates = answer["Records"].as_array().expect("a list");
    assert_eq!(fates.len(), 100);
    let mut got = 0;
    for shard in 0..3 {
        let id = super::super::names::shard_id(ShardIndex(shard));
        let input = json!({ "StreamName": "logs", "ShardId": id, "ShardIteratorType": "TRIM_HORIZON" });
        let answer = served.get(&text(&served.ask("GetShardIterator", &input)["ShardIterator"]));
        for record in answer["Records"].as_array().expect("a list") {
            let fate = fates.iter().find(|fate| {
                fate["SequenceNumber"] == record["SequenceNumber"] && fate["ShardId"] == id.as_str()
            });
            let index = fates.iter().position(|other| Some(other) == fate).expect("it was answered");
            assert_eq!(record["PartitionKey"], format!("key {index}"));
            assert_eq!(record["Data"], base64(&[u8::try_from(index).expect("below 100")]));
            got += 1;
        }
    }
    assert_eq!(got, 100);
}

#[test]
fn what_a_put_must_not_have_is_told_in_the_models_words() {
    let served = Served::start();
    served.create("logs", 1);
    let check =
        |operation: &str, input: Value, error, part: &str| served.expect(operation, &input, error, part);
    let validation = "ValidationException";
    check(
        "PutRecord",
        json!({ "StreamName": "logs", "PartitionKey": "k" }),
        validation,
        "Value null at 'data'",
    );
    check(
        "PutRecord",
        json!({ "StreamName": "logs", "Data": "" }),
        validation,
        "Value null at 'partitionKey'",
    );
    check(
        "PutRecord",
        json!({ "StreamName": "logs", "Data": "", "PartitionKey": "k".repeat(257) }),
        validation,
        "length less than or equal to 256",
    );
    check(
        "PutRecord",
        json!({ "StreamName": "logs", "Data": "***", "PartitionKey": "k" }),
        "SerializationException",
        "base64",
    );
    check(
        "PutRecord",
        json!({ "StreamName": "none", "Data": "", "PartitionKey": "k" }),
        "ResourceNotFoundException",
        "none",
    );
    let dry = json!({ "StreamName": "logs", "Data": "", "PartitionKey": "k", "DryRun": true });
    check("PutRecord", dry, "DryRunOperationException", "would have succeeded");
    check(
        "PutRecords",
        json!({ "StreamName": "logs", "Records": [] }),
        validation,
        "length greater than or equal to 1",
    );
    let entry = json!({ "PartitionKey": "k", "Data": "" });
    check(
        "PutRecords",
        json!({ "StreamName": "logs", "Records": vec![&entry; 501] }),
        validation,
        "'[501 members]' at 'records'",
    );
    let keyless = json!({ "StreamName": "logs", "Records": [entry, { "Data": "" }] });
    check("PutRecords", keyless, validation, "Value null at 'records.2.member.partitionKey'");
    let large = json!({ "StreamName": "logs", "PartitionKey": "k", "Data": base64(&vec![0; 1 << 20]) });
    check("PutRecord", large, "InvalidArgumentException", "1048577 bytes of key and data");
    let megabyte = json!({ "PartitionKey": "k", "Data": base64(&vec![0; (1 << 20) - 1]) });
    check(
        "PutRecords",
        json!({ "StreamName": "logs", "Records": vec![megabyte; 11] }),
        "InvalidArgumentException",
        "10485760",
    );
    let nothing = served.get(&served.iterator("logs", &json!({ "ShardIteratorType": "TRIM_HORIZON" })));
    assert_eq!(data(&nothing).len(), 0, "what was refused was not stored");
}

#[test]
fn a_used_up_quota_throttles_records_and_not_the_call() {
    let quota = Quota { write_records_per_second: 100, ..Quota::OFF };
    let served = Served::start_with(quota);
    served.create("logs", 1);
    let entry = json!({ "PartitionKey": "k", "Data": "" });
    let answer = served.ask("PutRecords", &json!({ "StreamName": "logs", "Records": vec![entry; 200] }));
    let fates = answer["Records"].as_array().expect("a list");
    let failed: Vec<&Value> = fates.iter().filter(|fate| fate["ErrorCode"].is_string()).collect();
    assert_eq!(answer["FailedRecordCount"], failed.len());
    assert!((75..=100).contains(&failed.len()), "{}", failed.len());
    assert_eq!(failed[0]["ErrorCode"], "ProvisionedThroughputExceededException");
    assert!(
        text(&failed[0]["ErrorMessage"])
            .starts_with("Rate exceeded for shard shardId-000000000000 in stream logs")
    );
    let one = json!({ "StreamName": "logs", "PartitionKey": "k", "Data": "" });
    let mut refused = 0;
    for _ in 0..100 {
        let (status, body) = served.ask_raw("PutRecord", Encoding::Json, one.to_string());
        if status == 400 {
            let (_, name, _) = super::served::refusal("PutRecord", status, &body);
            assert_eq!(name, "ProvisionedThroughputExceededException");
            refused += 1;
        }
    }
    assert!(refused > 0, "100 records a second were admitted");
}

/// A key that all records of a batch share is stored once and counted for each of them.
#[test]
fn keys_are_counted_for_each_record() {
    let served = Served::start_with(Quota { write_bytes_per_second: 1_000, ..Quota::OFF });
    served.create("logs", 1);
    let entry = json!({ "PartitionKey": "k".repeat(250), "Data": "" });
    let answer = served.ask("PutRecords", &json!({ "StreamName": "logs", "Records": vec![entry; 6] }));
    assert!((1..=2).contains(&answer["FailedRecordCount"].as_u64().expect("a count")), "{answer}");
}

#[test]
fn readers_begin_where_they_want() {
    let served = Served::start();
    served.create("logs", 1);
    let (_, first) = served.put("logs", "k", "a");
    let latest = served.iterator("logs", &json!({ "ShardIteratorType": "LATEST" }));
    let (_, second) = served.put("logs", "k", "b");
    let from = |more: Value| data(&served.get(&served.iterator("logs", &more)));
    assert_eq!(data(&served.get(&latest)), encoded(["b"]));
    let at =
        |kind: &str, number: &str| json!({ "ShardIteratorType": kind, "StartingSequenceNumber": number });
    assert_eq!(from(at("AT_SEQUENCE_NUMBER", &second)), encoded(["b"]));
    assert_eq!(from(at("AFTER_SEQUENCE_NUMBER", &first)), encoded(["b"]));
    assert_eq!(from(at("AFTER_SEQUENCE_NUMBER", &second)), encoded([]));
    assert_eq!(from(json!({ "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1.5 })), encoded(["a", "b"]));
    let check = |more: Value, error, part| {
        let mut input = json!({ "StreamName": "logs", "ShardId": "shardId-000000000000" });
        input.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        served.expect("GetShardIterator", &input, error, part);
    };
    let invalid = "InvalidArgumentException";
    check(json!({ "ShardIteratorType": "AT_SEQUENCE_NUMBER" }), invalid, "no StartingSequenceNumber");
    check(json!({ "ShardIteratorType": "AT_TIMESTAMP" }), invalid, "no timestamp parameter");
    check(
        json!({ "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 4_000_000_000_u64 }),
        invalid,
        "cannot be greater",
    );
    check(at("AT_SEQUENCE_NUMBER", "42"), invalid, "did not come from this stream");
    let number = RecordNumber::parse(&second).expect("one of ours");
    let beyond = RecordNumber { sequence: SequenceNumber(2), ..number }.to_decimal();
    check(at("AT_SEQUENCE_NUMBER", &beyond), invalid, "did not come from this stream");
    check(
        json!({ "ShardIteratorType": "SOMEWHERE" }),
        "ValidationException",
        "enum value set: [AT_SEQUENCE_NUMBER",
    );
    check(
        json!({ "ShardIteratorType": "LATEST", "ShardId": "shardId-000000000001" }),
        "ResourceNotFoundException",
        "Could not find shard",
    );
    served.ask("DeleteStream", &json!({ "StreamName": "logs" }));
    served.create("logs", 1);
    served.put("logs", "k", "c");
    check(at("AT_SEQUENCE_NUMBER", &first), invalid, "did not come from this stream");
    served.expect("GetRecords", &json!({ "ShardIterator": latest }), "ResourceNotFoundException", "");
}

#[test]
fn an_empty_shard_can_be_read_from_its_starting_number() {
    let served = Served::start();
    served.create("logs", 1);
    let shards = served.ask("ListShards", &json!({ "StreamName": "logs" }));
    let start = &shards["Shards"][0]["SequenceNumberRange"]["StartingSequenceNumber"];
    for kind in ["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"] {
        let at = json!({ "ShardIteratorType": kind, "StartingSequenceNumber": start });
        assert_eq!(data(&served.get(&served.iterator("logs", &at))).len(), 0);
    }
}

#[test]
fn iterators_expire_and_cannot_be_made_up() {
    let served = Served::start();
    served.create("logs", 1);
    let get = |iterator: &str| json!({ "ShardIterator": iterator });
    served.expect("GetRecords", &get("AAAA"), "InvalidArgumentException", "Invalid ShardIterator");
    let iterator = served.iterator("logs", &json!({ "ShardIteratorType": "TRIM_HORIZON" }));
    let seal = Seal::new(&[7; 32]);
    let (known, made) = ShardIterator::open(&seal, &iterator).expect("one of ours");
    let old = known.close(&seal, Timestamp(made.get() - 301_000));
    served.expect(
        "GetRecords",
        &get(&old),
        "ExpiredIteratorException",
        "tolerated delay of 300000 milliseconds",
    );
    let nearly_old = known.close(&seal, Timestamp(made.get() - 290_000));
    served.get(&nearly_old);
    let forged = known.close(&Seal::new(&[8; 32]), made);
    served.expect("GetRecords", &get(&forged), "InvalidArgumentException", "Invalid ShardIterator");
    let other = json!({ "ShardIterator": iterator, "StreamARN": "arn:aws:kinesis:us-east-1:123456789012:stream/other" });
    served.create("other", 1);
    served.expect("GetRecords", &other, "InvalidArgumentException", "not of the stream");
}

#[test]
fn a_limit_cuts_within_a_batch_and_nothing_is_lost() {
    let served = Served::start();
    served.create("logs", 1);
    let records: Vec<Value> =
        (0..20).map(|index| json!({ "PartitionKey": "k", "Data": base64(&[index]) })).collect();
    served.ask("PutRecords", &json!({ "StreamName": "logs", "Records": records }));
    let mut iterator = served.iterator("logs", &json!({ "ShardIteratorType": "TRIM_HORIZON" }));
    let mut all = Vec::new();
    for left in [13, 6, 0] {
        let answer = served.ask("GetRecords", &json!({ "ShardIterator": iterator, "Limit": 7 }));
        all.extend(data(&answer));
        assert_eq!(20 - all.len(), left);
        let behind_ms = answer["MillisBehindLatest"].as_u64().expect("a number");
        assert!(behind_ms < DAY_MS && (left > 0 || behind_ms == 0), "{behind_ms}");
        iterator = text(&answer["NextShardIterator"]);
    }
    assert_eq!(all, (0..20).map(|index| base64(&[index])).collect::<Vec<_>>());
}

#[test]
fn an_answer_holds_ten_mebibytes_of_records_at_most() {
    let served = Served::start();
    served.create("logs", 1);
    let record = json!({ "PartitionKey": "k", "Data": base64(&vec![1; 1_000_000]) });
    for _ in 0..2 {
        served.ask("PutRecords", &json!({ "StreamName": "logs", "Records": vec![&record; 7] }));
    }
    let first = served.get(&served.iterator("logs", &json!({ "ShardIteratorType": "TRIM_HORIZON" })));
    let second = served.get(&text(&first["NextShardIterator"]));
    let counts = (data(&first).len(), data(&second).len());
    assert!(counts.0 <= 10 && counts.0 + counts.1 == 14, "{counts:?}");
}

#[test]
fn an_ordering_number_has_to_be_one_that_exists() {
    let served = Served::start();
    served.create("logs", 1);
    let (_, first) = served.put("logs", "k", "a");
    let put = |number: &str| json!({ "StreamName": "logs", "PartitionKey": "k", "Data": "", "SequenceNumberForOrdering": number });
    assert!(text(&served.ask("PutRecord", &put(&first))["SequenceNumber"]) > first);
    let number = RecordNumber::parse(&first).expect("one of ours");
    let later = RecordNumber { sequence: SequenceNumber(99), ..number }.to_decimal();
    served.expect("PutRecord", &put(&later), "InvalidArgumentException", "is invalid");
    served.expect("PutRecord", &put("7"), "InvalidArgumentException", "is invalid");
}

/// Asks in CBOR for what must succeed, and reads the answer by its shape.
fn ask_cbor(served: &Served, operation: &str, input: &Tree) -> Tree {
    let mut out = CborOutput::with_capacity(0);
    out.value(input);
    let (status, body) = served.ask_raw(operation, Encoding::Cbor, out.finish());
    assert_eq!(status, 200, "{operation}");
    let known = Operation::find(model::OPERATIONS, operation).expect("a known operation");
    cbor::decode(known.output.expect("an output"), &body).expect("CBOR")
}

#[test]
fn the_same_goes_in_cbor() {
    let served = Served::start();
    served.create("logs", 1);
    let blob = |bytes: &'static [u8]| Some(Tree::Blob(bytes::Bytes::from_static(bytes)));
    let entry = |data| Tree::structure([("Data", blob(data)), ("PartitionKey", Tree::text("k"))]);
    let put = Tree::structure([
        ("Data", blob(b"a\x00b")),
        ("PartitionKey", Tree::text("k")),
        ("StreamName", Tree::text("logs")),
    ]);
    ask_cbor(&served, "PutRecord", &put);
    let records = Some(Tree::List(vec![entry(b"c"), entry(b"")]));
    let put = Tree::structure([("Records", records), ("StreamName", Tree::text("logs"))]);
    assert_eq!(ask_cbor(&served, "PutRecords", &put).get_integer("FailedRecordCount"), Some(0));
    let iterator = ask_cbor(
        &served,
        "GetShardIterator",
        &Tree::structure([
            ("ShardId", Tree::text("shardId-000000000000")),
            ("ShardIteratorType", Tree::text("AT_TIMESTAMP")),
            ("StreamName", Tree::text("logs")),
            ("Timestamp", Some(Tree::Timestamp(Timestamp(1_500)))),
        ]),
    );
    let iterator = iterator.get_text("ShardIterator").expect("an iterator").to_owned();
    let got = ask_cbor(&served, "GetRecords", &Tree::structure([("ShardIterator", Tree::text(iterator))]));
    let Some(Tree::List(records)) = got.get("Records") else { panic!("{got:?}") };
    let data: Vec<_> = records.iter().map(|record| record.get("Data").cloned()).collect();
    assert_eq!(data, [blob(b"a\x00b"), blob(b"c"), blob(b"")]);
    assert!(
        records[0].get_timestamp("ApproximateArrivalTimestamp").expect("a time").get() > 1_700_000_000_000
    );
    let (status, body) = served.ask_raw("PutRecord", Encoding::Cbor, &b"\xbf\x64Data\x01\xff"[..]);
    assert_eq!(status, 400);
    assert!(body.windows(22).any(|part| part == b"SerializationException"), "{body:?}");
    assert!(cbor::decode(model::OPERATIONS[0].input, b"\x9f").is_err());
}
