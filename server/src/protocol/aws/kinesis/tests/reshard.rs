//! Shards that are split, merged and scaled: what is refused, what is shown, and how records and readers go on.

use serde_json::{Value, json};

use super::super::super::Encoding;
use tidemill_wire::Timestamp;
use tidemill_wire::message::Quota;

use super::served::{Served, base64, memory, text};
use crate::service::catalog::{Catalog, Change, MemoryCatalog, State, StoreError, Stream};

const INVALID: &str = "InvalidArgumentException";
/// Calls of PutRecords while shards change.
const ROUNDS: u32 = 20;

fn id(index: u32) -> String {
    format!("shardId-{index:012}")
}

fn split(served: &Served, shard: u32, at: u128) {
    let input =
        json!({ "StreamName": "logs", "ShardToSplit": id(shard), "NewStartingHashKey": at.to_string() });
    assert_eq!(served.ask("SplitShard", &input), Value::Null);
}

fn merge(served: &Served, shard: u32, adjacent: u32) {
    let input =
        json!({ "StreamName": "logs", "ShardToMerge": id(shard), "AdjacentShardToMerge": id(adjacent) });
    assert_eq!(served.ask("MergeShards", &input), Value::Null);
}

fn shards(served: &Served) -> Vec<Value> {
    let listed = served.ask("ListShards", &json!({ "StreamName": "logs" }));
    listed["Shards"].as_array().expect("a list").clone()
}

fn filtered(served: &Served, filter: &Value) -> Vec<u32> {
    let listed = served.ask("ListShards", &json!({ "StreamName": "logs", "ShardFilter": filter }));
    let shards = listed["Shards"].as_array().expect("a list");
    shards.iter().map(|shard| text(&shard["ShardId"])[8..].parse().expect("a number")).collect()
}

fn begin(served: &Served, shard: u32, kind: &str) -> String {
    let input = json!({ "StreamName": "logs", "ShardId": id(shard), "ShardIteratorType": kind });
    text(&served.ask("GetShardIterator", &input)["ShardIterator"])
}

/// Keys whose hashes lie on both sides of the middle.
fn put_some(served: &Served, from: u32) -> Vec<(String, String)> {
    (from..from + 20).map(|n| served.put("logs", &format!("key-{n}"), &n.to_string())).collect()
}

#[test]
fn a_split_shard_is_read_to_its_end_and_its_children_go_on() {
    let served = Served::start();
    served.create("logs", 1);
    let before = put_some(&served, 0);
    let iterator = begin(&served, 0, "TRIM_HORIZON");
    split(&served, 0, 1 << 127);
    let summary = served.ask("DescribeStreamSummary", &json!({ "StreamName": "logs" }));
    let summary = &summary["StreamDescriptionSummary"];
    assert_eq!((&summary["StreamStatus"], &summary["OpenShardCount"]), (&json!("ACTIVE"), &json!(2)));
    let after = put_some(&served, 20);
    assert!(after.iter().any(|(shard, _)| *shard == id(1)) && after.iter().any(|(shard, _)| *shard == id(2)));
    let last = &before[19].1;
    assert!(after.iter().all(|(_, number)| number > last), "numbers grow from parent to child");

    let described = served.ask("DescribeStream", &json!({ "StreamName": "logs" }));
    let shards = described["StreamDescription"]["Shards"].as_array().expect("a list");
    assert_eq!(shards[0]["SequenceNumberRange"]["EndingSequenceNumber"], last.as_str());
    assert_eq!(shards[1]["ParentShardId"], id(0).as_str());
    assert_eq!(shards[1]["SequenceNumberRange"]["EndingSequenceNumber"], Value::Null);
    assert_eq!(shards[2]["HashKeyRange"]["StartingHashKey"], (1_u128 << 127).to_string());
    assert_eq!(shards[1]["AdjacentParentShardId"], Value::Null);

    let limited = served.ask("GetRecords", &json!({ "ShardIterator": iterator, "Limit": 15 }));
    assert_eq!(limited["Records"].as_array().map(Vec::len), Some(15));
    assert_eq!(limited["ChildShards"], Value::Null);
    let rest = served.get(&text(&limited["NextShardIterator"]));
    assert_eq!(rest["Records"].as_array().map(Vec::len), Some(5));
    assert_eq!((&rest["NextShardIterator"], &rest["MillisBehindLatest"]), (&Value::Null, &json!(0)));
    let children = rest["ChildShards"].as_array().expect("a list");
    let parents = json!([id(0)]);
    assert_eq!(children.len(), 2);
    for (child, index) in children.iter().zip([1, 2]) {
        assert_eq!((&child["ShardId"], &child["ParentShards"]), (&json!(id(index)), &parents));
    }
    assert_eq!(served.get(&begin(&served, 0, "LATEST"))["NextShardIterator"], Value::Null);
    let in_children =
        |shard| served.get(&begin(&served, shard, "TRIM_HORIZON"))["Records"].as_array().map(Vec::len);
    assert_eq!(in_children(1).zip(in_children(2)).map(|(one, other)| one + other), Some(20));
}

