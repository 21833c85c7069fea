//! CreateQueue, DescribeQueue, ListQueues, UpdateQueue and DeleteQueue: queues over streams. Each is done when it answers.

use std::sync::Arc;

use tidemill_wire::{QueueId, StreamId, Timestamp};

use super::super::value::Value;
use super::super::{Fault, Identity};
use super::call::{Call, StreamNames};
use super::create_stream::tags;
use super::error::{catalog_fault, invalid, limit_exceeded, no_stream, not_found};
use super::limits::LIST_QUEUES_DEFAULT;
use super::names::{resource_of_arn, stream_id, stream_of_arn, stream_of_id};
use super::token::{close_queue_page, open_queue_page};
use crate::service::catalog::{
    CreateStreamQueueError, DeleteQueueError, NewStreamQueue, TagQueueError, UpdateStreamQueueError,
};
use crate::service::consumer::ConsumerName;
use crate::service::stream::Definition;
use crate::service::stream_queue::{Start, StreamQueue, StreamQueueChange, StreamQueueSettings};
use crate::shard::{QueueDeleteError, QueueTagError, StreamQueueCreateError, StreamQueueUpdateError};

/// What stands before a queue's id in its ARN.
const QUEUE: &str = "queue/";
/// The status of a queue that is being made, with which CreateQueue answers.
const CREATING: &str = "CREATING";
/// The status of every queue that can be looked at.
const ACTIVE: &str = "ACTIVE";
/// The status of a queue that is being changed, with which UpdateQueue answers.
const UPDATING: &str = "UPDATING";

/// CreateQueue. The queue receives when this answers.
pub(super) async fn create(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let name = input.get_text("QueueName").unwrap_or_default();
    let configuration = only_configuration(&input)?;
    let arn = configuration.get_text("StreamARN");
    let stream = call.find(StreamNames { name: None, arn, id: None })?;
    let new = NewStreamQueue {
        name: ConsumerName::new(name).map_err(|error| invalid(error.to_string()))?,
        stream: stream.id,
        start: start(call, configuration.get("StartingPosition"))?,
        settings: change(&input)?.apply(StreamQueueSettings::default()),
        tags: tags(&input),
    };
    let created = call.core().catalog().create_stream_queue(new).await;
    let queue = created.map_err(|error| create_fault(call, &error, &stream))?;
    call.aws.core.begin_stream_queue(&queue).await;
    Ok(Some(described(call, &queue, CREATING)))
}

/// DescribeQueue.
pub(super) async fn describe(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let queue = named(call, &input)?;
    Ok(Some(described(call, &queue, ACTIVE)))
}

/// UpdateQueue. What is received from when this answers on goes by the new settings.
pub(super) async fn update(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let queue = named(call, &input)?;
    let updated = call.core().catalog().update_stream_queue(queue.id, change(&input)?).await;
    let updated = updated.map_err(|error| update_fault(call, &error, queue.id))?;
    Ok(Some(described(call, &updated, UPDATING)))
}

/// DeleteQueue.
pub(super) async fn delete(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let queue = named(call, &input)?;
    let deleted = call.core().catalog().delete_stream_queue(queue.id).await;
    deleted.map(|()| None).map_err(|error| delete_fault(call, &error, queue.id))
}

/// ListQueues: in the order in which they were created, a page at a time.
pub(super) async fn list(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let limit = input.get_integer("MaxResults").and_then(|limit| usize::try_from(limit).ok());
    let after = input.get_text("NextToken").map(|token| after(call, token)).transpose()?;
    let wanted = filtered(call, &input);
    let is_wanted = |queue: &StreamQueue| wanted.as_ref().is_none_or(|wanted| wanted.contains(&queue.stream));
    let queues = call.core().stream_queues();
    let (page, more) = queues.list(after, limit.unwrap_or(LIST_QUEUES_DEFAULT), is_wanted);
    let next = page.last().filter(|_| more);
    let next = next.map(|last| close_queue_page(call.seal(), call.now(), last.id));
    let summaries = page.iter().map(|queue| {
        let stream = stream_of(call, queue).map(|stream| {
            Value::structure([
                ("StreamARN", Value::text(call.arn(&stream.name))),
                ("StreamCreationTimestamp", Some(Value::Timestamp(stream.created))),
            ])
        });
        Value::structure([
            ("QueueName", Value::text(queue.name.as_str())),
            ("QueueARN", Value::text(queue_arn(call, queue.id))),
            ("QueueStatus", Value::text(ACTIVE)),
            ("QueueCreationTimestamp", Some(Value::Timestamp(queue.created))),
            ("Streams", Some(Value::List(stream.into_iter().collect()))),
        ])
    });
    Ok(Some(Value::structure([
        ("QueueSummaries", Some(Value::List(summaries.collect()))),
        ("NextToken", next.and_then(Value::text)),
    ])))
}

