//! A sign of life.

use tidemill_wire::message::ResponseBody;

use super::connection::Ticket;

/// Answers.
pub(super) fn answer(ticket: Ticket) {
    ticket.answer(ResponseBody::Done);
}
