//! Lists queues in order of their names, a page at a time.

use tidemill_wire::limits::LIST_QUEUES_MAX;
use tidemill_wire::message::{ListQueues, QueueSummary, ResponseBody};

use super::connection::Ticket;

/// Answers from what this core knows, which is everything that was answered as created.
pub(super) fn answer(ticket: Ticket, asked: &ListQueues) {
    // Without a limit, or with one that is too large, a page is as long as it may be.
    let limit = if asked.limit == 0 { LIST_QUEUES_MAX } else { asked.limit.min(LIST_QUEUES_MAX) };
    let (page, more) =
        ticket.connection.core().list_queues(&asked.prefix, asked.after.as_ref(), limit as usize);
    let queues = page.iter().map(|queue| QueueSummary {
        id: queue.id,
        name: queue.name.clone(),
        created: queue.created,
        partitions: u32::try_from(queue.partitions.len()).unwrap_or(u32::MAX),
    });
    let queues = queues.collect();
    ticket.answer(ResponseBody::QueueList { queues, more });
}