/// The queue that an input names by its ARN.
pub(super) fn named(call: Call<'_>, input: &Value) -> Result<Arc<StreamQueue>, Fault> {
    let arn = input.get_text("QueueARN").unwrap_or_default();
    of_arn(call, arn).ok_or_else(|| no_queue(call, arn))
}

/// The queue of an ARN, if it is one of this server.
pub(super) fn of_arn(call: Call<'_>, arn: &str) -> Option<Arc<StreamQueue>> {
    let id = stream_of_id(call.seal(), queue_id_of_arn(call.identity(), arn)?)?;
    call.core().stream_queues().get(QueueId(id.get()))
}

/// Whether an ARN is a queue's, whether or not there is one.
pub(super) fn is_queue_arn(identity: &Identity, arn: &str) -> bool {
    queue_id_of_arn(identity, arn).is_some()
}

fn queue_id_of_arn<'a>(identity: &Identity, arn: &'a str) -> Option<&'a str> {
    resource_of_arn(identity, arn)?.strip_prefix(QUEUE)
}

/// A queue's ARN: its id is made like a stream's, and says nothing of its name.
fn queue_arn(call: Call<'_>, queue: QueueId) -> String {
    let Identity { account, region, partition } = call.identity();
    let id = stream_id(call.seal(), StreamId(queue.0));
    format!("arn:{partition}:kinesis:{region}:{account}:{QUEUE}{id}")
}

/// There is no such queue.
pub(super) fn no_queue(call: Call<'_>, arn: &str) -> Fault {
    not_found(format!("Queue {arn} under account {} not found.", call.account()))
}

/// There is no such queue any more.
pub(super) fn queue_gone(call: Call<'_>, queue: QueueId) -> Fault {
    no_queue(call, &queue_arn(call, queue))
}

/// Tags of a queue that were not changed.
pub(super) fn queue_tag_fault(call: Call<'_>, error: &QueueTagError, queue: QueueId) -> Fault {
    catalog_fault(error, |error| match error {
        TagQueueError::Unknown { .. } => Some(queue_gone(call, queue)),
        TagQueueError::Tags(_) => Some(limit_exceeded(error.to_string())),
        TagQueueError::Store(_) => None,
    })
}

fn only_configuration(input: &Value) -> Result<&Value, Fault> {
    match input.get("StreamConfigurationList") {
        Some(Value::List(streams)) if streams.len() == 1 => Ok(&streams[0]),
        _ => Err(invalid("StreamConfigurationList must contain exactly one entry.")),
    }
}

fn start(call: Call<'_>, position: Option<&Value>) -> Result<Start, Fault> {
    let Some(position) = position else { return Ok(Start::Newest) };
    let time = position.get_timestamp("Timestamp");
    let start = match (position.get_text("Type").unwrap_or_default(), time) {
        ("AT_TIMESTAMP", Some(time)) if time > call.now() => {
            return Err(invalid("The Timestamp of the StartingPosition must not be in the future."));
        }
        ("AT_TIMESTAMP", Some(time)) => Start::At(time),
        ("AT_TIMESTAMP", None) => {
            return Err(Fault::validation("A StartingPosition of type AT_TIMESTAMP needs a Timestamp."));
        }
        (other, Some(_)) => {
            return Err(Fault::validation(format!(
                "Timestamp is for a StartingPosition of type AT_TIMESTAMP, not {other}."
            )));
        }
        ("TRIM_HORIZON", None) => Start::Oldest,
        (_, None) => Start::Newest,
    };
    Ok(start)
}

/// What an input says of a queue's settings.
fn change(input: &Value) -> Result<StreamQueueChange, Fault> {
    let Some(attributes) = input.get("QueueAttributes") else { return Ok(StreamQueueChange::default()) };
    let number =
        |value: Option<i64>| value.map(u32::try_from).transpose().map_err(|error| invalid(error.to_string()));
    let visibility_s = number(attributes.get_integer("VisibilityTimeoutSeconds"))?;
    let dead_letters = attributes.get("DeadLetterConfiguration").map(|dead_letters| {
        let most = number(dead_letters.get_integer("MaxReceiveCount"))?;
        match (dead_letters.get_text("TargetType"), most) {
            (Some("BUILT_IN"), Some(most)) => Ok(Some(most)),
            (Some("BUILT_IN"), None) => {
                Err(Fault::validation("MaxReceiveCount is required where TargetType is BUILT_IN."))
            }
            (_, None) => Ok(None),
            (_, Some(_)) => Err(Fault::validation("MaxReceiveCount is for the TargetType BUILT_IN.")),
        }
    });
    Ok(StreamQueueChange { visibility_s, receives_max: dead_letters.transpose()? })
}

/// The streams that are named in a filter, as far as there are any; nothing if there is no filter.
fn filtered(call: Call<'_>, input: &Value) -> Option<Vec<StreamId>> {
    let Some(Value::List(filters)) = input.get("StreamFilter") else { return None };
    let of = |filter: &Value| {
        let name = stream_of_arn(call.identity(), filter.get_text("StreamARN")?)?;
        let stream = call.named(name).ok()?;
        call.check_created(&stream, filter).ok()?;
        Some(stream.id)
    };
    Some(filters.iter().filter_map(of).collect())
}

