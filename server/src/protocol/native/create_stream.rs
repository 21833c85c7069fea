//! Creates a stream, which takes appends on every core when this is answered.

use std::collections::BTreeMap;
use std::rc::Rc;

use tidemill_wire::message::CreateStream;

use super::connection::Ticket;
use super::describe_stream;
use super::error::create_failure;
use crate::service::catalog::{Aside, NewStream};

/// Has the catalog create it and answers with its description.
pub(super) fn begin(ticket: Ticket, asked: CreateStream) {
    let core = Rc::clone(ticket.connection.core());
    core.clone().spawn(async move {
        let CreateStream { name, shards, settings } = asked;
        let new = NewStream { name, shards, settings, tags: BTreeMap::new(), aside: Aside::default() };
        let created = core.catalog().create(new).await;
        match created {
            Ok(definition) => describe_stream::answer(ticket, &definition).await,
            Err(error) => ticket.settle(Err(create_failure(&error))),
        }
    });
}
