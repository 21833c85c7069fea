//! Lists queues in order of their names, a page at a time.

use std::sync::Arc;

use tidemill_wire::limits::LIST_QUEUES_MAX;
use tidemill_wire::message::{ListQueues, QueueSummary, ResponseBody};

use super::connection::Ticket;
use crate::service::queue::Definition;

/// Answers from what this core knows, which is everything that was answered as created.
pub(super) fn answer(ticket: Ticket, asked: &ListQueues) {
    // Without a limit, or with one that is too large, a page is as long as it may be.
    let limit = if asked.limit == 0 { LIST_QUEUES_MAX } else { asked.limit.min(LIST_QUEUES_MAX) };
    let core = ticket.connection.core();
    let (queues, more) = core.list_queues(&asked.prefix, asked.after.as_ref(), limit as usize);
    let page = page(&queues, more);
    ticket.answer(page);
}

/// The answer to whoever asked for a list.
pub(super) fn page(queues: &[Arc<Definition>], more: bool) -> ResponseBody {
    let queues = queues.iter().map(|queue| QueueSummary {
        id: queue.id,
        name: queue.name.clone(),
        created: queue.created,
        partitions: u32::try_from(queue.partitions.len()).unwrap_or(u32::MAX),
    });
    ResponseBody::QueueList { queues: queues.collect(), more }
}
