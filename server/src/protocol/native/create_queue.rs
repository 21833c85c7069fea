//! Creates a queue, which every core knows when this is answered. One that is there and is as it is wanted is the answer as it is.

use std::collections::BTreeMap;
use std::rc::Rc;

use tidemill_wire::message::CreateQueue;

use super::connection::Ticket;
use super::describe_queue::describe;
use super::queue_error::create_failure;
use crate::service::catalog::NewQueue;

/// Has the catalog create it and answers with its description.
pub(super) fn begin(ticket: Ticket, asked: CreateQueue) {
    let core = Rc::clone(ticket.connection.core());
    core.clone().spawn(async move {
        let CreateQueue { name, settings } = asked;
        let created = core.catalog().create_queue(NewQueue { name, settings, tags: BTreeMap::new() }).await;
        ticket.settle(created.map(|queue| describe(&queue)).map_err(|error| create_failure(&error)));
    });
}
