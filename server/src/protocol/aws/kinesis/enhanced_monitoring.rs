//! EnableEnhancedMonitoring and DisableEnhancedMonitoring: which numbers the shards of a stream have on the metrics page.

use super::super::Fault;
use super::super::value::Value;
use super::call::Call;
use super::stream_mode::change;
use crate::service::capacity::{CapacityChange, ShardMetric, ShardMetrics};

/// The names of metrics, as clients have them.
const NAMES: [(&str, ShardMetric); 7] = [
    ("IncomingBytes", ShardMetric::IncomingBytes),
    ("IncomingRecords", ShardMetric::IncomingRecords),
    ("OutgoingBytes", ShardMetric::OutgoingBytes),
    ("OutgoingRecords", ShardMetric::OutgoingRecords),
    ("WriteProvisionedThroughputExceeded", ShardMetric::WriteThrottled),
    ("ReadProvisionedThroughputExceeded", ShardMetric::ReadThrottled),
    ("IteratorAgeMilliseconds", ShardMetric::IteratorAge),
];

/// EnableEnhancedMonitoring.
pub(super) async fn enable(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    answer(call, &input, CapacityChange::Watch(asked(&input))).await
}

/// DisableEnhancedMonitoring.
pub(super) async fn disable(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    answer(call, &input, CapacityChange::Unwatch(asked(&input))).await
}

async fn answer(call: Call<'_>, input: &Value, to: CapacityChange) -> Result<Option<Value>, Fault> {
    let stream = call.stream(input)?;
    let changed = change(call, &stream, to).await?;
    Ok(Some(Value::structure([
        ("StreamName", Value::text(stream.name.to_string())),
        ("StreamARN", Value::text(call.arn(&stream.name))),
        ("CurrentShardLevelMetrics", Some(names(stream.capacity.metrics))),
        ("DesiredShardLevelMetrics", Some(names(changed.capacity.metrics))),
    ])))
}

/// The metrics that an input names.
fn asked(input: &Value) -> ShardMetrics {
    let named = |text: &str| match NAMES.iter().find(|(name, _)| *name == text) {
        Some((_, metric)) => ShardMetrics::from_iter([*metric]),
        // The model has one more name, which stands for all of them.
        None => ShardMetric::ALL.into_iter().collect(),
    };
    input.texts("ShardLevelMetrics").map(named).fold(ShardMetrics::default(), ShardMetrics::with)
}

/// Metrics as clients get them.
pub(super) fn names(metrics: ShardMetrics) -> Value {
    let watched = NAMES.iter().filter(|(_, metric)| metrics.has(*metric));
    Value::List(watched.map(|(name, _)| Value::Text((*name).to_owned())).collect())
}
