//! Describes a queue, without what is in it.

use std::sync::Arc;

use tidemill_wire::QueueName;
use tidemill_wire::message::{ErrorCode, Failure, QueueDescription, ResponseBody};

use super::connection::Ticket;
use crate::service::queue::Definition;
use crate::shard::Core;

/// Answers from what this core knows, which is everything that was answered as created.
pub(super) fn answer(ticket: Ticket, name: &QueueName) {
    let found = find(ticket.connection.core(), name);
    ticket.settle(found.map(|queue| describe(&queue)));
}

/// The queue of a name.
pub(super) fn find(core: &Core, name: &QueueName) -> Result<Arc<Definition>, Failure> {
    let unknown = || Failure::new(ErrorCode::UnknownQueue, format!("queue {name} does not exist"));
    core.queue_named(name).ok_or_else(unknown)
}

/// The answer to whoever asked for it, made it or changed it.
pub(super) fn describe(queue: &Definition) -> ResponseBody {
    ResponseBody::QueueDescription(QueueDescription {
        id: queue.id,
        name: queue.name.clone(),
        created: queue.created,
        modified: queue.modified,
        settings: queue.settings.clone(),
        lanes: queue.partitions.iter().map(|partition| partition.lane).collect(),
    })
}
