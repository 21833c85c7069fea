//! Streams as such: created, described, listed, tagged, changed, deleted.

use futures_lite::future::block_on;
use serde_json::{Value, json};
use tidemill_wire::message::Settings;
use tidemill_wire::{StreamId, StreamName, Timestamp};

use super::super::super::Encoding;
use super::served::{ACCOUNT, Served, refusal, text};
use crate::service::catalog::{
    DeleteStreamError, DeregisterConsumerError, OnConsumers, ReshardError, ShardChange, StreamKey, TagChange,
    TagConsumerError, TagStreamError, UpdateStreamError,
};
use crate::service::consumer::{Consumer, ConsumerName};
use crate::shard::CatalogError;

#[test]
fn a_created_stream_is_active_and_described() {
    let served = Served::start();
    served.create("logs", 3);
    let described = served.ask("DescribeStream", &json!({ "StreamName": "logs" }));
    let stream = &described["StreamDescription"];
    let arn = format!("arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/logs");
    assert_eq!(stream["StreamARN"], arn.as_str());
    assert_eq!((&stream["StreamStatus"], &stream["RetentionPeriodHours"]), (&json!("ACTIVE"), &json!(24)));
    assert_eq!(stream["HasMoreShards"], false);
    let shards = stream["Shards"].as_array().expect("a list");
    assert_eq!(shards.len(), 3);
    assert_eq!(shards[0]["HashKeyRange"]["StartingHashKey"], "0");
    assert_eq!(shards[2]["HashKeyRange"]["EndingHashKey"], u128::MAX.to_string());
    assert_eq!(shards[2]["ShardId"], "shardId-000000000002");
    assert_eq!(text(&shards[0]["SequenceNumberRange"]["StartingSequenceNumber"]).len(), 56);
    let summary = served.ask("DescribeStreamSummary", &json!({ "StreamARN": arn }));
    let summary = &summary["StreamDescriptionSummary"];
    assert_eq!((&summary["StreamName"], &summary["OpenShardCount"]), (&json!("logs"), &json!(3)));
    let by_id = served.ask("DescribeStreamSummary", &json!({ "StreamId": summary["StreamId"] }));
    assert_eq!(&by_id["StreamDescriptionSummary"], summary);
}

#[test]
fn names_of_a_stream_have_to_be_known_and_to_agree() {
    let served = Served::start();
    served.create("logs", 1);
    let arn = |account: &str, name: &str| format!("arn:aws:kinesis:us-east-1:{account}:stream/{name}");
    let check = |input: Value, error, part| served.expect("DescribeStreamSummary", &input, error, part);
    let not_found = "ResourceNotFoundException";
    check(json!({ "StreamName": "none" }), not_found, "Stream none under account 123456789012 not found.");
    check(json!({ "StreamARN": arn(ACCOUNT, "none") }), not_found, "none");
    check(json!({ "StreamARN": arn("000000000000", "logs") }), not_found, "000000000000");
    check(json!({ "StreamId": "00000000000000000000-000" }), not_found, "00000000000000000000-000");
    check(json!({}), "InvalidArgumentException", "StreamName, StreamARN or StreamId");
    let other = json!({ "StreamName": "other", "StreamARN": arn(ACCOUNT, "logs") });
    check(other, not_found, "other");
    served.create("other", 1);
    let both = json!({ "StreamName": "other", "StreamARN": arn(ACCOUNT, "logs") });
    check(both, "InvalidArgumentException", "different streams");
}

#[test]
fn what_the_model_forbids_is_told_all_at_once() {
    let served = Served::start();
    let (status, name, message) =
        served.refused("CreateStream", &json!({ "StreamName": "a b", "ShardCount": 0 }));
    assert_eq!((status, name.as_str()), (400, "ValidationException"));
    assert_eq!(
        message,
        "2 validation errors detected: Value '0' at 'shardCount' failed to satisfy constraint: Member must have value greater than or equal to 1; \
         Value 'a b' at 'streamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
    );
    served.expect("CreateStream", &json!({}), "ValidationException", "Value null at 'streamName'");
    served.expect("CreateStream", &json!({ "StreamName": 7 }), "SerializationException", "NUMBER_VALUE");
    let (status, body) = served.ask_raw("CreateStream", Encoding::Json, "{\"StreamName\": ");
    assert_eq!((status, refusal("CreateStream", status, &body).1.as_str()), (400, "SerializationException"));
    let long = json!({ "StreamName": "logs", "ShardCount": 1, "Tags": { "k": "v".repeat(257) } });
    served.expect("CreateStream", &long, "ValidationException", "Map value must satisfy constraint");
    served.expect(
        "ListStreams",
        &json!({ "Limit": 10_001 }),
        "ValidationException",
        "less than or equal to 10000",
    );
}