#[test]
fn merged_shards_have_one_child_with_both_as_parents() {
    let served = Served::start();
    served.create("logs", 2);
    put_some(&served, 0);
    merge(&served, 0, 1);
    let listed = shards(&served);
    assert_eq!(listed[2]["ParentShardId"], id(0).as_str());
    assert_eq!(listed[2]["AdjacentParentShardId"], id(1).as_str());
    assert_eq!(listed[2]["HashKeyRange"]["EndingHashKey"], u128::MAX.to_string());
    for (parent, other) in [(0, 1), (1, 0)] {
        let end = served.get(&begin(&served, parent, "TRIM_HORIZON"));
        assert_eq!(end["ChildShards"][0]["ShardId"], id(2).as_str(), "{parent} and {other}");
        assert_eq!(end["ChildShards"][0]["ParentShards"], json!([id(0), id(1)]));
    }
    assert!(put_some(&served, 20).iter().all(|(shard, _)| *shard == id(2)));
}

#[test]
fn a_shard_that_was_closed_without_a_record_ends_where_it_begins() {
    let served = Served::start();
    served.create("logs", 1);
    split(&served, 0, 1 << 127);
    let range = &shards(&served)[0]["SequenceNumberRange"];
    assert_eq!(range["StartingSequenceNumber"], range["EndingSequenceNumber"]);
    assert_eq!(served.get(&begin(&served, 0, "TRIM_HORIZON"))["NextShardIterator"], Value::Null);
}

#[test]
fn the_shard_count_is_doubled_halved_and_no_more() {
    let served = Served::start();
    served.create("logs", 2);
    let scale = |target: i64| json!({ "StreamName": "logs", "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING" });
    let answer = served.ask("UpdateShardCount", &scale(4));
    assert_eq!((&answer["CurrentShardCount"], &answer["TargetShardCount"]), (&json!(2), &json!(4)));
    assert_eq!(answer["StreamName"], "logs");
    assert!(text(&answer["StreamARN"]).ends_with(":stream/logs"));
    assert_eq!(filtered(&served, &json!({ "Type": "AT_LATEST" })), [2, 3, 4, 5]);
    served.ask("UpdateShardCount", &scale(3));
    let open = filtered(&served, &json!({ "Type": "AT_LATEST" }));
    assert_eq!(open.len(), 3);
    let limit = "LimitExceededException";
    served.expect("UpdateShardCount", &scale(7), limit, "more than twice of current open shard count");
    served.expect("UpdateShardCount", &scale(1), limit, "less than half of current open shard count");
    served.expect("UpdateShardCount", &scale(0), "ValidationException", "targetShardCount");
    let other = json!({ "StreamName": "logs", "TargetShardCount": 2, "ScalingType": "OTHER" });
    served.expect("UpdateShardCount", &other, "ValidationException", "scalingType");
    let answer = served.ask("UpdateShardCount", &scale(3));
    assert_eq!((&answer["CurrentShardCount"], &answer["TargetShardCount"]), (&json!(3), &json!(3)));
    assert_eq!(filtered(&served, &json!({ "Type": "AT_LATEST" })), open, "nothing was to be changed");
    served.create("many", 64);
    let input = json!({ "StreamName": "many", "TargetShardCount": 65, "ScalingType": "UNIFORM_SCALING" });
    served.expect("UpdateShardCount", &input, limit, "1 to 64");
}

