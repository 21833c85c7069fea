//! Tags of streams, consumers and queues: by the operations of streams, and by those of resources, which know all.

use super::super::Fault;
use super::super::value::Value;
use super::call::{Call, key};
use super::consumers::consumer_tag_fault;
use super::create_stream::tags;
use super::error::tag_fault;
use super::limits::LIST_TAGS_DEFAULT;
use super::queues::queue_tag_fault;
use super::resource::Resource;
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
    let resource = Resource::find(call, &input)?;
    change_resource(call, resource, TagChange::Set(tags(&input))).await
}

/// UntagResource.
pub(super) async fn remove_resource(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let resource = Resource::find(call, &input)?;
    let keys = input.texts("TagKeys").map(str::to_owned).collect();
    change_resource(call, resource, TagChange::Remove(keys)).await
}

/// ListTagsForResource: all of them.
pub(super) async fn list_resource(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let resource = Resource::find(call, &input)?;
    Ok(Some(Value::structure([("Tags", Some(Value::List(resource.tags().iter().map(tag).collect())))])))
}

fn tag((key, value): (&String, &String)) -> Value {
    Value::structure([("Key", Value::text(key.as_str())), ("Value", Value::text(value.as_str()))])
}

async fn change_resource(call: Call<'_>, resource: Resource, to: TagChange) -> Result<Option<Value>, Fault> {
    match resource {
        Resource::Stream(stream) => change(call, &stream, to).await,
        Resource::Consumer(consumer) => {
            let tagged = call.core().catalog().tag_consumer(consumer, to).await;
            tagged.map(|()| None).map_err(|error| consumer_tag_fault(call, &error))
        }
        Resource::Queue(queue) => {
            let tagged = call.core().catalog().tag_stream_queue(queue.id, to).await;
            tagged.map(|()| None).map_err(|error| queue_tag_fault(call, &error, queue.id))
        }
    }
}

async fn change(call: Call<'_>, stream: &Definition, change: TagChange) -> Result<Option<Value>, Fault> {
    let tagged = call.core().catalog().tag(key(stream), change).await;
    tagged.map(|_| None).map_err(|error| tag_fault(&error, stream.name.as_str(), call.account()))
}