fn after(call: Call<'_>, token: &str) -> Result<QueueId, Fault> {
    let (after, made) = open_queue_page(call.seal(), token).ok_or_else(|| invalid("Invalid NextToken."))?;
    if call.is_expired(made) {
        return Err(Fault::of_caller("ExpiredNextTokenException", "The NextToken has expired."));
    }
    Ok(after)
}

fn stream_of(call: Call<'_>, queue: &StreamQueue) -> Option<Arc<Definition>> {
    call.core().streams().get(queue.stream).map(|stream| Arc::clone(stream.definition()))
}

/// A queue as clients get it.
fn described(call: Call<'_>, queue: &StreamQueue, status: &'static str) -> Value {
    let stream = stream_of(call, queue).map(|stream| {
        let (kind, time) = position(queue, &stream, status);
        let position =
            Value::structure([("Type", Value::text(kind)), ("Timestamp", time.map(Value::Timestamp))]);
        Value::structure([
            ("StreamARN", Value::text(call.arn(&stream.name))),
            ("StartingPosition", Some(position)),
        ])
    });
    let receives_max = queue.settings.receives_max;
    let dead_letters = Value::structure([
        ("TargetType", Value::text(receives_max.map_or("NONE", |_| "BUILT_IN"))),
        ("MaxReceiveCount", receives_max.map(|most| Value::Integer(most.into()))),
    ]);
    let attributes = Value::structure([
        ("VisibilityTimeoutSeconds", Some(Value::Integer(queue.settings.visibility_s.into()))),
        ("DeadLetterConfiguration", Some(dead_letters)),
    ]);
    let description = Value::structure([
        ("QueueName", Value::text(queue.name.as_str())),
        ("QueueARN", Value::text(queue_arn(call, queue.id))),
        ("QueueStatus", Value::text(status)),
        ("QueueCreationTimestamp", Some(Value::Timestamp(queue.created))),
        ("StreamConfigurationList", Some(Value::List(stream.into_iter().collect()))),
        ("QueueAttributes", Some(attributes)),
    ]);
    Value::structure([("QueueDescription", Some(description))])
}

/// Where a queue begins: as it was asked for while it is being made, and as it came out afterwards.
fn position(
    queue: &StreamQueue,
    stream: &Definition,
    status: &'static str,
) -> (&'static str, Option<Timestamp>) {
    let is_settled = status != CREATING;
    let oldest = match stream.retention_ms() {
        0 => stream.created,
        kept_ms => stream.created.max(Timestamp(queue.created.get().saturating_sub(kept_ms))),
    };
    match queue.start {
        Start::Oldest => ("TRIM_HORIZON", is_settled.then_some(oldest)),
        Start::Newest => ("LATEST", is_settled.then_some(queue.created)),
        Start::At(time) => ("AT_TIMESTAMP", Some(if is_settled { time.max(oldest) } else { time })),
    }
}

fn create_fault(call: Call<'_>, error: &StreamQueueCreateError, stream: &Definition) -> Fault {
    let account = call.account();
    catalog_fault(error, |error| match error {
        CreateStreamQueueError::UnknownStream { .. } => Some(no_stream(stream.name.as_str(), account)),
        CreateStreamQueueError::Exists { name } => Some(Fault::of_caller(
            "ResourceInUseException",
            format!("Queue {name} under account {account} already exists."),
        )),
        CreateStreamQueueError::Provisioned { .. } => Some(Fault::validation(format!(
            "CreateQueue is only supported for streams in ON_DEMAND mode: stream {} under account {account} is in PROVISIONED mode.",
            stream.name
        ))),
        CreateStreamQueueError::TooManyReaders { .. } | CreateStreamQueueError::TooManyQueues { .. } => {
            Some(limit_exceeded(error.to_string()))
        }
        CreateStreamQueueError::Settings(_) | CreateStreamQueueError::Tags(_) => {
            Some(invalid(error.to_string()))
        }
        CreateStreamQueueError::Store(_) => None,
    })
}

fn update_fault(call: Call<'_>, error: &StreamQueueUpdateError, queue: QueueId) -> Fault {
    catalog_fault(error, |error| match error {
        UpdateStreamQueueError::Unknown { .. } => Some(queue_gone(call, queue)),
        UpdateStreamQueueError::Settings(_) => Some(invalid(error.to_string())),
        UpdateStreamQueueError::Store(_) => None,
    })
}

fn delete_fault(call: Call<'_>, error: &QueueDeleteError, queue: QueueId) -> Fault {
    catalog_fault(error, |error| match error {
        DeleteQueueError::Unknown { .. } => Some(queue_gone(call, queue)),
        DeleteQueueError::Store(_) => None,
    })
}
