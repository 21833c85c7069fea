//! What operations on resources are about: a stream, a consumer or a queue, named by its ARN.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::Fault;
use super::super::value::Value;
use super::call::{Call, StreamNames};
use super::consumers::{self, ConsumerArn};
use super::queues;
use crate::service::consumer::Consumer;
use crate::service::stream::Definition;
use crate::service::stream_queue::StreamQueue;

/// A resource.
pub(super) enum Resource {
    /// A stream.
    Stream(Arc<Definition>),
    /// A consumer.
    Consumer(Consumer),
    /// A queue.
    Queue(Arc<StreamQueue>),
}

impl Resource {
    /// What an input names; a stream's id beside it has to be the one of that stream.
    pub(super) fn find(call: Call<'_>, input: &Value) -> Result<Self, Fault> {
        let (arn, id) = (input.get_text("ResourceARN"), input.get_text("StreamId"));
        if let Some(arn) = arn.filter(|arn| queues::is_queue_arn(call.identity(), arn)) {
            let queue = queues::of_arn(call, arn).ok_or_else(|| queues::no_queue(call, arn))?;
            return Ok(Self::Queue(queue));
        }
        let Some(arn) = arn.filter(|arn| ConsumerArn::parse(call.identity(), arn).is_some()) else {
            return call.find(StreamNames { name: None, arn, id }).map(Self::Stream);
        };
        let (stream, consumer) = consumers::find(call, arn)?;
        call.find(StreamNames { name: Some(stream.name.as_str()), arn: None, id })?;
        Ok(Self::Consumer(consumer))
    }

    /// Its tags.
    pub(super) fn tags(&self) -> &BTreeMap<String, String> {
        match self {
            Self::Stream(stream) => &stream.tags,
            Self::Consumer(consumer) => &consumer.tags,
            Self::Queue(queue) => &queue.tags,
        }
    }
}
