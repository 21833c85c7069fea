//! GetQueueAttributes and SetQueueAttributes: what a queue is, as texts under names.

use serde_json::{Map, Value as Json};

use super::super::value::Value;
use super::super::{Fault, Identity};
use super::call::Call;
use super::error::{invalid_attribute, receipt_fault, unknown_attribute, unsupported};
use super::queues::update_fault;
use super::redrive::{read_allow, read_redrive, show_allow, show_redrive};
use crate::service::catalog::QueueChange;
use crate::service::queue::{Counts, Definition, Fifo, Scope, ThroughputLimit};

/// Every attribute of a queue, in the order in which they are given.
const NAMES: &[&str] = &[
    "QueueArn",
    VISIBLE,
    IN_FLIGHT,
    DELAYED,
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "VisibilityTimeout",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "DelaySeconds",
    "ReceiveMessageWaitTimeSeconds",
    "Policy",
    "RedrivePolicy",
    "RedriveAllowPolicy",
    FIFO,
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "FifoThroughputLimit",
    "SqsManagedSseEnabled",
    // Never given, for no queue has them.
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
];
const VISIBLE: &str = "ApproximateNumberOfMessages";
const IN_FLIGHT: &str = "ApproximateNumberOfMessagesNotVisible";
const DELAYED: &str = "ApproximateNumberOfMessagesDelayed";
const FIFO: &str = "FifoQueue";
const ALL: &str = "All";

/// Whether there is such an attribute.
pub(super) fn is_queue_attribute(name: &str) -> bool {
    name == ALL || NAMES.contains(&name)
}

/// Gives those that were asked for.
pub(super) async fn get(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let queue = call.queue(&input)?;
    if let Some(name) = input.texts("AttributeNames").find(|name| !is_queue_attribute(name)) {
        return Err(unknown_attribute(name));
    }
    let is_wanted = |name: &str| input.texts("AttributeNames").any(|wanted| wanted == ALL || wanted == name);
    let counts = if [VISIBLE, IN_FLIGHT, DELAYED].into_iter().any(is_wanted) {
        let counted = call.core().count_messages(queue.id).await;
        counted.map_err(|error| receipt_fault(&error, ""))?
    } else {
        Counts::default()
    };
    let wanted = NAMES.iter().filter(|name| is_wanted(name));
    let pairs: Vec<(String, Value)> = wanted
        .filter_map(|name| {
            let value = show(call.identity(), &queue, &counts, name)?;
            Some(((*name).to_owned(), Value::Text(value)))
        })
        .collect();
    Ok(Some(Value::structure([("Attributes", (!pairs.is_empty()).then_some(Value::Map(pairs)))])))
}

/// Changes those that are given.
pub(super) async fn set(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let queue = call.queue(&input)?;
    let mut change = QueueChange::default();
    for (name, value) in input.text_pairs("Attributes") {
        if name == FIFO && queue.is_fifo() {
            // Said again, it changes nothing.
            if value == "true" {
                continue;
            }
            return Err(invalid_attribute(name, Some("Modifying queue type is not supported.")));
        }
        read(call.identity(), queue.is_fifo(), name, value, &mut change)?;
    }
    update(call, &queue, change).await
}

/// Changes a queue.
pub(super) async fn update(
    call: Call<'_>,
    queue: &Definition,
    change: QueueChange,
) -> Result<Option<Value>, Fault> {
    let updated = call.core().catalog().update_queue(queue.id, change).await;
    updated.map(|_| None).map_err(|error| update_fault(&error))
}

/// Reads the attributes of a queue that is to be created.
pub(super) fn read_new(identity: &Identity, is_fifo: bool, input: &Value) -> Result<QueueChange, Fault> {
    let mut change = QueueChange::default();
    for (name, value) in input.text_pairs("Attributes") {
        if name != FIFO || !is_fifo {
            read(identity, is_fifo, name, value, &mut change)?;
        }
    }
    Ok(change)
}

/// Whether a queue that is to be created is said to be a FIFO queue.
pub(super) fn is_fifo_wanted(input: &Value) -> Result<bool, Fault> {
    let mut said = input.text_pairs("Attributes").filter(|(name, _)| *name == FIFO);
    said.next().map_or(Ok(false), |(name, value)| truth(name, value))
}

