//! Tags of streams, by the operations of streams and by those of resources, which are the same for streams.

use std::sync::Arc;

use super::super::Fault;
use super::super::value::Value;
use super::call::{Call, StreamNames};
use super::create_stream::tags;
use super::error::tag_fault;
use super::limits::LIST_TAGS_DEFAULT;
use crate::service::catalog::TagChange;
use crate::service::stream::Definition;

/// AddTagsToStream.
pub(super) async fn add(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let stream = call.stream(&input)?;
    change(call, &stream, TagChange::Set(tags(&input))).await
}

/// RemoveTagsFromStream.
pub(super) async fn remove(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let stream = call.stream(&input)?;
    change(call, &stream, TagChange::Remove(input.texts("TagKeys").map(str::to_owned).collect())).await
}

/// ListTagsForStream: in the order of their keys, a page at a time.
pub(super) async fn list(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let stream = call.stream(&input)?;
    let after = input.get_text("ExclusiveStartTagKey");
    let limit = input.get_integer("Limit").and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(LIST_TAGS_DEFAULT);
    let mut rest = stream.tags.iter().filter(|(key, _)| after.is_none_or(|after| key.as_str() > after));
    let page = rest.by_ref().take(limit).map(tag).collect();
    Ok(Some(Value::structure([
        ("Tags", Some(Value::List(page))),
        ("HasMoreTags", Some(Value::Boolean(rest.next().is_some()))),
    ])))
}

/// TagResource.
pub(super) async fn add_resource(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let stream = resource(call, &input)?;
    change(call, &stream, TagChange::Set(tags(&input))).await
}

/// UntagResource.
pub(super) async fn remove_resource(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let stream = resource(call, &input)?;
    change(call, &stream, TagChange::Remove(input.texts("TagKeys").map(str::to_owned).collect())).await
}

/// ListTagsForResource: all of them.
pub(super) async fn list_resource(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let stream = resource(call, &input)?;
    Ok(Some(Value::structure([("Tags", Some(Value::List(stream.tags.iter().map(tag).collect())))])))
}

/// The stream that a resource is; there are no resources of other kinds.
fn resource(call: Call<'_>, input: &Value) -> Result<Arc<Definition>, Fault> {
    call.find(StreamNames { name: None, arn: input.get_text("ResourceARN"), id: input.get_text("StreamId") })
}

fn tag((key, value): (&String, &String)) -> Value {
    Value::structure([("Key", Value::text(key.as_str())), ("Value", Value::text(value.as_str()))])
}

async fn change(call: Call<'_>, stream: &Definition, change: TagChange) -> Result<Option<Value>, Fault> {
    let tagged = call.core().catalog().tag(stream.name.clone(), change).await;
    tagged.map(|_| None).map_err(|error| tag_fault(&error, stream.name.as_str(), call.account()))
}
