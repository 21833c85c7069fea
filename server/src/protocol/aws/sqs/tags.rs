//! TagQueue, UntagQueue and ListQueueTags.

use super::super::Fault;
use super::super::value::Value;
use super::call::Call;
use super::error::no_queue;
use super::queues::{catalog_fault, tags_fault};
use crate::service::catalog::{TagChange, TagQueueError};
use crate::service::queue::Definition;

/// Sets tags, in place of those that have these keys.
pub(super) async fn add(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let queue = call.queue(&input)?;
    let tags = input.text_pairs("Tags").map(|(key, value)| (key.to_owned(), value.to_owned()));
    change(call, &queue, TagChange::Set(tags.collect())).await
}

/// Takes away those that have these keys.
pub(super) async fn remove(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let queue = call.queue(&input)?;
    change(call, &queue, TagChange::Remove(input.texts("TagKeys").map(str::to_owned).collect())).await
}

/// Gives all of them.
pub(super) async fn list(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let queue = call.queue(&input)?;
    let tags: Vec<(String, Value)> =
        queue.tags.iter().map(|(key, value)| (key.clone(), Value::Text(value.clone()))).collect();
    Ok(Some(Value::structure([("Tags", (!tags.is_empty()).then_some(Value::Map(tags)))])))
}

async fn change(call: Call<'_>, queue: &Definition, change: TagChange) -> Result<Option<Value>, Fault> {
    let tagged = call.core().catalog().tag_queue(queue.id, change).await;
    tagged.map(|_| None).map_err(|error| {
        catalog_fault(&error, |error| match error {
            TagQueueError::Unknown { .. } => Some(no_queue()),
            TagQueueError::Tags(error) => Some(tags_fault(&error.to_string())),
            TagQueueError::Store(_) => None,
        })
    })
}
