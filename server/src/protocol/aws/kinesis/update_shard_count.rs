//! UpdateShardCount: so many shards divide the keys evenly when this answers. Until then the stream is UPDATING.

use super::super::Fault;
use super::super::value::Value;
use super::call::Call;
use super::error::invalid;
use crate::service::catalog::ShardChange;

/// Scales a stream, in one change.
pub(super) async fn answer(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let stream = call.provisioned(&input, "UpdateShardCount")?;
    let target = input.get_integer("TargetShardCount").unwrap_or_default();
    let shards = u32::try_from(target).map_err(|error| invalid(error.to_string()))?;
    let before = i64::try_from(stream.open_shards()).unwrap_or(i64::MAX);
    call.reshard(&stream, ShardChange::Scale { shards }).await?;
    Ok(Some(Value::structure([
        ("StreamName", Value::text(stream.name.to_string())),
        ("StreamARN", Value::text(call.arn(&stream.name))),
        ("CurrentShardCount", Some(Value::Integer(before))),
        ("TargetShardCount", Some(Value::Integer(target))),
    ])))
}
