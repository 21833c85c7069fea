//! Lists streams in order of their names, a page at a time.

use tidemill_wire::limits::LIST_STREAMS_MAX;
use tidemill_wire::message::{ListStreams, ResponseBody, StreamSummary};

use super::connection::Ticket;

/// Answers from what this core knows, which is everything that was answered as created.
pub(super) fn answer(ticket: Ticket, asked: &ListStreams) {
    // Without a limit, or with one that is too large, a page is as long as it may be.
    let limit = if asked.limit == 0 { LIST_STREAMS_MAX } else { asked.limit.min(LIST_STREAMS_MAX) };
    let streams = ticket.connection.core().streams();
    let (page, more) = streams.list(asked.after.as_ref(), limit as usize);
    let summaries = page.iter().map(|stream| {
        let open = stream.open_shards();
        StreamSummary {
            id: stream.id,
            name: stream.name.clone(),
            created: stream.created,
            shards: u32::try_from(open).unwrap_or(u32::MAX),
            retention_ms: stream.retention_ms(),
        }
    });
    let streams = summaries.collect();
    ticket.answer(ResponseBody::StreamList { streams, more });
}
