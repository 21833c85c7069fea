//! StartMessageMoveTask, ListMessageMoveTasks and CancelMessageMoveTask: messages of a dead-letter queue go back to where they came from, or elsewhere.
//!
//! A task runs on the core that took the call. A message is sent to its new queue, durably, before it is deleted from the old one, so a crash between
//! the two leaves it in both and loses none. Tasks are in memory: one that runs when the server ends is begun anew by whoever wants it.

use std::rc::Rc;

use super::super::Fault;
use super::super::value::Value;
use super::call::Call;
use super::chores::Refused;
use super::error::{invalid, invalid_value, no_resource, receipt_fault};
use super::input::number;
use super::limits::{MOVE_RATE, MOVE_TASKS_MAX};
use super::move_task::{Status, Target, Task};
use super::mover::Mover;
use super::names::queue_arn;
use super::queues::sources;
use super::token::{TaskHandle, close_task, open_task};

/// Begins a task, and answers with its handle.
pub(super) async fn start(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let source = input.get_text("SourceArn").and_then(|arn| call.of_arn(arn));
    let source = source.ok_or_else(|| no_resource("SourceArn"))?;
    let rate = number(&input, "MaxNumberOfMessagesPerSecond", &MOVE_RATE)?;
    let target = match input.get_text("DestinationArn") {
        None => Target::Sources,
        Some(arn) => {
            let target = call.of_arn(arn).ok_or_else(|| no_resource("DestinationArn"))?;
            if target.id == source.id || target.is_fifo() != source.is_fifo() {
                let reason = "It must be another queue of the same type as the source.";
                return Err(invalid_value(arn, "DestinationArn", reason));
            }
            Target::Queue(target.name.clone())
        }
    };
    if sources(call, &source, None, 1).0.is_empty() {
        return Err(invalid("Source queue must be configured as a Dead Letter Queue."));
    }
    let counted = call.core().count_messages(source.id).await.map_err(|error| receipt_fault(&error, ""))?;
    let task = Task::new(target.clone(), rate, counted.visible, call.now());
    let is_known = |queue| call.core().queue_of(queue).is_some();
    let number = call.chores().begin_task(source.id, task, is_known).map_err(|refused| match refused {
        Refused::Running => invalid(
            "There is already a task running. Only one active task is allowed for a source queue arn at a given time.",
        ),
        Refused::TooMany => Fault::unavailable("too many tasks run"),
    })?;
    let handle = TaskHandle { source: source.id, number };
    let mover =
        Mover { core: Rc::clone(&call.aws.core), chores: call.chores().clone(), handle, target, rate };
    call.core().spawn(mover.run());
    let handle = close_task(call.seal(), call.now(), handle);
    Ok(Some(Value::structure([("TaskHandle", Value::text(handle))])))
}

/// Lists the last tasks of a queue, the newest first.
pub(super) async fn list(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let source = input.get_text("SourceArn").and_then(|arn| call.of_arn(arn));
    let source = source.ok_or_else(|| no_resource("SourceArn"))?;
    let range = 1..=i64::try_from(MOVE_TASKS_MAX).unwrap_or(i64::MAX);
    let limit = number(&input, "MaxResults", &range)?.unwrap_or(1);
    let tasks = call.chores().tasks(source.id);
    let results: Vec<Value> = tasks
        .iter()
        .take(usize::try_from(limit).unwrap_or(MOVE_TASKS_MAX))
        .map(|task| {
            let handle = TaskHandle { source: source.id, number: task.number };
            let handle =
                (task.status == Status::Running).then(|| close_task(call.seal(), task.started, handle));
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
    let cancelled = call.chores().with_task(handle.source, handle.number, |task| {
        let is_running = task.status == Status::Running;
        if is_running {
            task.status = Status::Cancelling;
        }
        is_running.then_some(task.moved)
    });
    let moved =
        cancelled.ok_or_else(|| Fault::of_caller("ResourceNotFoundException", "Task does not exist."))?;
    let moved = moved.ok_or_else(|| invalid("Only active tasks can be cancelled."))?;
    Ok(Some(Value::structure([("ApproximateNumberOfMessagesMoved", Some(whole(moved)))])))
}

fn show(call: Call<'_>, task: &Task, handle: Option<String>, source: &str) -> Value {
    let target = match &task.target {
        Target::Queue(name) => Some(queue_arn(call.identity(), name.as_str())),
        Target::Sources => None,
    };
    let reason = match &task.status {
        Status::Failed(reason) => Some(*reason),
        Status::Running | Status::Cancelling | Status::Cancelled | Status::Completed => None,
    };
    Value::structure([
        ("TaskHandle", handle.and_then(Value::text)),
        ("Status", Value::text(task.status.as_str())),
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
