//! UpdateStreamMode, UpdateStreamWarmThroughput and UpdateStreamRecordDistributionStrategy: who sees to it that a stream has shards enough, and where
//! records go. What is changed holds on every core when one of these answers; shards follow in the seconds after.

use std::sync::Arc;

use super::super::Fault;
use super::super::value::Value;
use super::call::{Call, key};
use super::error::{capacity_change_fault, invalid};
use crate::service::capacity::{Capacity, CapacityChange, Distribution, Mode};
use crate::service::stream::Definition;

/// UpdateStreamMode.
pub(super) async fn update(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let stream = call.active(&input)?;
    let mode = mode_of(&input).unwrap_or_default();
    change(call, &stream, CapacityChange::Mode(mode, warm_of(&input)?)).await?;
    Ok(None)
}

/// UpdateStreamWarmThroughput.
pub(super) async fn warm(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let stream = call.active(&input)?;
    let change_to = CapacityChange::Warm(warm_of(&input)?.unwrap_or_default());
    let changed = change(call, &stream, change_to).await?;
    Ok(Some(Value::structure([
        ("StreamARN", Value::text(call.arn(&stream.name))),
        ("StreamName", Value::text(stream.name.to_string())),
        ("WarmThroughput", Some(warm_value(&changed))),
    ])))
}

/// UpdateStreamRecordDistributionStrategy.
pub(super) async fn distribute(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let stream = call.active(&input)?;
    change(call, &stream, CapacityChange::Distribution(distribution_of(&input))).await?;
    Ok(None)
}

/// Has the catalog change a stream's capacity.
pub(super) async fn change(
    call: Call<'_>,
    stream: &Definition,
    change: CapacityChange,
) -> Result<Arc<Definition>, Fault> {
    let changed = call.core().catalog().change_capacity(key(stream), change).await;
    changed.map_err(|error| capacity_change_fault(&error, stream.name.as_str(), call.account()))
}

/// The mode that an input names.
pub(super) fn mode_of(input: &Value) -> Option<Mode> {
    match input.get("StreamModeDetails")?.get_text("StreamMode")? {
        "ON_DEMAND" => Some(Mode::OnDemand),
        _ => Some(Mode::Provisioned),
    }
}

/// The warm throughput that an input names.
pub(super) fn warm_of(input: &Value) -> Result<Option<u32>, Fault> {
    let warm = input.get_integer("WarmThroughputMiBps");
    warm.map(u32::try_from).transpose().map_err(|error| invalid(error.to_string()))
}

/// The strategy that an input names.
pub(super) fn distribution_of(input: &Value) -> Distribution {
    match input.get_text("RecordDistributionStrategy") {
        Some("AUTO") => Distribution::Even,
        _ => Distribution::ByKey,
    }
}

/// A mode as clients get it.
pub(super) fn mode_value(capacity: &Capacity) -> Value {
    let mode = match capacity.mode {
        Mode::Provisioned => "PROVISIONED",
        Mode::OnDemand => "ON_DEMAND",
    };
    Value::structure([("StreamMode", Value::text(mode))])
}

/// A strategy as clients get it.
pub(super) fn distribution_text(capacity: &Capacity) -> &'static str {
    match capacity.distribution {
        Distribution::ByKey => "USER_PARTITION_KEY",
        Distribution::Even => "AUTO",
    }
}

/// A warm throughput as clients get it: what is wanted, and as much of it as there are shards for.
pub(super) fn warm_value(stream: &Definition) -> Value {
    let target = i64::from(stream.capacity.warm_mib_per_second);
    let open = i64::try_from(stream.open_shards()).unwrap_or(i64::MAX);
    let current = target.min(open.saturating_mul(1_000_000) >> 20);
    Value::structure([
        ("TargetMiBps", Some(Value::Integer(target))),
        ("CurrentMiBps", Some(Value::Integer(current))),
    ])
}
