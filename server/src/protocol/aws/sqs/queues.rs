//! CreateQueue, DeleteQueue, GetQueueUrl, ListQueues and ListDeadLetterSourceQueues.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::super::Fault;
use super::super::value::Value;
use super::call::Call;
use super::error::{invalid, invalid_attribute, invalid_value, no_queue, unknown_attribute};
use super::input::number;
use super::limits::{LIST_QUEUES, LIST_QUEUES_DEFAULT, TAGS_MAX, TOKEN_AGE_MS_MAX};
use super::queue_attributes::{is_fifo_wanted, read_new};
use super::token::{List, close_page, open_page};
use crate::service::catalog::{
    CreateQueueError, DeleteQueueError, NewQueue, QueueAttribute, QueueSettingsError, UpdateQueueError,
};
use crate::service::queue::{Definition, QueueName};
use crate::shard::{CatalogError, QueueCreateError, QueueDeleteError, QueueUpdateError};

/// Creates a queue. One that is there, and is what was asked for as far as anything was said, is the answer, too.
pub(super) async fn create(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let text = input.get_text("QueueName").unwrap_or_default();
    let is_fifo = is_fifo_wanted(&input)?;
    let name = QueueName::new(text).ok().filter(|name| name.is_fifo() == is_fifo);
    let name = name.ok_or_else(|| {
        invalid(if is_fifo {
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 \
             in length"
        } else {
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        })
    })?;
    let settings = read_new(call.identity(), is_fifo, &input)?;
    let tags = input.text_pairs("tags").map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let created = call.core().catalog().create_queue(NewQueue { name, settings, tags }).await;
    let queue = created.map_err(|error| create_fault(&error))?;
    Ok(Some(Value::structure([("QueueUrl", Value::text(call.url(&queue.name)))])))
}

/// Deletes a queue with what is in it.
pub(super) async fn delete(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let queue = call.queue(&input)?;
    let deleted = call.core().catalog().delete_queue(queue.id).await;
    deleted.map(|()| None).map_err(|error| delete_fault(&error))
}

/// Tells the URL of a queue of this account.
pub(super) async fn url(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let owner = input.get_text("QueueOwnerAWSAccountId");
    let is_ours = owner.is_none_or(|owner| owner == call.identity().account);
    let queue = input.get_text("QueueName").filter(|_| is_ours).and_then(|name| call.named(name));
    let queue = queue.ok_or_else(no_queue)?;
    Ok(Some(Value::structure([("QueueUrl", Value::text(call.url(&queue.name)))])))
}

/// Lists queues in the order of their names. There are pages only for those who ask for them.
pub(super) async fn list(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let (page, after) = (Page::read(&input)?, after(call, List::Queues, &input)?);
    let prefix = input.get_text("QueueNamePrefix").unwrap_or_default();
    let (queues, more) = call.core().list_queues(prefix, after.as_ref(), page.limit);
    let urls: Vec<Value> = queues.iter().map(|queue| Value::Text(call.url(&queue.name))).collect();
    let next = page.next(call, List::Queues, queues.last().filter(|_| more));
    Ok(Some(Value::structure([
        ("QueueUrls", (!urls.is_empty()).then_some(Value::List(urls))),
        ("NextToken", next),
    ])))
}

/// Lists the queues that send their dead letters to one.
pub(super) async fn list_sources(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let target = call.queue(&input)?;
    let (page, after) = (Page::read(&input)?, after(call, List::Sources, &input)?);
    let (queues, more) = call.core().dead_letter_sources(&target.name, after, page.limit).await;
    let urls = queues.iter().map(|queue| Value::Text(call.url(&queue.name))).collect();
    let next = page.next(call, List::Sources, queues.last().filter(|_| more));
    Ok(Some(Value::structure([("queueUrls", Some(Value::List(urls))), ("NextToken", next)])))
}

/// How many queues are asked for.
struct Page {
    limit: usize,
    is_paged: bool,
}

impl Page {
    fn read(input: &Value) -> Result<Self, Fault> {
        const RANGE: RangeInclusive<i64> = LIST_QUEUES;
        let limit = number(input, "MaxResults", &RANGE)?.and_then(|limit| usize::try_from(limit).ok());
        Ok(Self { limit: limit.unwrap_or(LIST_QUEUES_DEFAULT), is_paged: limit.is_some() })
    }

    /// The token of the next page, after the last queue of this one.
    fn next(&self, call: Call<'_>, list: List, last: Option<&Arc<Definition>>) -> Option<Value> {
        let last = last.filter(|_| self.is_paged)?;
        Value::text(close_page(call.seal(), call.now(), list, &last.name))
    }
}

fn after(call: Call<'_>, list: List, input: &Value) -> Result<Option<QueueName>, Fault> {
    let Some(token) = input.get_text("NextToken") else { return Ok(None) };
    let opened = open_page(call.seal(), list, token);
    let is_fresh = |made: u64| call.now().get().saturating_sub(made) <= TOKEN_AGE_MS_MAX;
    let opened = opened.filter(|(_, made)| is_fresh(made.get()));
    let after = opened.ok_or_else(|| invalid_value(token, "NextToken", "It is invalid or has expired."))?;
    Ok(Some(after.0))
}