#[test]
fn what_cannot_be_split_or_merged_is_refused() {
    let served = Served::start();
    served.create("logs", 4);
    let quarter = u128::MAX / 4;
    let split_at = |stream: &str, shard: u32, at: u128| json!({ "StreamName": stream, "ShardToSplit": id(shard), "NewStartingHashKey": at.to_string() });
    for at in [0, 1, quarter, quarter + 1, u128::MAX] {
        let part = "is not both greater than one plus the shard's StartingHashKey 0 and less than";
        served.expect("SplitShard", &split_at("logs", 0, at), INVALID, part);
    }
    let not_found = "ResourceNotFoundException";
    served.expect("SplitShard", &split_at("none", 0, 5), not_found, "Stream none");
    served.expect("SplitShard", &split_at("logs", 9, 5), not_found, "shardId-000000000009");
    let huge = json!({ "StreamName": "logs", "ShardToSplit": id(0), "NewStartingHashKey": "9".repeat(39) });
    served.expect("SplitShard", &huge, INVALID, "NewStartingHashKey 999");
    let pair = |one: u32, other: u32| json!({ "StreamName": "logs", "ShardToMerge": id(one), "AdjacentShardToMerge": id(other) });
    let apart = "are not an adjacent pair of shards eligible for merging";
    served.expect("MergeShards", &pair(0, 2), INVALID, apart);
    served.expect("MergeShards", &pair(1, 1), INVALID, apart);
    served.expect("MergeShards", &pair(0, 9), not_found, "shardId-000000000009");
    split(&served, 0, 1_000);
    merge(&served, 2, 3);
    let closed = "has already been merged or split, and thus is not eligible for merging or splitting.";
    served.expect("SplitShard", &split_at("logs", 0, 500), INVALID, closed);
    served.expect("MergeShards", &pair(0, 1), INVALID, closed);
    served.expect("MergeShards", &pair(1, 2), INVALID, closed);
    let explicit = json!({
        "StreamName": "logs", "PartitionKey": "k", "ExplicitHashKey": "999", "Data": base64(b"x")
    });
    assert_eq!(text(&served.ask("PutRecord", &explicit)["ShardId"]), id(4));
}

#[test]
fn filters_tell_the_shards_of_each_time() {
    let served = Served::start();
    let moment = || {
        std::thread::sleep(std::time::Duration::from_millis(3));
        let described = served.ask("DescribeStreamSummary", &json!({ "StreamName": "logs" }));
        drop(described);
        let elapsed = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_millis();
        std::thread::sleep(std::time::Duration::from_millis(3));
        elapsed as f64 / 1_000.0
    };
    served.create("logs", 2);
    let first = moment();
    split(&served, 0, 1_000);
    let second = moment();
    merge(&served, 3, 1);
    let check =
        |filter: Value, expected: &[u32]| assert_eq!(filtered(&served, &filter), expected, "{filter}");
    check(json!({ "Type": "AT_LATEST" }), &[2, 4]);
    check(json!({ "Type": "AT_TRIM_HORIZON" }), &[0, 1]);
    check(json!({ "Type": "FROM_TRIM_HORIZON" }), &[0, 1, 2, 3, 4]);
    check(json!({ "Type": "AFTER_SHARD_ID", "ShardId": id(1) }), &[2, 3, 4]);
    check(json!({ "Type": "AT_TIMESTAMP", "Timestamp": first }), &[0, 1]);
    check(json!({ "Type": "AT_TIMESTAMP", "Timestamp": second }), &[1, 2, 3]);
    check(json!({ "Type": "FROM_TIMESTAMP", "Timestamp": first }), &[0, 1, 2, 3, 4]);
    check(json!({ "Type": "FROM_TIMESTAMP", "Timestamp": second }), &[1, 2, 3, 4]);
    // Before the stream is the same as at its beginning.
    check(json!({ "Type": "AT_TIMESTAMP", "Timestamp": 1_700_000_000.5 }), &[0, 1]);
    let page = json!({
        "StreamName": "logs", "MaxResults": 2, "ShardFilter": { "Type": "AT_TIMESTAMP", "Timestamp": second }
    });
    let page = served.ask("ListShards", &page);
    let rest = served.ask("ListShards", &json!({ "NextToken": page["NextToken"] }));
    assert_eq!(rest["Shards"].as_array().map(Vec::len), Some(1));
    assert_eq!(rest["Shards"][0]["ShardId"], id(3).as_str());
}

