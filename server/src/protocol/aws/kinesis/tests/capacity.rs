//! Modes, warm throughput, distribution, account settings and the metrics of shards.

use futures_lite::future::block_on;
use serde_json::{Value, json};
use tidemill_wire::StreamName;
use tidemill_wire::message::{Quota, Settings};

use super::served::{ACCOUNT, Served, base64, text};

const INVALID: &str = "ValidationException";

fn arn(stream: &str) -> String {
    format!("arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{stream}")
}

fn summary(served: &Served, stream: &str) -> Value {
    let found = served.ask("DescribeStreamSummary", &json!({ "StreamName": stream }));
    found["StreamDescriptionSummary"].clone()
}

fn on_demand(name: &str) -> Value {
    json!({ "StreamName": name, "StreamModeDetails": { "StreamMode": "ON_DEMAND" } })
}

fn switch(mode: &str) -> Value {
    json!({ "StreamARN": arn("logs"), "StreamModeDetails": { "StreamMode": mode } })
}

#[test]
fn a_stream_on_demand_has_four_shards_that_are_the_servers_concern() {
    let served = Served::start();
    let mut with_count = on_demand("logs");
    with_count["ShardCount"] = json!(2);
    served.expect("CreateStream", &with_count, INVALID, "ShardCount must not be given");
    served.ask("CreateStream", &on_demand("logs"));
    let found = summary(&served, "logs");
    assert_eq!(
        (&found["StreamModeDetails"]["StreamMode"], &found["OpenShardCount"]),
        (&json!("ON_DEMAND"), &json!(4))
    );
    let listed = served.ask("ListStreams", &json!({}));
    assert_eq!(listed["StreamSummaries"][0]["StreamModeDetails"]["StreamMode"], "ON_DEMAND");
    assert_eq!(served.ask("DescribeLimits", &json!({}))["OnDemandStreamCount"], 1);
    let shard = "shardId-000000000000";
    for (operation, more) in [
        ("UpdateShardCount", json!({ "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING" })),
        ("SplitShard", json!({ "ShardToSplit": shard, "NewStartingHashKey": "1000" })),
        ("MergeShards", json!({ "ShardToMerge": shard, "AdjacentShardToMerge": "shardId-000000000001" })),
    ] {
        let mut input = json!({ "StreamName": "logs" });
        input.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        served.expect(
            operation,
            &input,
            INVALID,
            &format!("{operation} is only supported for streams in PROVISIONED mode"),
        );
    }
    served.put("logs", "key", "data");
}

#[test]
fn a_stream_is_switched_twice_in_a_day_and_keeps_its_shards() {
    let served = Served::start();
    served.create("logs", 2);
    served.ask("UpdateStreamMode", &switch("ON_DEMAND"));
    assert_eq!(summary(&served, "logs")["StreamModeDetails"]["StreamMode"], "ON_DEMAND");
    served.ask("UpdateStreamMode", &switch("ON_DEMAND"));
    served.ask("UpdateStreamMode", &switch("PROVISIONED"));
    served.expect("UpdateStreamMode", &switch("ON_DEMAND"), "LimitExceededException", "2 times in 24 hours");
    let found = summary(&served, "logs");
    assert_eq!(
        (&found["StreamModeDetails"]["StreamMode"], &found["OpenShardCount"]),
        (&json!("PROVISIONED"), &json!(2))
    );
    let unknown = json!({ "StreamARN": arn("none"), "StreamModeDetails": { "StreamMode": "ON_DEMAND" } });
    served.expect("UpdateStreamMode", &unknown, "ResourceNotFoundException", "none");
}

#[test]
fn warm_throughput_needs_a_stream_on_demand_and_a_commitment() {
    let served = Served::start();
    served.create("plain", 1);
    served.ask("CreateStream", &on_demand("logs"));
    let warm = |stream, mibps| json!({ "StreamName": stream, "WarmThroughputMiBps": mibps });
    served.expect("UpdateStreamWarmThroughput", &warm("plain", 10), INVALID, "provisioned");
    served.expect("UpdateStreamWarmThroughput", &warm("logs", 10), INVALID, "commitment");
    let settings = |status| json!({ "MinimumThroughputBillingCommitment": { "Status": status } });
    let of = |answer: &Value| text(&answer["MinimumThroughputBillingCommitment"]["Status"]);
    assert_eq!(of(&served.ask("DescribeAccountSettings", &json!({}))), "DISABLED");
    assert_eq!(of(&served.ask("UpdateAccountSettings", &settings("ENABLED"))), "ENABLED");
    assert_eq!(of(&served.ask("DescribeAccountSettings", &json!({}))), "ENABLED");
    let answer = served.ask("UpdateStreamWarmThroughput", &warm("logs", 10));
    assert_eq!(answer["WarmThroughput"], json!({ "TargetMiBps": 10, "CurrentMiBps": 3 }));
    assert_eq!(summary(&served, "logs")["WarmThroughput"]["TargetMiBps"], 10);
    served.expect("UpdateStreamWarmThroughput", &warm("logs", 100), "LimitExceededException", "100 MiB/s");
    let mut new = on_demand("warm");
    new["WarmThroughputMiBps"] = json!(8);
    served.ask("CreateStream", &new);
    assert_eq!(summary(&served, "warm")["OpenShardCount"], 9);
    let ended = served.ask("UpdateAccountSettings", &settings("DISABLED"));
    assert_eq!(of(&ended), "ENABLED_UNTIL_EARLIEST_ALLOWED_END");
    assert!(ended["MinimumThroughputBillingCommitment"]["EarliestAllowedEndAt"].is_number(), "{ended}");
}

