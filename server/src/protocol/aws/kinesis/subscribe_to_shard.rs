//! SubscribeToShard: a registered consumer is sent a shard's records as they come.
//!
//! Everything is checked before the answer begins; what goes wrong later is an event that ends it.

use super::super::Fault;
use super::super::message::Pieces;
use super::super::value::Value;
use super::call::{Call, StreamNames};
use super::consumers;
use super::error::{dry_run, invalid, no_shard, no_stream};
use super::names::shard_id;
use super::position::Start;
use super::subscription::Subscription;
use crate::service::consumer::Consumer;
use crate::service::stream::{Definition, Place, SeatError};

/// Takes the consumer's seat at the shard, and gives the events for whoever carries them.
pub(super) async fn answer(call: Call<'_>, input: Value) -> Result<Pieces, Fault> {
    let (stream, consumer) = consumers::find(call, input.get_text("ConsumerARN").unwrap_or_default())?;
    let id = input.get_text("StreamId");
    call.find(StreamNames { name: Some(stream.name.as_str()), arn: None, id })?;
    let shard = call.shard(&stream, input.get_text("ShardId").unwrap_or_default())?;
    let start = input.get("StartingPosition").ok_or_else(|| invalid("StartingPosition must be given."))?;
    let start = Start {
        operation: "SubscribeToShard",
        kind: start.get_text("Type").unwrap_or_default(),
        number: start.get_text("SequenceNumber"),
        time: start.get_timestamp("Timestamp"),
    };
    let position = start.position(call, &stream, &shard).await?;
    if input.is_set("DryRun") {
        return Err(dry_run());
    }
    let place = Place {
        stream: stream.id,
        shard: shard.index,
        consumer: consumer.name.clone(),
        registered: consumer.created,
    };
    let sat = call.core().sit(place.clone(), call.aws.settings.subscription.hold).await;
    let turn = sat.map_err(|error| seat_fault(call, &error, &stream, &consumer, &shard_id(shard.index)))?;
    Ok(Subscription::begin(call, &stream, place, turn, position))
}

fn seat_fault(
    call: Call<'_>,
    error: &SeatError,
    stream: &Definition,
    consumer: &Consumer,
    shard: &str,
) -> Fault {
    let (name, account) = (stream.name.as_str(), call.account());
    match error {
        SeatError::UnknownStream { .. } => no_stream(name, account),
        SeatError::UnknownShard { .. } => no_shard(shard, name, account),
        SeatError::UnknownConsumer { .. } => consumers::no_consumer(call, consumer.name.as_str()),
        SeatError::Taken { .. } => taken(account, name, consumer.name.as_str()),
        SeatError::Closing => Fault::unavailable("the server is going down"),
    }
}

/// Another subscription of the same consumer reads the shard.
pub(super) fn taken(account: &str, stream: &str, consumer: &str) -> Fault {
    let message =
        format!("Another active subscription exists for this consumer: {account}:{stream}:{consumer}");
    Fault::of_caller("ResourceInUseException", message)
}
