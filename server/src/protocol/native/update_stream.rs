//! Changes a stream's settings, which hold on every core when this is answered.

use std::rc::Rc;

use tidemill_wire::message::UpdateStream;

use super::connection::Ticket;
use super::describe_stream;
use super::error::update_failure;

/// Has the catalog change it and answers with its description.
pub(super) fn begin(ticket: Ticket, asked: UpdateStream) {
    let core = Rc::clone(ticket.connection.core());
    core.clone().spawn(async move {
        match core.catalog().update(asked.name.into(), asked.settings).await {
            Ok(definition) => describe_stream::answer(ticket, &definition).await,
            Err(error) => ticket.settle(Err(update_failure(&error))),
        }
    });
}