#[test]
fn records_are_put_while_shards_are_changed() {
    let served = Served::start();
    served.create("logs", 1);
    let body = |n: u32| {
        let records: Vec<Value> = (0..50)
            .map(
                |at| json!({ "PartitionKey": format!("key-{at}"), "Data": base64(n.to_string().as_bytes()) }),
            )
            .collect();
        json!({ "StreamName": "logs", "Records": records }).to_string()
    };
    std::thread::scope(|scope| {
        let putting = scope.spawn(|| {
            for n in 0..ROUNDS {
                let (status, answer) = served.ask_raw("PutRecords", Encoding::Json, body(n));
                let answer: Value = serde_json::from_slice(&answer).expect("JSON");
                assert_eq!((status, &answer["FailedRecordCount"]), (200, &json!(0)), "{answer}");
                assert_eq!(answer["Records"].as_array().map(Vec::len), Some(50));
            }
        });
        for target in [2, 4, 3, 6, 3, 2, 4] {
            let input =
                json!({ "StreamName": "logs", "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING" });
            served.ask("UpdateShardCount", &input);
        }
        putting.join().expect("no panic");
    });
    // Parents are listed before their children, so the order of shards is an order of each key's records.
    let mut seen = std::collections::BTreeMap::<String, Vec<String>>::new();
    for shard in shards(&served) {
        let number = text(&shard["ShardId"])[8..].parse().expect("a number");
        let found = served.get(&begin(&served, number, "TRIM_HORIZON"));
        for record in found["Records"].as_array().expect("a list") {
            seen.entry(text(&record["PartitionKey"])).or_default().push(text(&record["Data"]));
        }
    }
    let expected: Vec<String> = (0..ROUNDS).map(|n: u32| base64(n.to_string().as_bytes())).collect();
    assert_eq!(seen.len(), 50);
    assert!(seen.values().all(|found| *found == expected), "{seen:?}");
}

/// A catalog whose disk takes so many changes and then fails.
struct Breaking {
    memory: MemoryCatalog,
    left: u32,
}

impl Catalog for Breaking {
    fn state(&self) -> &State {
        self.memory.state()
    }

    fn commit(&mut self, change: Change) -> Result<(), StoreError> {
        let failed =
            StoreError::Failed { path: "catalog.redb".into(), reason: "the disk is broken".to_owned() };
        self.left = self.left.checked_sub(1).ok_or(failed)?;
        self.memory.commit(change)
    }
}

#[test]
fn a_stream_and_the_size_of_its_records_are_one_change() {
    let served = Served::start_on(Breaking { memory: memory(Quota::OFF), left: 1 });
    served
        .ask("CreateStream", &json!({ "StreamName": "logs", "ShardCount": 1, "MaxRecordSizeInKiB": 4_096 }));
    let summary = served.ask("DescribeStreamSummary", &json!({ "StreamName": "logs" }));
    assert_eq!(summary["StreamDescriptionSummary"]["MaxRecordSizeInKiB"], 4_096);
}