fn create_fault(error: &QueueCreateError) -> Fault {
    catalog_fault(error, |error| match error {
        CreateQueueError::Exists { differs, .. } => {
            let message = format!(
                "A queue already exists with the same name and a different value for attribute {}",
                attribute_name(*differs)
            );
            Some(Fault::of_caller("QueueNameExists", message))
        }
        CreateQueueError::DeletedRecently { seconds, .. } => {
            let message = format!(
                "You must wait {seconds} seconds after deleting a queue before you can create another with the same name."
            );
            Some(Fault::of_caller("QueueDeletedRecently", message))
        }
        CreateQueueError::TooManyQueues { .. } => Some(Fault::of_caller("OverLimit", error.to_string())),
        CreateQueueError::Settings(error) => Some(settings_fault(error)),
        CreateQueueError::Tags(error) => Some(tags_fault(&error.to_string())),
        CreateQueueError::Store(_) => None,
    })
}

/// Settings that were not changed.
pub(super) fn update_fault(error: &QueueUpdateError) -> Fault {
    catalog_fault(error, |error| match error {
        UpdateQueueError::Unknown { .. } => Some(no_queue()),
        UpdateQueueError::Settings(error) => Some(settings_fault(error)),
        UpdateQueueError::Store(_) => None,
    })
}

fn delete_fault(error: &QueueDeleteError) -> Fault {
    catalog_fault(error, |error| match error {
        DeleteQueueError::Unknown { .. } => Some(no_queue()),
        DeleteQueueError::Store(_) => None,
    })
}

/// Tags that a queue cannot have.
pub(super) fn tags_fault(error: &str) -> Fault {
    invalid(format!("The tags cannot be kept, a queue has at most {TAGS_MAX}: {error}."))
}

/// What the catalog refuses is named by `refused`; what it could not do is the server's fault.
pub(super) fn catalog_fault<E: std::error::Error>(
    error: &CatalogError<E>,
    refused: impl Fn(&E) -> Option<Fault>,
) -> Fault {
    let known = match error {
        CatalogError::Refused(reason) => refused(reason),
        CatalogError::Broken(_) => None,
        CatalogError::Closing => Some(Fault::unavailable("the server is going down")),
    };
    known.unwrap_or_else(|| {
        tracing::error!(%error, "the catalog failed");
        Fault::internal()
    })
}

fn settings_fault(error: &QueueSettingsError) -> Fault {
    let redrive =
        |reason: &str| invalid(format!("The value for parameter RedrivePolicy is invalid. Reason: {reason}"));
    match error {
        QueueSettingsError::OutOfRange { attribute, .. } => {
            invalid_attribute(attribute_name(*attribute), None)
        }
        QueueSettingsError::NotFifo { attribute, .. } => unknown_attribute(attribute_name(*attribute)),
        QueueSettingsError::ScopeOfPartitions { .. } => {
            invalid_attribute("DeduplicationScope", Some(&error.to_string()))
        }
        QueueSettingsError::LimitBeyondScope => {
            let reason = "perMessageGroupId needs the DeduplicationScope messageGroup.";
            invalid_attribute("FifoThroughputLimit", Some(reason))
        }
        QueueSettingsError::TooManyAllowed { .. } => {
            invalid_attribute("RedriveAllowPolicy", Some(&error.to_string()))
        }
        QueueSettingsError::PolicyTooLong { .. } => invalid_attribute("Policy", Some(&error.to_string())),
        QueueSettingsError::NoTarget { .. } => redrive("Dead letter target does not exist."),
        QueueSettingsError::OwnTarget { .. } => redrive("A queue cannot be its own dead-letter queue."),
        QueueSettingsError::OtherKind { .. } => {
            redrive("Dead-letter queue must be same type of queue as the source.")
        }
        QueueSettingsError::NotAllowed { .. } => {
            redrive("The RedriveAllowPolicy of the dead-letter queue does not allow this queue.")
        }
    }
}

fn attribute_name(attribute: QueueAttribute) -> &'static str {
    match attribute {
        QueueAttribute::Delay => "DelaySeconds",
        QueueAttribute::MessageBytesMax => "MaximumMessageSize",
        QueueAttribute::Retention => "MessageRetentionPeriod",
        QueueAttribute::Wait => "ReceiveMessageWaitTimeSeconds",
        QueueAttribute::Visibility => "VisibilityTimeout",
        QueueAttribute::Redrive => "RedrivePolicy",
        QueueAttribute::RedriveAllow => "RedriveAllowPolicy",
        QueueAttribute::ContentDeduplication => "ContentBasedDeduplication",
        QueueAttribute::Scope => "DeduplicationScope",
        QueueAttribute::Limit => "FifoThroughputLimit",
        QueueAttribute::Policy => "Policy",
        QueueAttribute::Tags => "Tags",
    }
}
