//! DescribeStream and DescribeStreamSummary.

use super::super::Fault;
use super::super::value::Value;
use super::call::{Call, shard_value};
use super::enhanced_monitoring::names;
use super::limits::DESCRIBE_SHARDS_DEFAULT;
use super::names::stream_id;
use super::retention::hours_of;
use super::stream_mode::{distribution_text, mode_value, warm_value};
use crate::service::stream::{Definition, Shard};

/// Describes a stream with a page of its shards.
pub(super) async fn answer(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let stream = call.stream(&input)?;
    let after = input.get_text("ExclusiveStartShardId").map(|id| call.after(&stream, id)).transpose()?;
    let rest = stream.shards().iter().filter(|shard| after.is_none_or(|after| shard.index > after));
    let rest: Vec<Shard> = rest.copied().collect();
    let limit = input.get_integer("Limit").and_then(|limit| usize::try_from(limit).ok());
    let (page, more) = page(&rest, limit.unwrap_or(DESCRIBE_SHARDS_DEFAULT));
    let shards = page.iter().map(|shard| shard_value(&stream, shard)).collect();
    let mut members = common(call, &stream);
    members.push(("Shards", Value::List(shards)));
    members.push(("HasMoreShards", Value::Boolean(more)));
    Ok(Some(Value::structure([("StreamDescription", Some(Value::Structure(members)))])))
}

/// Describes a stream without its shards.
pub(super) async fn summary(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let stream = call.stream(&input)?;
    let open = stream.open_shards();
    let mut members = common(call, &stream);
    members.push(("StreamId", Value::Text(stream_id(call.seal(), stream.id))));
    members.push(("OpenShardCount", Value::Integer(i64::try_from(open).unwrap_or(i64::MAX))));
    let consumers = i64::try_from(stream.consumers.len()).unwrap_or(i64::MAX);
    members.push(("ConsumerCount", Value::Integer(consumers)));
    let queues = call.core().stream_queues().count_of(stream.id);
    members.push(("QueueCount", Value::Integer(i64::try_from(queues).unwrap_or(i64::MAX))));
    members.push(("MaxRecordSizeInKiB", Value::Integer(i64::from(stream.record_kib))));
    let strategy = distribution_text(&stream.capacity).to_owned();
    members.push(("RecordDistributionStrategy", Value::Text(strategy)));
    if stream.capacity.warm_mib_per_second > 0 {
        members.push(("WarmThroughput", warm_value(&stream)));
    }
    Ok(Some(Value::structure([("StreamDescriptionSummary", Some(Value::Structure(members)))])))
}

/// The first shards of a list, and whether there are more.
pub(super) fn page(shards: &[Shard], limit: usize) -> (&[Shard], bool) {
    shards.get(..limit).map_or((shards, false), |page| (page, shards.len() > limit))
}

/// What both descriptions have.
fn common(call: Call<'_>, stream: &Definition) -> Vec<(&'static str, Value)> {
    let metrics = names(stream.capacity.metrics);
    let monitoring = Value::structure([("ShardLevelMetrics", Some(metrics))]);
    vec![
        ("StreamName", Value::Text(stream.name.to_string())),
        ("StreamARN", Value::Text(call.arn(&stream.name))),
        ("StreamStatus", Value::Text(call.status(stream).as_str().to_owned())),
        ("StreamModeDetails", mode_value(&stream.capacity)),
        ("RetentionPeriodHours", Value::Integer(hours_of(stream))),
        ("StreamCreationTimestamp", Value::Timestamp(stream.created)),
        ("EnhancedMonitoring", Value::List(vec![monitoring])),
        ("EncryptionType", Value::Text("NONE".to_owned())),
    ]
}
