//! ReceiveMessage: up to ten messages, which are hidden from others then; waits for one if it is asked to.

use std::borrow::Cow;
use std::time::Duration;

use super::super::Fault;
use super::super::hexadecimal::uuid;
use super::super::value::Value;
use super::attributes::{self, TRACE_HEADER, is_chosen};
use super::call::Call;
use super::digest;
use super::error::{invalid_value, receive_fault, unknown_attribute};
use super::input::number;
use super::limits::{RECEIVE_MESSAGES, VISIBILITY_S, WAIT_S};
use super::names::queue_arn;
use super::queue_attributes::is_queue_attribute;
use super::send::{NOT_OF_THIS_TYPE, fifo_id, sequence_number};
use super::token::close_receipt;
use crate::service::queue::{Attribute, Definition, Receive, Received, plain_text};

/// What can be told of a message besides what was sent, by name.
const SYSTEM_ATTRIBUTES: &[&str] = &[
    "All",
    "ApproximateFirstReceiveTimestamp",
    "ApproximateReceiveCount",
    TRACE_HEADER,
    "DeadLetterQueueSourceArn",
    "MessageDeduplicationId",
    "MessageGroupId",
    "SenderId",
    "SentTimestamp",
    "SequenceNumber",
];

/// Receives messages.
pub(super) async fn answer(call: Call<'_>, mut input: Value) -> Result<Option<Value>, Fault> {
    let queue = call.queue(&input)?;
    check_names(&input)?;
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    let attempt = fifo_id(&mut input, "ReceiveRequestAttemptId")?;
    if let Some(attempt) = attempt.as_deref().filter(|_| !queue.is_fifo()) {
        return Err(invalid_value(attempt, "ReceiveRequestAttemptId", NOT_OF_THIS_TYPE));
    }
    let wait_s = number(&input, "WaitTimeSeconds", &WAIT_S)?.unwrap_or(queue.settings.wait_s);
    let receive = Receive {
        queue: queue.id,
        messages_max: number(&input, "MaxNumberOfMessages", &RECEIVE_MESSAGES)?.unwrap_or(1),
        visibility: number(&input, "VisibilityTimeout", &VISIBILITY_S)?.map(seconds),
        wait: seconds(wait_s),
        attempt,
    };
    // Whoever waits for messages gives the core nothing to do.
    let rest = (wait_s > 0).then(|| call.core().busy().rest());
    let received = call.core().receive_messages(receive).await;
    drop(rest);
    let received = received.map_err(|error| receive_fault(&error))?;
    // What another protocol has taken may be no text; the digests are of what is shown.
    let bodies: Vec<Cow<'_, str>> =
        received.iter().map(|received| plain_text(&received.message.content.body)).collect();
    let digests = digest::of_bodies(&bodies.iter().map(|body| body.as_bytes()).collect::<Vec<_>>());
    let shown = received.iter().zip(bodies.into_iter().zip(digests));
    let messages: Vec<Value> =
        shown.map(|(received, body)| message(call, &queue, &input, received, body)).collect();
    Ok(Some(Value::structure([("Messages", (!messages.is_empty()).then_some(Value::List(messages)))])))
}

/// Refuses names of attributes that there are none of. Those of queues are known to the model here, and mean nothing.
fn check_names(input: &Value) -> Result<(), Fault> {
    let is_known = |name: &str| SYSTEM_ATTRIBUTES.contains(&name);
    let mut older = input.texts("AttributeNames");
    let mut newer = input.texts("MessageSystemAttributeNames");
    let unknown = older.find(|name| !is_known(name) && !is_queue_attribute(name));
    match unknown.or_else(|| newer.find(|name| !is_known(name))) {
        Some(name) => Err(unknown_attribute(name)),
        None => Ok(()),
    }
}

/// A message as it is shown, with its body and the digest of that.
fn message(
    call: Call<'_>,
    queue: &Definition,
    input: &Value,
    received: &Received,
    (body, of_body): (Cow<'_, str>, String),
) -> Value {
    let content = &received.message.content;
    let chosen: Vec<&Attribute> = content
        .attributes
        .iter()
        .filter(|attribute| is_chosen(&attribute.name, input.texts("MessageAttributeNames")))
        .collect();
    let system = system_attributes(call, queue, input, received);
    let of_attributes = digest::of_attributes(chosen.iter().copied());
    Value::structure([
        ("MessageId", Value::text(uuid(received.message.id.0))),
        ("ReceiptHandle", Value::text(close_receipt(call.seal(), call.now(), received.receipt))),
        ("MD5OfBody", Value::text(of_body)),
        ("Body", Value::text(body)),
        ("Attributes", (!system.is_empty()).then_some(Value::Map(system))),
        ("MD5OfMessageAttributes", of_attributes.and_then(Value::text)),
        ("MessageAttributes", (!chosen.is_empty()).then(|| attributes::show(chosen.iter().copied()))),
    ])
}

fn system_attributes(
    call: Call<'_>,
    queue: &Definition,
    input: &Value,
    received: &Received,
) -> Vec<(String, Value)> {
    let message = &received.message;
    let content = &message.content;
    let source = || Some(queue_arn(call.identity(), message.dead_letter_source.as_deref()?));
    let value = |name: &str| match name {
        "ApproximateFirstReceiveTimestamp" => Some(received.first_received.get().to_string()),
        "ApproximateReceiveCount" => Some(received.receives.to_string()),
        TRACE_HEADER => content.trace_header.clone(),
        "DeadLetterQueueSourceArn" => source(),
        "MessageDeduplicationId" => content.deduplication.clone(),
        "MessageGroupId" => content.group.clone(),
        "SenderId" => Some(content.sender.clone()),
        "SentTimestamp" => Some(message.sent.get().to_string()),
        "SequenceNumber" => queue.is_fifo().then(|| sequence_number(received.sequence)),
        _ => None,
    };
    let is_wanted = |name: &str| {
        let mut wanted = input.texts("AttributeNames").chain(input.texts("MessageSystemAttributeNames"));
        wanted.any(|wanted| wanted == "All" || wanted == name)
    };
    let wanted = SYSTEM_ATTRIBUTES.iter().filter(|name| is_wanted(name));
    wanted.filter_map(|name| Some(((*name).to_owned(), Value::Text(value(name)?)))).collect()
}
