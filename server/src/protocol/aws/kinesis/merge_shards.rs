//! MergeShards: the child takes records on every core when this answers. Until then the stream is UPDATING.

use super::super::Fault;
use super::super::value::Value;
use super::call::Call;
use crate::service::catalog::ShardChange;

/// Merges two neighbours, in either order.
pub(super) async fn answer(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let stream = call.provisioned(&input, "MergeShards")?;
    let shard = |name| call.shard(&stream, input.get_text(name).unwrap_or_default());
    let (shard, adjacent) = (shard("ShardToMerge")?.index, shard("AdjacentShardToMerge")?.index);
    call.reshard(&stream, ShardChange::Merge { shard, adjacent }).await?;
    Ok(None)
}