#[test]
fn streams_that_cannot_be_are_refused() {
    let served = Served::start();
    served.create("logs", 1);
    let check = |input: Value, error, part| served.expect("CreateStream", &input, error, part);
    let again = json!({ "StreamName": "logs", "ShardCount": 1 });
    check(again, "ResourceInUseException", "Stream logs under account 123456789012 already exists.");
    check(json!({ "StreamName": "big", "ShardCount": 65 }), "LimitExceededException", "1 to 64");
    check(json!({ "StreamName": "none" }), "InvalidArgumentException", "ShardCount");
    let automatic = json!({ "StreamName": "od", "ShardCount": 1, "RecordDistributionStrategy": "AUTO" });
    check(automatic, "ValidationException", "provisioned");
    let large = json!({ "StreamName": "l", "ShardCount": 1, "MaxRecordSizeInKiB": 10_241 });
    check(large, "ValidationException", "less than or equal to 10240");
}

#[test]
fn a_deleted_stream_is_gone() {
    let served = Served::start();
    served.create("logs", 1);
    assert_eq!(served.ask("DeleteStream", &json!({ "StreamName": "logs" })), Value::Null);
    served.expect("DeleteStream", &json!({ "StreamName": "logs" }), "ResourceNotFoundException", "logs");
    served.create("logs", 2);
}

#[test]
fn operations_that_are_not_served_say_so() {
    let served = Served::start();
    let input = json!({ "StreamName": "logs" });
    served.expect("CreateChannel", &input, "UnsupportedOperationException", "CreateChannel is not supported");
    served.expect("Nothing", &input, "UnknownOperationException", "");
}

#[test]
fn streams_are_listed_in_pages() {
    let served = Served::start();
    for name in ["c", "a", "b"] {
        served.create(name, 1);
    }
    let first = served.ask("ListStreams", &json!({ "Limit": 2 }));
    assert_eq!((&first["StreamNames"], &first["HasMoreStreams"]), (&json!(["a", "b"]), &json!(true)));
    let second = served.ask("ListStreams", &json!({ "NextToken": first["NextToken"] }));
    assert_eq!((&second["StreamNames"], &second["HasMoreStreams"]), (&json!(["c"]), &json!(false)));
    assert_eq!(second["NextToken"], Value::Null);
    assert_eq!(second["StreamSummaries"][0]["StreamStatus"], "ACTIVE");
    let after = served.ask("ListStreams", &json!({ "ExclusiveStartStreamName": "a" }));
    assert_eq!(after["StreamNames"], json!(["b", "c"]));
    served.expect("ListStreams", &json!({ "NextToken": "x" }), "InvalidArgumentException", "NextToken");
}

