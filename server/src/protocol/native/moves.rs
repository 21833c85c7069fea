//! Messages of dead-letter queues go back to where they came from, or elsewhere.

use std::rc::Rc;
use std::sync::Arc;

use tidemill_wire::QueueId;
use tidemill_wire::limits::LIST_QUEUES_MAX;
use tidemill_wire::message::{
    ErrorCode, Failure, ListDeadLetterSources, Move, MoveStatus as Status, ResponseBody, StartMove,
};

use super::connection::Ticket;
use super::describe_queue::find;
use super::error::RETRY_LATER;
use super::list_queues::page;
use super::message_error::{receipt_failure, unknown_queue};
use crate::service::queue::{Definition, MoveCancelError, MoveStatus, MoveTarget, MoveTask};
use crate::shard::{Core, MoveStartError};

/// Begins to move messages, and answers with the move.
pub(super) fn start(ticket: Ticket, asked: StartMove) {
    let core = Rc::clone(ticket.connection.core());
    core.clone().spawn(async move {
        let begun = begin(&core, &asked).await;
        ticket.settle(begun.map(|task| ResponseBody::MoveList(vec![tell(&task)])));
    });
}

async fn begin(core: &Rc<Core>, asked: &StartMove) -> Result<MoveTask, Failure> {
    let source = known(core, asked.queue)?;
    let target = asked.target.as_ref().map(|name| find(core, name)).transpose()?;
    let rate = Some(asked.messages_per_second).filter(|rate| *rate > 0);
    let begun = core.start_move(&source, target.as_deref(), rate).await;
    begun.map_err(|error| {
        let failure = |code| Failure::new(code, error.to_string());
        match &error {
            MoveStartError::NoDeadLetterQueue { .. } | MoveStartError::Target { .. } => {
                failure(ErrorCode::InvalidRequest)
            }
            MoveStartError::Running => failure(ErrorCode::MoveRunning),
            MoveStartError::TooMany => failure(ErrorCode::Overloaded).with_retry_after(RETRY_LATER),
            MoveStartError::Count(error) => receipt_failure(error),
        }
    })
}

/// Ends a move, and answers with it; what it has moved stays where it is.
pub(super) fn cancel(ticket: Ticket, queue: QueueId, number: u64) {
    let cancelled = known(ticket.connection.core(), queue).and_then(|source| {
        ticket.connection.core().chores().cancel_task(source.id, number).map_err(|error| {
            let text = match error {
                MoveCancelError::Unknown => format!("queue {queue} has no move {number}"),
                MoveCancelError::Over => format!("move {number} of queue {queue} does not run any more"),
            };
            Failure::new(ErrorCode::UnknownMove, text)
        })
    });
    ticket.settle(cancelled.map(|task| ResponseBody::MoveList(vec![tell(&task)])));
}

/// Answers with the last moves of a queue, the newest first.
pub(super) fn list(ticket: Ticket, queue: QueueId) {
    let source = known(ticket.connection.core(), queue);
    let moves = source.map(|source| {
        let tasks = ticket.connection.core().chores().tasks(source.id);
        ResponseBody::MoveList(tasks.iter().map(tell).collect())
    });
    ticket.settle(moves);
}

/// Answers with a page of the queues whose dead letters come to a queue.
pub(super) fn sources(ticket: Ticket, asked: ListDeadLetterSources) {
    let limit = if asked.limit == 0 { LIST_QUEUES_MAX } else { asked.limit.min(LIST_QUEUES_MAX) };
    let core = Rc::clone(ticket.connection.core());
    let target = match known(&core, asked.queue) {
        Ok(target) => target,
        Err(failure) => return ticket.settle(Err(failure)),
    };
    core.clone().spawn(async move {
        let (queues, more) = core.dead_letter_sources(&target.name, asked.after, limit as usize).await;
        ticket.answer(page(&queues, more));
    });
}

fn known(core: &Core, queue: QueueId) -> Result<Arc<Definition>, Failure> {
    core.queue_of(queue).ok_or_else(|| unknown_queue(queue))
}

fn tell(task: &MoveTask) -> Move {
    let target = match &task.target {
        MoveTarget::Queue(name) => Some(name.clone()),
        MoveTarget::Sources => None,
    };
    let status = match &task.status {
        MoveStatus::Running => Status::Running,
        MoveStatus::Cancelling => Status::Cancelling,
        MoveStatus::Cancelled => Status::Cancelled,
        MoveStatus::Completed => Status::Completed,
        MoveStatus::Failed(error) => Status::Failed(error.to_string()),
    };
    Move {
        number: task.number,
        target,
        messages_per_second: task.rate.unwrap_or(0),
        status,
        moved: task.moved,
        to_move: task.to_move,
        started: task.started,
    }
}
