//! Queues over streams: managed, received from, acknowledged, and their dead letters.

use std::collections::BTreeSet;

use futures_lite::future::block_on;
use serde_json::{Value, json};
use tidemill_wire::{ShardIndex, StreamName};

use super::served::{ACCOUNT, Served, base64, text};
use crate::service::catalog::{OnConsumers, ShardChange};

const INVALID: &str = "InvalidArgumentException";
const VALIDATION: &str = "ValidationException";
const MISSING: &str = "ResourceNotFoundException";
const IN_USE: &str = "ResourceInUseException";

fn stream_arn(name: &str) -> String {
    format!("arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{name}")
}

fn create_stream(served: &Served, name: &str) {
    let input = json!({ "StreamName": name, "StreamModeDetails": { "StreamMode": "ON_DEMAND" } });
    served.ask("CreateStream", &input);
}

fn new_queue(name: &str, stream: &str, attributes: &Value) -> Value {
    let streams =
        json!([{ "StreamARN": stream_arn(stream), "StartingPosition": { "Type": "TRIM_HORIZON" } }]);
    json!({ "QueueName": name, "StreamConfigurationList": streams, "QueueAttributes": attributes })
}

fn create(served: &Served, name: &str, attributes: &Value) -> String {
    let created = served.ask("CreateQueue", &new_queue(name, "logs", attributes));
    text(&created["QueueDescription"]["QueueARN"])
}

fn describe(served: &Served, arn: &str) -> Value {
    served.ask("DescribeQueue", &json!({ "QueueARN": arn }))["QueueDescription"].clone()
}

/// Puts records with these names as their data, under keys that spread over the shards.
fn put(served: &Served, names: std::ops::Range<u32>) -> BTreeSet<String> {
    names.clone().for_each(|name| drop(served.put("logs", &format!("key {name}"), &name.to_string())));
    names.map(|name| base64(name.to_string().as_bytes())).collect()
}

/// One receive; a partition may give fewer than there are, never none while there are some.
fn receive_from(served: &Served, operation: &str, arn: &str, visibility_s: u32) -> Vec<Value> {
    let input = json!({ "QueueARN": arn, "VisibilityTimeoutSeconds": visibility_s, "WaitTimeSeconds": 1 });
    let received = served.ask(operation, &input);
    received["QueueRecords"].as_array().expect("a list").clone()
}

fn receive(served: &Served, arn: &str, visibility_s: u32) -> Vec<Value> {
    receive_from(served, "ReceiveQueueRecords", arn, visibility_s)
}

fn entries(records: &[Value]) -> Value {
    records.iter().map(|record| json!({ "ReceiptHandle": record["ReceiptHandle"] })).collect()
}

/// Settles records, and returns how many were and were not.
fn settle(served: &Served, operation: &str, arn: &str, entries: &Value) -> (usize, Vec<Value>) {
    let settled = served.ask(operation, &json!({ "QueueARN": arn, "Entries": entries }));
    let list = |name: &str| settled[name].as_array().expect("a list").clone();
    (list("Successful").len(), list("Failed"))
}

fn data(records: &[Value]) -> BTreeSet<String> {
    records.iter().map(|record| text(&record["Data"])).collect()
}