#[test]
fn shards_are_listed_and_described_in_pages() {
    let served = Served::start();
    served.create("logs", 5);
    let ids = |answer: &Value| {
        let shards = answer["Shards"].as_array().expect("a list");
        shards.iter().map(|shard| text(&shard["ShardId"])[18..].to_owned()).collect::<Vec<_>>()
    };
    let first = served.ask("ListShards", &json!({ "StreamName": "logs", "MaxResults": 3 }));
    assert_eq!(ids(&first), ["00", "01", "02"]);
    let second = served.ask("ListShards", &json!({ "NextToken": first["NextToken"] }));
    assert_eq!((ids(&second), &second["NextToken"]), (vec!["03".to_owned(), "04".to_owned()], &Value::Null));
    let filter =
        |filter: Value| served.ask("ListShards", &json!({ "StreamName": "logs", "ShardFilter": filter }));
    assert_eq!(
        ids(&filter(json!({ "Type": "AFTER_SHARD_ID", "ShardId": "shardId-000000000002" }))),
        ["03", "04"]
    );
    for kind in ["AT_LATEST", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON"] {
        assert_eq!(ids(&filter(json!({ "Type": kind }))).len(), 5, "{kind}");
    }
    assert_eq!(ids(&filter(json!({ "Type": "FROM_TIMESTAMP", "Timestamp": 1_700_000_000.5 }))).len(), 5);
    let check = |input: Value, error, part| served.expect("ListShards", &input, error, part);
    let invalid = "InvalidArgumentException";
    let again = json!({ "StreamName": "logs", "MaxResults": 3, "NextToken": first["NextToken"] });
    assert_eq!(served.ask("ListShards", &again), second);
    served.create("other", 1);
    let other = json!({ "StreamName": "other", "NextToken": first["NextToken"] });
    check(other, invalid, "not of the stream");
    check(json!({ "StreamName": "logs", "ShardFilter": { "Type": "AT_TIMESTAMP" } }), invalid, "Timestamp");
    let unknown = json!({ "StreamName": "logs", "ExclusiveStartShardId": "shardId-000000000009" });
    check(unknown, "ResourceNotFoundException", "shardId-000000000009");
    let page = json!({ "StreamName": "logs", "Limit": 2, "ExclusiveStartShardId": "shardId-000000000001" });
    let page = served.ask("DescribeStream", &page);
    assert_eq!(ids(&page["StreamDescription"]), ["02", "03"]);
    assert_eq!(page["StreamDescription"]["HasMoreShards"], true);
    let limits = served.ask("DescribeLimits", &json!({}));
    assert_eq!(limits["OpenShardCount"], 6);
}

#[test]
fn retention_goes_up_and_down_within_its_bounds() {
    let served = Served::start();
    served.create("logs", 1);
    let change = |operation: &str, hours: i64| {
        let input = json!({ "StreamName": "logs", "RetentionPeriodHours": hours });
        served.ask_raw(operation, Encoding::Json, input.to_string()).0
    };
    let present = || {
        let summary = served.ask("DescribeStreamSummary", &json!({ "StreamName": "logs" }));
        summary["StreamDescriptionSummary"]["RetentionPeriodHours"].clone()
    };
    let (increase, decrease) = ("IncreaseStreamRetentionPeriod", "DecreaseStreamRetentionPeriod");
    assert_eq!((change(increase, 8_760), present()), (200, json!(8_760)));
    assert_eq!((change(increase, 8_761), change(increase, 48)), (400, 400));
    assert_eq!((change(decrease, 48), present()), (200, json!(48)));
    assert_eq!((change(decrease, 23), change(decrease, 49), present()), (400, 400, json!(48)));
    let none = json!({ "StreamName": "none", "RetentionPeriodHours": 48 });
    served.expect(increase, &none, "ResourceNotFoundException", "none");
}

#[test]
fn tags_are_set_listed_and_removed_by_both_families_of_operations() {
    let served = Served::start();
    served.ask("CreateStream", &json!({ "StreamName": "logs", "ShardCount": 1, "Tags": { "a": "1" } }));
    served.ask("AddTagsToStream", &json!({ "StreamName": "logs", "Tags": { "b": "2", "c": "" } }));
    let listed = served.ask("ListTagsForStream", &json!({ "StreamName": "logs", "Limit": 2 }));
    assert_eq!(listed["Tags"], json!([{ "Key": "a", "Value": "1" }, { "Key": "b", "Value": "2" }]));
    assert_eq!(listed["HasMoreTags"], true);
    let rest = served.ask("ListTagsForStream", &json!({ "StreamName": "logs", "ExclusiveStartTagKey": "b" }));
    assert_eq!(rest, json!({ "Tags": [{ "Key": "c", "Value": "" }], "HasMoreTags": false }));
    let arn = format!("arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/logs");
    served.ask("TagResource", &json!({ "ResourceARN": arn, "Tags": { "a": "9" } }));
    served.ask("UntagResource", &json!({ "ResourceARN": arn, "TagKeys": ["b"] }));
    served.ask("RemoveTagsFromStream", &json!({ "StreamName": "logs", "TagKeys": ["c", "none"] }));
    let left = served.ask("ListTagsForResource", &json!({ "ResourceARN": arn }));
    assert_eq!(left["Tags"], json!([{ "Key": "a", "Value": "9" }]));
    let many: serde_json::Map<String, Value> = (0..50).map(|key| (format!("k{key}"), json!(""))).collect();
    let input = json!({ "StreamName": "logs", "Tags": many });
    served.expect("AddTagsToStream", &input, "LimitExceededException", "51 tags");
    served.expect(
        "TagResource",
        &json!({ "ResourceARN": "x", "Tags": {} }),
        "ValidationException",
        "2 validation errors",
    );
}

