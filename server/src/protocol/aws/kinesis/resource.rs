//! What operations on resources are about: a stream or a consumer, named by its ARN.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::Fault;
use super::super::value::Value;
use super::call::{Call, StreamNames};
use super::consumers::{self, ConsumerArn};
use crate::service::consumer::Consumer;
use crate::service::stream::Definition;

/// A resource.
pub(super) enum Resource {
    /// A stream.
    Stream(Arc<Definition>),
    /// A consumer.
    Consumer(Consumer),
}

impl Resource {
    /// The stream or consumer that an input names; a stream's id beside it has to be the one of that stream.
    pub(super) fn find(call: Call<'_>, input: &Value) -> Result<Self, Fault> {
        let (arn, id) = (input.get_text("ResourceARN"), input.get_text("StreamId"));
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
        }
    }
}
