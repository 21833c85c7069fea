//! StartMessageMoveTask, ListMessageMoveTasks and CancelMessageMoveTask: messages of a dead-letter queue go back to where they came from, or elsewhere.
//!
//! Leaves out how messages are moved, which is the same for all protocols.

use tidemill_wire::limits::QUEUE_MOVES_MAX;

use super::super::Fault;
use super::super::value::Value;
use super::call::Call;
use super::error::{code_of, invalid, invalid_value, no_resource, receipt_fault, receive_fault, send_fault};
use super::input::number;
use super::limits::MOVE_RATE;
use super::names::queue_arn;
use super::token::{TaskHandle, close_task, open_task};
use crate::service::queue::{MoveCancelError, MoveError, MoveStatus, MoveTarget, MoveTask};
use crate::shard::MoveStartError;

/// Begins a task, and answers with its handle.
pub(super) async fn start(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let source = input.get_text("SourceArn").and_then(|arn| call.of_arn(arn));
    let source = source.ok_or_else(|| no_resource("SourceArn"))?;
    let rate = number(&input, "MaxNumberOfMessagesPerSecond", &MOVE_RATE)?;
    let arn = input.get_text("DestinationArn");
    let target = arn.map(|arn| call.of_arn(arn).ok_or_else(|| no_resource("DestinationArn"))).transpose()?;
    let begun = call.core().start_move(&source, target.as_deref(), rate).await;
    let task = begun.map_err(|error| match error {
        MoveStartError::Target { .. } => {
            let reason = "It must be another queue of the same type as the source.";
            invalid_value(arn.unwrap_or_default(), "DestinationArn", reason)
        }
        MoveStartError::NoDeadLetterQueue { .. } => {
            invalid("Source queue must be configured as a Dead Letter Queue.")
        }
        MoveStartError::Running => invalid(
            "There is already a task running. Only one active task is allowed for a source queue arn at a given time.",
        ),
        MoveStartError::TooMany => Fault::unavailable("too many tasks run"),
        MoveStartError::Count(error) => receipt_fault(&error, ""),
    })?;
    let handle = TaskHandle { source: source.id, number: task.number };
    let handle = close_task(call.seal(), call.now(), handle);
    Ok(Some(Value::structure([("TaskHandle", Value::text(handle))])))
}

/// Lists the last tasks of a queue, the newest first.
pub(super) async fn list(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let source = input.get_text("SourceArn").and_then(|arn| call.of_arn(arn));
    let source = source.ok_or_else(|| no_resource("SourceArn"))?;
    let range = 1..=i64::try_from(QUEUE_MOVES_MAX).unwrap_or(i64::MAX);
    let limit = number(&input, "MaxResults", &range)?.unwrap_or(1);
    let tasks = call.chores().tasks(source.id);
    let results: Vec<Value> = tasks
        .iter()
        .take(usize::try_from(limit).unwrap_or(QUEUE_MOVES_MAX))
        .map(|task| {
            let handle = TaskHandle { source: source.id, number: task.number };
            let handle =
                (task.status == MoveStatus::Running).then(|| close_task(call.seal(), task.started, handle));
            show(call, task, handle, &call.arn(&source.name))
        })
        .collect();
    Ok(Some(Value::structure([("Results", (!results.is_empty()).then_some(Value::List(results)))])))
}

/// Ends a task; what it has moved stays where it is.
pub(super) async fn cancel(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let handle = input.get_text("TaskHandle").and_then(|handle| open_task(call.seal(), handle));
    let handle = handle.ok_or_else(|| invalid("Value for parameter TaskHandle is invalid."))?;
    if call.core().queue_of(handle.source).is_none() {
        return Err(no_resource("SourceArn"));
    }
    let cancelled = call.chores().cancel_task(handle.source, handle.number);
    let moved = cancelled.map(|task| task.moved).map_err(|error| match error {
        MoveCancelError::Unknown => Fault::of_caller("ResourceNotFoundException", "Task does not exist."),
        MoveCancelError::Over => invalid("Only active tasks can be cancelled."),
    })?;
    Ok(Some(Value::structure([("ApproximateNumberOfMessagesMoved", Some(whole(moved)))])))
}

fn show(call: Call<'_>, task: &MoveTask, handle: Option<String>, source: &str) -> Value {
    let target = match &task.target {
        MoveTarget::Queue(name) => Some(queue_arn(call.identity(), name.as_str())),
        MoveTarget::Sources => None,
    };
    let reason = match &task.status {
        MoveStatus::Failed(error) => Some(code(error)),
        MoveStatus::Running | MoveStatus::Cancelling | MoveStatus::Cancelled | MoveStatus::Completed => None,
    };
    Value::structure([
        ("TaskHandle", handle.and_then(Value::text)),
        ("Status", Value::text(word(&task.status))),
        ("SourceArn", Value::text(source)),
        ("DestinationArn", target.and_then(Value::text)),
        ("MaxNumberOfMessagesPerSecond", task.rate.map(|rate| whole(rate.into()))),
        ("ApproximateNumberOfMessagesMoved", Some(whole(task.moved))),
        ("ApproximateNumberOfMessagesToMove", Some(whole(task.to_move))),
        ("FailureReason", reason.and_then(Value::text)),
        ("StartedTimestamp", Some(whole(task.started.get()))),
    ])
}

fn whole(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn word(status: &MoveStatus) -> &'static str {
    match status {
        MoveStatus::Running => "RUNNING",
        MoveStatus::Cancelling => "CANCELLING",
        MoveStatus::Cancelled => "CANCELLED",
        MoveStatus::Completed => "COMPLETED",
        MoveStatus::Failed(_) => "FAILED",
    }
}

/// The code of an error that a task could not go on for.
fn code(error: &MoveError) -> &'static str {
    let fault = match error {
        MoveError::NoSource => return "CouldNotDetermineMessageSource",
        MoveError::NoTarget { .. } => return "AWS.SimpleQueueService.NonExistentQueue",
        MoveError::Receive(error) => receive_fault(error),
        MoveError::Send(error) => send_fault(error),
        MoveError::Delete(error) => receipt_fault(error, ""),
    };
    code_of(&fault).0
}