#[test]
fn queues_are_created_described_changed_listed_and_deleted() {
    let served = Served::start();
    create_stream(&served, "logs");
    create_stream(&served, "other");
    let created = served.ask("CreateQueue", &new_queue("work", "logs", &json!({})));
    let created = &created["QueueDescription"];
    assert_eq!((&created["QueueStatus"], &created["QueueName"]), (&json!("CREATING"), &json!("work")));
    assert_eq!(created["StreamConfigurationList"][0]["StartingPosition"], json!({ "Type": "TRIM_HORIZON" }));
    let arn = text(&created["QueueARN"]);
    assert!(arn.starts_with(&format!("arn:aws:kinesis:us-east-1:{ACCOUNT}:queue/")), "{arn}");
    let found = describe(&served, &arn);
    let default = json!({
        "VisibilityTimeoutSeconds": 30,
        "DeadLetterConfiguration": { "TargetType": "BUILT_IN", "MaxReceiveCount": 6 },
    });
    assert_eq!((&found["QueueStatus"], &found["QueueAttributes"]), (&json!("ACTIVE"), &default));
    let position = &found["StreamConfigurationList"][0]["StartingPosition"];
    assert!(position["Timestamp"].is_number(), "{position}");
    let change =
        json!({ "VisibilityTimeoutSeconds": 5, "DeadLetterConfiguration": { "TargetType": "NONE" } });
    let changed = served.ask("UpdateQueue", &json!({ "QueueARN": arn, "QueueAttributes": change }));
    assert_eq!(changed["QueueDescription"]["QueueStatus"], "UPDATING");
    assert_eq!(describe(&served, &arn)["QueueAttributes"], change);
    served.ask("UpdateQueue", &json!({ "QueueARN": arn, "QueueAttributes": {} }));
    assert_eq!(describe(&served, &arn)["QueueAttributes"], change, "what is not given stays");

    for number in 0..4 {
        let stream = if number % 2 == 0 { "logs" } else { "other" };
        served.ask("CreateQueue", &new_queue(&format!("queue-{number}"), stream, &json!({})));
    }
    let (mut names, mut token) = (Vec::new(), Value::Null);
    loop {
        let mut input = json!({ "MaxResults": 2 });
        if !token.is_null() {
            input["NextToken"] = token;
        }
        let page = served.ask("ListQueues", &input);
        let queues = page["QueueSummaries"].as_array().expect("a list");
        assert!(queues.len() <= 2);
        names.extend(queues.iter().map(|queue| text(&queue["QueueName"])));
        token = page["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(names, ["work", "queue-0", "queue-1", "queue-2", "queue-3"]);
    let filter = |stream: &str| json!({ "StreamFilter": [{ "StreamARN": stream_arn(stream) }] });
    let of_other = served.ask("ListQueues", &filter("other"));
    let of_other = of_other["QueueSummaries"].as_array().expect("a list");
    assert_eq!(of_other.len(), 2);
    assert_eq!(of_other[0]["Streams"][0]["StreamARN"], stream_arn("other"));
    assert_eq!(served.ask("ListQueues", &filter("none"))["QueueSummaries"], json!([]));
    served.expect("ListQueues", &json!({ "NextToken": "none" }), INVALID, "NextToken");

    served.ask("DeleteQueue", &json!({ "QueueARN": arn }));
    for operation in ["DescribeQueue", "DeleteQueue", "ReceiveQueueRecords", "ReceiveDeadLetterQueueRecords"]
    {
        served.expect(operation, &json!({ "QueueARN": arn }), MISSING, "not found");
    }
    served.expect(
        "DescribeQueue",
        &json!({ "QueueARN": arn.replace("us-east-1", "eu-west-1") }),
        MISSING,
        "not found",
    );
    assert_ne!(create(&served, "work", &json!({})), arn, "another one has another ARN");
}

#[test]
fn what_a_queue_cannot_be_is_refused() {
    let served = Served::start();
    create_stream(&served, "logs");
    served.create("provisioned", 1);
    let check = |input: &Value, error: &str, part: &str| served.expect("CreateQueue", input, error, part);
    check(&new_queue("work", "none", &json!({})), MISSING, "Stream none");
    check(&new_queue("work", "provisioned", &json!({})), VALIDATION, "ON_DEMAND mode");
    let with = |streams: Value| json!({ "QueueName": "work", "StreamConfigurationList": streams });
    let logs = json!({ "StreamARN": stream_arn("logs") });
    check(&with(json!([logs, logs])), INVALID, "exactly one entry");
    let at =
        |position: Value| with(json!([{ "StreamARN": stream_arn("logs"), "StartingPosition": position }]));
    check(&at(json!({ "Type": "AT_TIMESTAMP" })), VALIDATION, "needs a Timestamp");
    check(&at(json!({ "Type": "LATEST", "Timestamp": 1 })), VALIDATION, "AT_TIMESTAMP, not LATEST");
    check(&at(json!({ "Type": "AT_TIMESTAMP", "Timestamp": 99_999_999_999_u64 })), INVALID, "in the future");
    let dead_letters = |of: Value| new_queue("work", "logs", &json!({ "DeadLetterConfiguration": of }));
    check(&dead_letters(json!({ "TargetType": "BUILT_IN" })), VALIDATION, "MaxReceiveCount is required");
    let none = json!({ "TargetType": "NONE", "MaxReceiveCount": 3 });
    check(&dead_letters(none), VALIDATION, "MaxReceiveCount is for");
    check(&new_queue("work", "logs", &json!({ "VisibilityTimeoutSeconds": 43_201 })), VALIDATION, "43200");
    create(&served, "work", &json!({}));
    check(&new_queue("work", "logs", &json!({})), IN_USE, "already exists");
    for number in 0..10 {
        create(&served, &format!("queue-{number}"), &json!({}));
        let consumer = json!({ "StreamARN": stream_arn("logs"), "ConsumerName": format!("reader-{number}") });
        if number < 9 {
            served.ask("RegisterStreamConsumer", &consumer);
        } else {
            served.expect("RegisterStreamConsumer", &consumer, "LimitExceededException", "20");
        }
    }
    check(&new_queue("more", "logs", &json!({})), "LimitExceededException", "20");
}

#[test]
fn a_stream_with_queues_stays_and_stays_on_demand() {
    let served = Served::start();
    create_stream(&served, "logs");
    let arn = create(&served, "work", &json!({}));
    put(&served, 0..3);
    let summary = served.ask("DescribeStreamSummary", &json!({ "StreamName": "logs" }));
    assert_eq!(summary["StreamDescriptionSummary"]["QueueCount"], 1);
    let enforced = json!({ "StreamName": "logs", "EnforceConsumerDeletion": true });
    served.expect("DeleteStream", &enforced, IN_USE, "DeleteQueue");
    let mode =
        json!({ "StreamARN": stream_arn("logs"), "StreamModeDetails": { "StreamMode": "PROVISIONED" } });
    served.expect("UpdateStreamMode", &mode, IN_USE, "DeleteQueue");
    served.ask("DeleteQueue", &json!({ "QueueARN": arn }));
    served.ask("UpdateStreamMode", &mode);
    served.ask("DeleteStream", &json!({ "StreamName": "logs" }));

    create_stream(&served, "logs");
    let arn = create(&served, "work", &json!({}));
    let name = StreamName::new("logs").expect("a name");
    block_on(served.catalog().delete(name.into(), OnConsumers::Dismiss)).expect("all of it goes");
    served.expect("DescribeQueue", &json!({ "QueueARN": arn }), MISSING, "not found");
    assert_eq!(served.ask("ListQueues", &json!({}))["QueueSummaries"], json!([]));
}

#[test]
fn queues_have_tags_and_no_policies() {
    let served = Served::start();
    create_stream(&served, "logs");
    let mut input = new_queue("work", "logs", &json!({}));
    input["Tags"] = json!({ "team": "tide" });
    let arn = text(&served.ask("CreateQueue", &input)["QueueDescription"]["QueueARN"]);
    let tags = || served.ask("ListTagsForResource", &json!({ "ResourceARN": arn }))["Tags"].clone();
    assert_eq!(tags(), json!([{ "Key": "team", "Value": "tide" }]));
    served.ask("TagResource", &json!({ "ResourceARN": arn, "Tags": { "stage": "test" } }));
    served.ask("UntagResource", &json!({ "ResourceARN": arn, "TagKeys": ["team"] }));
    assert_eq!(tags(), json!([{ "Key": "stage", "Value": "test" }]));
    let policy = json!({ "ResourceARN": arn });
    served.expect("GetResourcePolicy", &policy, "UnsupportedOperationException", "queue");
    served.ask("DeleteQueue", &json!({ "QueueARN": arn }));
    served.expect("ListTagsForResource", &json!({ "ResourceARN": arn }), MISSING, "not found");
}

#[test]
fn records_are_shared_and_acknowledged_ones_never_come_back() {
    let served = Served::start();
    create_stream(&served, "logs");
    let expected = put(&served, 0..25);
    let (arn, other) = (create(&served, "work", &json!({})), create(&served, "other", &json!({})));
    let mut all = Vec::new();
    while all.len() < 25 {
        let received = receive(&served, &arn, 600);
        assert!((1..=10).contains(&received.len()), "{} of them", received.len());
        all.extend(received);
    }
    assert_eq!(data(&all), expected);
    let (_, sequence) = served.put("logs", "key", "last");
    let last = receive(&served, &arn, 600);
    let record = &last[0];
    assert_eq!((&record["PartitionKey"], &record["ReceiveCount"]), (&json!("key"), &json!(1)));
    assert_eq!(record["RecordId"], json!(sequence));
    assert!(record["ApproximateArrivalTimestamp"].is_number() && record["FirstReceiveTimestamp"].is_number());
    assert_eq!(receive(&served, &arn, 600), Vec::<Value>::new(), "all are out");

    let (acknowledged, failed) = settle(&served, "AcknowledgeQueueRecords", &arn, &entries(&all[..10]));
    assert_eq!((acknowledged, failed), (10, vec![]));
    let (hidden, failed) = {
        let back: Value = all[9..12]
            .iter()
            .map(|record| json!({ "ReceiptHandle": record["ReceiptHandle"], "VisibilityTimeoutSeconds": 0 }))
            .collect();
        settle(&served, "UpdateQueueRecordsVisibility", &arn, &back)
    };
    assert_eq!((hidden, failed.len()), (2, 1));
    assert_eq!(failed[0]["ErrorCode"], INVALID, "it was acknowledged");
    let mut again = Vec::new();
    while again.len() < 2 {
        again.extend(receive(&served, &arn, 600));
    }
    assert_eq!(data(&again), data(&all[10..12]));
    assert!(again.iter().all(|record| record["ReceiveCount"] == 2));
    assert_ne!(again[0]["ReceiptHandle"], all[10]["ReceiptHandle"]);

    let wrong = json!([
        { "ReceiptHandle": "none" },
        { "ReceiptHandle": all[12]["ReceiptHandle"] },
        { "ReceiptHandle": all[13]["ReceiptHandle"] },
    ]);
    let (acknowledged, failed) = settle(&served, "AcknowledgeQueueRecords", &other, &wrong);
    assert_eq!((acknowledged, failed.len()), (0, 3), "they are of another queue");
    let (restored, failed) = settle(&served, "RestoreDeadLetterQueueRecords", &arn, &wrong);
    assert_eq!((restored, failed.len()), (0, 3), "they are no dead letters");
    let (acknowledged, failed) = settle(&served, "AcknowledgeQueueRecords", &arn, &wrong);
    assert_eq!((acknowledged, failed.len()), (2, 1));
    assert_eq!((&failed[0]["ErrorCode"], &failed[0]["ReceiptHandle"]), (&json!(INVALID), &json!("none")));
    let iterator = served.iterator("logs", &json!({ "ShardIteratorType": "TRIM_HORIZON" }));
    assert_ne!(served.get(&iterator)["Records"], json!([]), "the stream has its records still");
}

#[test]
fn dead_letters_are_received_by_themselves_and_restored_or_acknowledged() {
    let served = Served::start();
    create_stream(&served, "logs");
    let attributes = json!({ "DeadLetterConfiguration": { "TargetType": "BUILT_IN", "MaxReceiveCount": 1 } });
    let arn = create(&served, "work", &attributes);
    let expected = put(&served, 0..2);
    let mut tried = Vec::new();
    while tried.len() < 2 {
        tried.extend(receive(&served, &arn, 0));
    }
    let dead = "ReceiveDeadLetterQueueRecords";
    let mut letters = Vec::new();
    while letters.len() < 2 {
        letters.extend(receive_from(&served, dead, &arn, 600));
    }
    assert_eq!(data(&letters), expected);
    assert_eq!(receive(&served, &arn, 0), Vec::<Value>::new());
    let live = settle(&served, "AcknowledgeQueueRecords", &arn, &entries(&letters));
    assert_eq!((live.0, live.1.len()), (0, 2), "they are dead letters");
    let back = json!([{ "ReceiptHandle": letters[0]["ReceiptHandle"], "VisibilityTimeoutSeconds": 0 }]);
    assert_eq!(settle(&served, "UpdateDeadLetterQueueRecordsVisibility", &arn, &back), (1, vec![]));
    let again = receive_from(&served, dead, &arn, 600);
    assert_eq!(data(&again), data(&letters[..1]));
    assert_eq!(settle(&served, "RestoreDeadLetterQueueRecords", &arn, &entries(&again)), (1, vec![]));
    let restored = receive(&served, &arn, 600);
    assert_eq!((data(&restored), &restored[0]["ReceiveCount"]), (data(&again), &json!(1)));
    let gone = settle(&served, "AcknowledgeDeadLetterQueueRecords", &arn, &entries(&letters[1..]));
    assert_eq!(gone, (1, vec![]));
    assert_eq!(receive_from(&served, dead, &arn, 600), Vec::<Value>::new());
}

#[test]
fn records_of_new_shards_are_received_and_those_of_closed_ones_are_not_lost() {
    let served = Served::start();
    create_stream(&served, "logs");
    let arn = create(&served, "work", &json!({}));
    let mut expected = put(&served, 0..10);
    let split = ShardChange::Split { shard: ShardIndex(0), at: tidemill_wire::routing::HashKey(1 << 100) };
    let name = StreamName::new("logs").expect("a name");
    block_on(served.catalog().reshard(name.into(), split)).expect("split");
    expected.extend(put(&served, 10..20));
    let mut all = Vec::new();
    while all.len() < 20 {
        let received = receive(&served, &arn, 600);
        assert!(!received.is_empty(), "{} of 20 came", all.len());
        all.extend(received);
    }
    assert_eq!(data(&all), expected);
}