/// A catalog for which the records of every closed shard are over.
struct Hasty(MemoryCatalog);

impl Catalog for Hasty {
    fn state(&self) -> &State {
        self.0.state()
    }

    fn commit(&mut self, change: Change) -> Result<(), StoreError> {
        self.0.commit(change)
    }

    fn expire_shards(&mut self, _: Timestamp) -> Result<Vec<Stream>, StoreError> {
        self.0.expire_shards(Timestamp(u64::MAX))
    }
}

#[test]
fn lists_go_on_after_a_shard_that_has_vanished() {
    let served = Served::start_on(Hasty(memory(Quota::OFF)));
    served.create("logs", 1);
    split(&served, 0, 1 << 127);
    // Whoever changes shards drops those that are over first: this one drops the first shard, and closes the second.
    split(&served, 1, 1 << 126);
    let of = |listed: &Value| -> Vec<String> {
        listed.as_array().expect("a list").iter().map(|shard| text(&shard["ShardId"])).collect()
    };
    let after = |shard: u32| {
        let input = json!({ "StreamName": "logs", "ExclusiveStartShardId": id(shard) });
        let listed = of(&served.ask("ListShards", &input)["Shards"]);
        let described = served.ask("DescribeStream", &input);
        assert_eq!(of(&described["StreamDescription"]["Shards"]), listed);
        let input = json!({ "StreamName": "logs", "ShardFilter": { "Type": "AFTER_SHARD_ID", "ShardId": id(shard) } });
        assert_eq!(of(&served.ask("ListShards", &input)["Shards"]), listed);
        listed
    };
    assert_eq!(after(0), [id(1), id(2), id(3), id(4)], "the first one has vanished");
    assert_eq!(after(3), [id(4)]);
    assert!(after(4).is_empty());
    let gone = json!({ "StreamName": "logs", "ShardId": id(0), "ShardIteratorType": "LATEST" });
    served.expect("GetShardIterator", &gone, "ResourceNotFoundException", &id(0));
    for operation in ["ListShards", "DescribeStream"] {
        let never = json!({ "StreamName": "logs", "ExclusiveStartShardId": id(5) });
        served.expect(operation, &never, "ResourceNotFoundException", &id(5));
    }
}

#[test]
fn shards_whose_change_may_or_may_not_be_stored_take_no_records_and_are_read() {
    let served = Served::start_on(Breaking { memory: memory(Quota::OFF), left: 1 });
    served.create("logs", 1);
    served.put("logs", "key", "before");
    let input = json!({ "StreamName": "logs", "ShardToSplit": id(0), "NewStartingHashKey": "1000" });
    let (status, name, _) = served.refused("SplitShard", &input);
    assert_eq!((status, name.as_str()), (500, "InternalFailureException"));
    // A restart finds one or the other; until then the stream is neither split nor whole.
    let state = "Stream logs under account 123456789012 not ACTIVE, instead in state UPDATING";
    served.expect("SplitShard", &input, "ResourceInUseException", state);
    let summary = served.ask("DescribeStreamSummary", &json!({ "StreamName": "logs" }));
    let summary = &summary["StreamDescriptionSummary"];
    assert_eq!((&summary["StreamStatus"], &summary["OpenShardCount"]), (&json!("UPDATING"), &json!(1)));
    let put = json!({ "StreamName": "logs", "PartitionKey": "key", "Data": base64(b"after") });
    let (status, name, _) = served.refused("PutRecord", &put);
    assert_eq!((status, name.as_str()), (503, "ServiceUnavailableException"));
    let read = served.get(&begin(&served, 0, "TRIM_HORIZON"));
    assert_eq!(read["Records"].as_array().map(Vec::len), Some(1));
    assert!(read["NextShardIterator"].is_string(), "it has not ended");
}
