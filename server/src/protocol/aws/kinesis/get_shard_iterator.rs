//! GetShardIterator: where a reader of a shard begins.

use super::super::Fault;
use super::super::value::Value;
use super::call::Call;
use super::error::dry_run;
use super::position::Start;
use super::token::ShardIterator;

/// Answers with an iterator, which is good for five minutes.
pub(super) async fn answer(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let stream = call.stream(&input)?;
    let shard = call.shard(&stream, input.get_text("ShardId").unwrap_or_default())?;
    let start = Start {
        operation: "GetShardIterator",
        kind: input.get_text("ShardIteratorType").unwrap_or_default(),
        number: input.get_text("StartingSequenceNumber"),
        time: input.get_timestamp("Timestamp"),
    };
    let position = start.position(call, &stream, &shard).await?;
    if input.is_set("DryRun") {
        return Err(dry_run());
    }
    let iterator = ShardIterator { stream: stream.id, shard: shard.index, position };
    let token = iterator.close(call.seal(), call.now());
    Ok(Some(Value::structure([("ShardIterator", Value::text(token))])))
}
