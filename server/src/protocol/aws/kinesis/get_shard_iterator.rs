//! GetShardIterator: where a reader of a shard begins.

use tidemill_wire::message::Position;

use super::super::Fault;
use super::super::value::Value;
use super::call::Call;
use super::error::{dry_run, invalid};
use super::token::ShardIterator;
use crate::service::stream::{Definition, Shard};

/// Answers with an iterator, which is good for five minutes.
pub(super) async fn answer(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let stream = call.stream(&input)?;
    let shard = call.shard(&stream, input.get_text("ShardId").unwrap_or_default())?;
    let position = position(call, &input, &stream, &shard).await?;
    if input.is_set("DryRun") {
        return Err(dry_run());
    }
    let iterator = ShardIterator { stream: stream.id, shard: shard.index, position };
    let token = iterator.close(call.seal(), call.now());
    Ok(Some(Value::structure([("ShardIterator", Value::text(token))])))
}

async fn position(
    call: Call<'_>,
    input: &Value,
    stream: &Definition,
    shard: &Shard,
) -> Result<Position, Fault> {
    let kind = input.get_text("ShardIteratorType").unwrap_or_default();
    match kind {
        "TRIM_HORIZON" => Ok(Position::Oldest),
        // Now, and not when the iterator is used.
        "LATEST" => Ok(Position::Sequence(call.end(stream, shard.index).await?)),
        "AT_TIMESTAMP" => {
            let time = input.get_timestamp("Timestamp");
            let time = time.ok_or_else(|| {
                invalid("Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter.")
            })?;
            let now = call.now();
            if time > now {
                return Err(invalid(format!(
                    "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. currentTimestampInMillis: {now}, \
                     timestampInMillis: {time}"
                )));
            }
            Ok(Position::Timestamp(time))
        }
        _ => {
            let number = input.get_text("StartingSequenceNumber").ok_or_else(|| {
                invalid(format!(
                    "Must either specify (1) AT_SEQUENCE_NUMBER and StartingSequenceNumber or (2) AFTER_SEQUENCE_NUMBER and \
                     StartingSequenceNumber or (3) TRIM_HORIZON or (4) LATEST or (5) AT_TIMESTAMP and Timestamp. Request specified {kind} and no \
                     StartingSequenceNumber."
                ))
            })?;
            let found = call.locate(stream, shard.index, number).await?;
            let found = found.ok_or_else(|| {
                invalid(format!(
                    "StartingSequenceNumber {number} used in GetShardIterator on shard {} in stream {} under account {} is invalid because it did \
                     not come from this stream.",
                    super::names::shard_id(shard.index),
                    stream.name,
                    call.account()
                ))
            })?;
            // The first number of a shard that has no records yet has nothing before or after it.
            let is_after = kind == "AFTER_SEQUENCE_NUMBER" && found < call.end(stream, shard.index).await?;
            let found = if is_after { found.checked_add(1).unwrap_or(found) } else { found };
            Ok(Position::Sequence(found))
        }
    }
}