#[test]
fn a_change_of_a_stream_that_was_deleted_is_not_made_to_the_one_that_has_its_name_now() {
    let served = Served::start();
    served.create("logs", 1);
    let id = served.ask("DescribeStreamSummary", &json!({ "StreamName": "logs" }));
    let id = text(&id["StreamDescriptionSummary"]["StreamId"]);
    // As a call that has looked at the first stream of the server has it, which is deleted before the catalog comes to its change.
    let old = || StreamKey { name: StreamName::new("logs").expect("a name"), id: Some(StreamId(1)) };
    served.ask("DeleteStream", &json!({ "StreamName": "logs" }));
    served.create("logs", 1);
    let catalog = served.catalog();
    let settings = Settings { retention_ms: Some(90_000_000), ..Settings::default() };
    let tags = TagChange::Set([("a".to_owned(), "b".to_owned())].into());
    block_on(async {
        let unknown = catalog.reshard(old(), ShardChange::Scale { shards: 2 }).await;
        assert!(matches!(unknown, Err(CatalogError::Refused(ReshardError::Unknown { .. }))), "{unknown:?}");
        let unknown = catalog.update(old(), settings).await;
        assert!(
            matches!(unknown, Err(CatalogError::Refused(UpdateStreamError::Unknown { .. }))),
            "{unknown:?}"
        );
        let unknown = catalog.tag(old(), tags).await;
        assert!(matches!(unknown, Err(CatalogError::Refused(TagStreamError::Unknown { .. }))), "{unknown:?}");
        let unknown = catalog.delete(old(), OnConsumers::Deregister).await;
        assert!(
            matches!(unknown, Err(CatalogError::Refused(DeleteStreamError::Unknown { .. }))),
            "{unknown:?}"
        );
    });
    let scale = json!({ "StreamId": id, "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING" });
    served.expect("UpdateShardCount", &scale, "ResourceNotFoundException", &id);
    let new = served.ask("DescribeStreamSummary", &json!({ "StreamName": "logs" }));
    let new = &new["StreamDescriptionSummary"];
    assert_eq!((&new["OpenShardCount"], &new["RetentionPeriodHours"]), (&json!(1), &json!(24)));
    assert_eq!(served.ask("ListTagsForStream", &json!({ "StreamName": "logs" }))["Tags"], json!([]));
}

#[test]
fn a_change_of_a_consumer_is_not_made_to_one_that_was_registered_later() {
    let served = Served::start();
    served.create("logs", 1);
    let arn = format!("arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/logs");
    let named = json!({ "StreamARN": arn, "ConsumerName": "reader" });
    served.ask("RegisterStreamConsumer", &named);
    let name = ConsumerName::new("reader").expect("a name");
    let earlier = Consumer {
        stream: StreamId(1),
        name,
        created: Timestamp(1),
        tags: std::collections::BTreeMap::new(),
    };
    let catalog = served.catalog();
    block_on(async {
        let unknown = catalog.tag_consumer(earlier.clone(), TagChange::Remove(Vec::new())).await;
        assert!(
            matches!(unknown, Err(CatalogError::Refused(TagConsumerError::Unknown { .. }))),
            "{unknown:?}"
        );
        let unknown = catalog.deregister(earlier).await;
        assert!(
            matches!(unknown, Err(CatalogError::Refused(DeregisterConsumerError::Unknown { .. }))),
            "{unknown:?}"
        );
    });
    let there = served.ask("DescribeStreamConsumer", &named);
    assert_eq!(there["ConsumerDescription"]["ConsumerStatus"], "ACTIVE");
}
