//! Opens a connection: agrees on a version and tells where the lanes are.

use tidemill_wire::limits::{PROTOCOL_VERSION, PROTOCOL_VERSION_MIN};
use tidemill_wire::message::{Hello, ResponseBody, Welcome};

use super::connection::{Ticket, Violation};

/// The server's name in answers.
const SERVER: &str = concat!("tidemill/", env!("CARGO_PKG_VERSION"));

/// Answers with the newest version that both sides speak, or ends the connection.
pub(super) fn answer(ticket: Ticket, hello: &Hello) -> Result<(), Violation> {
    let (min, max) = (hello.version_min, hello.version_max);
    let version = max.min(PROTOCOL_VERSION);
    if version < min.max(PROTOCOL_VERSION_MIN) {
        return Err(Violation::Version { id: ticket.id, min, max });
    }
    let connection = &ticket.connection;
    tracing::debug!(peer = ?connection.peer, client = hello.client, "client connected");
    connection.version.set(Some(version));
    let settings = &connection.native.settings;
    let welcome = Welcome {
        version,
        server: SERVER.to_owned(),
        node: settings.node,
        core: connection.core().index(),
        frame_bytes_max: settings.frame_bytes_max,
        in_flight_max: settings.connection_requests_max,
        lanes: settings.lanes.clone(),
    };
    ticket.answer(ResponseBody::Welcome(welcome));
    Ok(())
}