#[test]
fn records_are_spread_over_all_shards_whatever_their_keys_are() {
    let served = Served::start();
    served.ask("CreateStream", &on_demand("logs"));
    let strategy = |to| json!({ "StreamARN": arn("logs"), "RecordDistributionStrategy": to });
    let shards = |served: &Served| {
        let put: std::collections::BTreeSet<String> =
            (0..8).map(|_| served.put("logs", "one", "data").0).collect();
        put.len()
    };
    assert_eq!(shards(&served), 1);
    served.ask("UpdateStreamRecordDistributionStrategy", &strategy("AUTO"));
    assert_eq!(summary(&served, "logs")["RecordDistributionStrategy"], "AUTO");
    assert_eq!(shards(&served), 4);
    let record = json!({ "PartitionKey": "one", "ExplicitHashKey": "0", "Data": base64(b"data") });
    let input = json!({ "StreamName": "logs", "Records": vec![record; 8] });
    let answer = served.ask("PutRecords", &input);
    let used: std::collections::BTreeSet<String> =
        answer["Records"].as_array().expect("a list").iter().map(|record| text(&record["ShardId"])).collect();
    assert_eq!(used.len(), 4);
    served.ask("UpdateStreamRecordDistributionStrategy", &strategy("USER_PARTITION_KEY"));
    assert_eq!(shards(&served), 1);
    served.create("plain", 1);
    let plain = json!({ "StreamARN": arn("plain"), "RecordDistributionStrategy": "AUTO" });
    served.expect("UpdateStreamRecordDistributionStrategy", &plain, INVALID, "provisioned");
}

#[test]
fn shards_are_watched_by_the_metrics_that_were_asked_for() {
    let served = Served::start();
    served.create("logs", 1);
    let metrics = |names: &[&str]| json!({ "StreamName": "logs", "ShardLevelMetrics": names });
    let on = served.ask("EnableEnhancedMonitoring", &metrics(&["IncomingRecords", "IncomingBytes"]));
    assert_eq!(on["CurrentShardLevelMetrics"], json!([]));
    assert_eq!(on["DesiredShardLevelMetrics"], json!(["IncomingBytes", "IncomingRecords"]));
    assert_eq!(on["StreamARN"], arn("logs").as_str());
    let off =
        served.ask("DisableEnhancedMonitoring", &metrics(&["IncomingBytes", "IteratorAgeMilliseconds"]));
    assert_eq!(off["DesiredShardLevelMetrics"], json!(["IncomingRecords"]));
    assert_eq!(
        summary(&served, "logs")["EnhancedMonitoring"],
        json!([{ "ShardLevelMetrics": ["IncomingRecords"] }])
    );
    let all = served.ask("EnableEnhancedMonitoring", &metrics(&["ALL"]));
    assert_eq!(all["DesiredShardLevelMetrics"].as_array().map(Vec::len), Some(7));
    served.ask("DisableEnhancedMonitoring", &metrics(&["ALL"]));
    assert_eq!(summary(&served, "logs")["EnhancedMonitoring"], json!([{ "ShardLevelMetrics": [] }]));
}

#[test]
fn a_call_that_wants_few_records_is_charged_for_few() {
    let quota = Quota { read_bytes_per_second: 2_000_000, ..Quota::OFF };
    let served = Served::start_with(quota);
    served.create("logs", 1);
    for _ in 0..10 {
        served.put("logs", "key", &"A".repeat(400_000));
    }
    let mut iterator = served.iterator("logs", &json!({ "ShardIteratorType": "TRIM_HORIZON" }));
    for _ in 0..4 {
        let answer = served.ask("GetRecords", &json!({ "ShardIterator": iterator, "Limit": 1 }));
        assert_eq!(answer["Records"].as_array().map(Vec::len), Some(1));
        iterator = super::served::text(&answer["NextShardIterator"]);
    }
}

#[test]
fn a_shard_answers_as_many_calls_as_its_stream_says() {
    let served = Served::start_with(Quota::OFF);
    served.create("logs", 1);
    served.put("logs", "key", "data");
    let iterator = served.iterator("logs", &json!({ "ShardIteratorType": "TRIM_HORIZON" }));
    for _ in 0..20 {
        served.get(&iterator);
    }
    // As a native client sets it; so rarely that no call flows in meanwhile.
    let name = StreamName::new("logs").expect("a name");
    let settings = Settings { read_calls_per_second: Some(1), ..Settings::default() };
    block_on(async { served.catalog().update(name.into(), settings).await }).expect("it is there");
    served.get(&iterator);
    let input = json!({ "ShardIterator": iterator });
    served.expect("GetRecords", &input, "ProvisionedThroughputExceededException", "Rate exceeded for shard");
}