fn read(
    identity: &Identity,
    is_fifo: bool,
    name: &str,
    value: &str,
    change: &mut QueueChange,
) -> Result<(), Fault> {
    match name {
        "DelaySeconds" => change.delay_s = Some(number(name, value)?),
        "MaximumMessageSize" => change.message_bytes_max = Some(number(name, value)?),
        "MessageRetentionPeriod" => change.retention_s = Some(number(name, value)?),
        "ReceiveMessageWaitTimeSeconds" => change.wait_s = Some(number(name, value)?),
        "VisibilityTimeout" => change.visibility_s = Some(number(name, value)?),
        "RedrivePolicy" => change.redrive = Some(read_redrive(identity, value)?),
        "RedriveAllowPolicy" => change.redrive_allow = Some(read_allow(identity, value)?),
        "Policy" => change.policy = Some(read_policy(name, value)?),
        "ContentBasedDeduplication" if is_fifo => change.content_deduplication = Some(truth(name, value)?),
        "DeduplicationScope" if is_fifo => {
            change.scope = Some(match value {
                "queue" => Scope::Queue,
                "messageGroup" => Scope::Group,
                _ => return Err(invalid_attribute(name, None)),
            });
        }
        "FifoThroughputLimit" if is_fifo => {
            change.limit = Some(match value {
                "perQueue" => ThroughputLimit::Queue,
                "perMessageGroupId" => ThroughputLimit::Group,
                _ => return Err(invalid_attribute(name, None)),
            });
        }
        "SqsManagedSseEnabled" if truth(name, value)? => return Err(unencrypted(name)),
        "KmsMasterKeyId" | "KmsDataKeyReusePeriodSeconds" if !value.is_empty() => {
            return Err(unencrypted(name));
        }
        "SqsManagedSseEnabled" | "KmsMasterKeyId" | "KmsDataKeyReusePeriodSeconds" => {}
        _ => return Err(unknown_attribute(name)),
    }
    Ok(())
}

fn unencrypted(name: &str) -> Fault {
    unsupported(format!(
        "{name} is not supported by this server: messages are not encrypted where they are kept."
    ))
}

fn number(name: &str, value: &str) -> Result<u32, Fault> {
    let is_number = !value.is_empty() && value.bytes().all(|digit| digit.is_ascii_digit());
    let number = is_number.then(|| value.parse().ok()).flatten();
    number.ok_or_else(|| invalid_attribute(name, None))
}

fn truth(name: &str, value: &str) -> Result<bool, Fault> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(invalid_attribute(name, None)),
    }
}

fn read_policy(name: &str, value: &str) -> Result<Option<String>, Fault> {
    if value.is_empty() {
        return Ok(None);
    }
    let read = serde_json::from_str::<Map<String, Json>>(value);
    read.map(|_| Some(value.to_owned())).map_err(|_| invalid_attribute(name, None))
}

fn show(identity: &Identity, queue: &Definition, counts: &Counts, name: &str) -> Option<String> {
    let settings = &queue.settings;
    let of_fifo = |show: &dyn Fn(Fifo) -> &'static str| settings.fifo.map(|fifo| show(fifo).to_owned());
    match name {
        "QueueArn" => Some(super::names::queue_arn(identity, queue.name.as_str())),
        VISIBLE => Some(counts.visible.to_string()),
        IN_FLIGHT => Some(counts.in_flight.to_string()),
        DELAYED => Some(counts.delayed.to_string()),
        "CreatedTimestamp" => Some((queue.created.get() / 1_000).to_string()),
        "LastModifiedTimestamp" => Some((queue.modified.get() / 1_000).to_string()),
        "VisibilityTimeout" => Some(settings.visibility_s.to_string()),
        "MaximumMessageSize" => Some(settings.message_bytes_max.to_string()),
        "MessageRetentionPeriod" => Some(settings.retention_s.to_string()),
        "DelaySeconds" => Some(settings.delay_s.to_string()),
        "ReceiveMessageWaitTimeSeconds" => Some(settings.wait_s.to_string()),
        "Policy" => settings.policy.clone(),
        "RedrivePolicy" => settings.redrive.as_ref().map(|redrive| show_redrive(identity, redrive)),
        "RedriveAllowPolicy" => show_allow(identity, &settings.redrive_allow),
        FIFO => of_fifo(&|_| "true"),
        "ContentBasedDeduplication" => {
            of_fifo(&|fifo| if fifo.content_deduplication { "true" } else { "false" })
        }
        "DeduplicationScope" => of_fifo(&|fifo| match fifo.scope {
            Scope::Queue => "queue",
            Scope::Group => "messageGroup",
        }),
        "FifoThroughputLimit" => of_fifo(&|fifo| match fifo.limit {
            ThroughputLimit::Queue => "perQueue",
            ThroughputLimit::Group => "perMessageGroupId",
        }),
        "SqsManagedSseEnabled" => Some("false".to_owned()),
        _ => None,
    }
}
