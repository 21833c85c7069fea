//! Deletes a queue and what is in it: no core knows it when this is answered.

use std::rc::Rc;

use tidemill_wire::QueueName;
use tidemill_wire::message::ResponseBody;

use super::connection::Ticket;
use super::describe_queue::find;
use super::queue_error::delete_failure;

/// Has the catalog delete it.
pub(super) fn begin(ticket: Ticket, name: &QueueName) {
    let core = Rc::clone(ticket.connection.core());
    let queue = match find(&core, name) {
        Ok(queue) => queue.id,
        Err(unknown) => return ticket.settle(Err(unknown)),
    };
    core.clone().spawn(async move {
        let deleted = core.catalog().delete_queue(queue).await;
        ticket.settle(deleted.map(|()| ResponseBody::Done).map_err(|error| delete_failure(&error)));
    });
}
