//! Changes a queue's settings, which hold on every core when this is answered.

use std::rc::Rc;

use tidemill_wire::message::UpdateQueue;

use super::connection::Ticket;
use super::describe_queue::{describe, find};
use super::queue_error::update_failure;

/// Has the catalog change it and answers with its description.
pub(super) fn begin(ticket: Ticket, asked: UpdateQueue) {
    let core = Rc::clone(ticket.connection.core());
    let queue = match find(&core, &asked.name) {
        Ok(queue) => queue.id,
        Err(unknown) => return ticket.settle(Err(unknown)),
    };
    core.clone().spawn(async move {
        let updated = core.catalog().update_queue(queue, asked.settings).await;
        ticket.settle(updated.map(|queue| describe(&queue)).map_err(|error| update_failure(&error)));
    });
}
