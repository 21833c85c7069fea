//! SplitShard: the children take records on every core when this answers. Until then the stream is UPDATING.

use tidemill_wire::routing::HashKey;

use super::super::Fault;
use super::super::value::Value;
use super::call::Call;
use super::error::invalid;
use crate::service::catalog::ShardChange;

/// Splits a shard at a hash key, with which the second child begins.
pub(super) async fn answer(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let stream = call.provisioned(&input, "SplitShard")?;
    let id = input.get_text("ShardToSplit").unwrap_or_default();
    let shard = call.shard(&stream, id)?;
    let text = input.get_text("NewStartingHashKey").unwrap_or_default();
    // Each child has more than one key, which is what Kinesis asks for.
    let (start, end) = (shard.range.start, shard.range.end);
    let is_inside = |at: &u128| start.0.checked_add(1).is_some_and(|second| *at > second) && *at < end.0;
    let at = text.parse().ok().filter(is_inside).ok_or_else(|| {
        invalid(format!(
            "NewStartingHashKey {text} used in SplitShard() on shard {id} in stream {} under account {} is not both greater than one plus the \
             shard's StartingHashKey {start} and less than the shard's EndingHashKey {end}.",
            stream.name,
            call.account()
        ))
    })?;
    call.reshard(&stream, ShardChange::Split { shard: shard.index, at: HashKey(at) }).await?;
    Ok(None)
}
