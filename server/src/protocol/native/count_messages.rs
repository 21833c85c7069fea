//! How many messages a queue has, and away with all of them.

use std::rc::Rc;

use tidemill_wire::QueueId;
use tidemill_wire::message::{MessageCounts, ResponseBody};

use super::connection::Ticket;
use super::message_error::receipt_failure;
use crate::service::queue::Counts;

/// Answers with the sums over all partitions.
pub(super) fn begin(ticket: Ticket, queue: QueueId) {
    let core = Rc::clone(ticket.connection.core());
    core.clone().spawn(async move {
        let counted = core.count_messages(queue).await;
        ticket.settle(counted.map(answer).map_err(|error| receipt_failure(&error)));
    });
}

/// Deletes every message that was sent before, and answers when that is durable.
pub(super) fn purge(ticket: Ticket, queue: QueueId) {
    let core = Rc::clone(ticket.connection.core());
    core.clone().spawn(async move {
        let purged = core.purge_queue(queue).await;
        ticket.settle(purged.map(|()| ResponseBody::Done).map_err(|error| receipt_failure(&error)));
    });
}

fn answer(counts: Counts) -> ResponseBody {
    let Counts { visible, in_flight, delayed, oldest } = counts;
    ResponseBody::MessageCounts(MessageCounts { visible, in_flight, delayed, oldest_sent: oldest })
}
