//! Where a reader of a shard begins, in the words of GetShardIterator and of SubscribeToShard.

use tidemill_wire::message::Position;
use tidemill_wire::{SequenceNumber, Timestamp};

use super::super::Fault;
use super::call::{Call, numbering};
use super::error::invalid;
use super::names::shard_id;
use crate::service::stream::{Definition, Shard};

/// What an input says about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start<'a> {
    /// The operation, for messages.
    pub(super) operation: &'static str,
    /// One of the five types.
    pub(super) kind: &'a str,
    /// A record's number, for the types that have one.
    pub(super) number: Option<&'a str>,
    /// A moment, for the type that has one.
    pub(super) time: Option<Timestamp>,
}

impl Start<'_> {
    /// The position that is meant.
    pub(super) async fn position(
        self,
        call: Call<'_>,
        stream: &Definition,
        shard: &Shard,
    ) -> Result<Position, Fault> {
        match self.kind {
            "TRIM_HORIZON" => Ok(Position::Oldest),
            // Now, and not when it is used.
            "LATEST" => Ok(Position::Sequence(call.end(stream, shard.index).await?)),
            "AT_TIMESTAMP" => self.at_time(call).map(Position::Timestamp),
            _ => self.at_number(call, stream, shard).await.map(Position::Sequence),
        }
    }

    fn at_time(self, call: Call<'_>) -> Result<Timestamp, Fault> {
        let time = self.time.ok_or_else(|| {
            invalid("Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter.")
        })?;
        let now = call.now();
        if time > now {
            return Err(invalid(format!(
                "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. currentTimestampInMillis: {now}, \
                 timestampInMillis: {time}"
            )));
        }
        Ok(time)
    }

    async fn at_number(
        self,
        call: Call<'_>,
        stream: &Definition,
        shard: &Shard,
    ) -> Result<SequenceNumber, Fault> {
        let Self { operation, kind, .. } = self;
        let number = self.number.ok_or_else(|| {
            invalid(format!(
                "Must either specify (1) AT_SEQUENCE_NUMBER and StartingSequenceNumber or (2) AFTER_SEQUENCE_NUMBER and \
                 StartingSequenceNumber or (3) TRIM_HORIZON or (4) LATEST or (5) AT_TIMESTAMP and Timestamp. Request specified {kind} and no \
                 StartingSequenceNumber."
            ))
        })?;
        if number == numbering(stream, shard.index).before_first() {
            return Ok(SequenceNumber(0));
        }
        let found = call.locate(stream, shard.index, number).await?;
        let found = found.ok_or_else(|| {
            invalid(format!(
                "StartingSequenceNumber {number} used in {operation} on shard {} in stream {} under account {} is invalid because it did not come \
                 from this stream.",
                shard_id(shard.index),
                stream.name,
                call.account()
            ))
        })?;
        // The first number of a shard that has no records yet has nothing before or after it.
        let is_after = kind == "AFTER_SEQUENCE_NUMBER" && found < call.end(stream, shard.index).await?;
        Ok(if is_after { found.checked_add(1).unwrap_or(found) } else { found })
    }
}
