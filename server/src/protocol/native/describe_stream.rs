//! Describes a stream, with what its shards hold on whichever core they are.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use tidemill_wire::message::{
    ErrorCode, Failure, KeyCompaction, ResponseBody, ShardDescription, StreamDescription,
};
use tidemill_wire::{SequenceNumber, StreamName};

use super::connection::Ticket;
use crate::service::stream::Definition;
use crate::shard::Core;

/// Asks all owners and answers.
pub(super) fn begin(ticket: Ticket, name: &StreamName) {
    let core = Rc::clone(ticket.connection.core());
    let Some(stream) = core.streams().named(name) else {
        let text = format!("stream {name} does not exist");
        return ticket.settle(Err(Failure::new(ErrorCode::UnknownStream, text)));
    };
    let definition = Arc::clone(stream.definition());
    core.spawn(async move { answer(ticket, &definition).await });
}

/// Answers with a stream's description as it is now. A peer that takes no answers has a few made for it and no more.
pub(super) async fn answer(ticket: Ticket, definition: &Definition) {
    let connection = Rc::clone(&ticket.connection);
    let _turn = match connection.descriptions.take(1) {
        Ok(turn) => turn.await,
        Err(refused) => {
            return ticket.settle(Err(Failure::new(ErrorCode::TooManyInFlight, refused.to_string())));
        }
    };
    let description = describe(connection.core(), definition).await;
    connection.room().await;
    ticket.answer(description);
}

async fn describe(core: &Core, definition: &Definition) -> ResponseBody {
    let bounds = core.bounds(definition).await;
    let bounds: BTreeMap<_, _> = bounds.into_iter().map(|found| (found.shard, found.bounds)).collect();
    let shards = definition.shards().iter().map(|shard| {
        // A shard without bounds was deleted while its owner was asked; the description is of a moment before.
        let bounds = bounds.get(&shard.index);
        ShardDescription {
            index: shard.index,
            lane: shard.lane,
            range: shard.range,
            state: shard.state(),
            oldest_sequence: bounds.map_or(SequenceNumber(0), |bounds| bounds.oldest),
            next_sequence: bounds.map_or(SequenceNumber(0), |bounds| bounds.next),
            bytes: bounds.map_or(0, |bounds| bounds.bytes),
            parent: shard.parent,
            adjacent_parent: shard.adjacent_parent,
        }
    });
    let key_compaction = match definition.key_compaction {
        Some(policy) => KeyCompaction::On {
            tombstone_ms: u64::try_from(policy.tombstone_age.as_millis()).unwrap_or(u64::MAX),
        },
        None => KeyCompaction::Off,
    };
    ResponseBody::StreamDescription(StreamDescription {
        id: definition.id,
        name: definition.name.clone(),
        created: definition.created,
        retention_ms: definition.retention_ms(),
        retention_bytes: definition.retention.bytes.unwrap_or(0),
        quota: definition.quota,
        map_version: definition.map_version,
        shards: shards.collect(),
        key_compaction,
        read_calls_per_second: definition.capacity.read_calls_per_second,
    })
}
