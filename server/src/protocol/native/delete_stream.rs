//! Deletes a stream, and the consumers that AWS clients have registered with it: when this is answered, no core takes appends for it, and who waited for its records was told.

use std::rc::Rc;

use tidemill_wire::StreamName;
use tidemill_wire::message::ResponseBody;

use super::connection::Ticket;
use super::error::delete_failure;
use crate::service::catalog::OnConsumers;

/// Has the catalog delete it.
pub(super) fn begin(ticket: Ticket, name: StreamName) {
    let core = Rc::clone(ticket.connection.core());
    core.clone().spawn(async move {
        let deleted = core.catalog().delete(name.into(), OnConsumers::Dismiss).await;
        ticket.settle(deleted.map(|()| ResponseBody::Done).map_err(|error| delete_failure(&error)));
    });
}
