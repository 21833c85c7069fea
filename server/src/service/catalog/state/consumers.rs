//! Consumers in the catalog: what may be registered, and what is known of each stream.
//!
//! Invariant: whoever has a consumer is there; consumers go with their stream (`tests::consumers_go_with_their_stream`).

use std::collections::BTreeMap;

use tidemill_wire::{StreamId, Timestamp};

use super::super::error::{
    DeregisterConsumerError, Inconsistency, RegisterConsumerError, TagConsumerError, TagsError,
};
use super::super::rules::check_tags;
use super::{State, TagChange};
use crate::service::consumer::{CONSUMERS_MAX, Consumer, ConsumerName, Consumers};

/// A consumer that is to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConsumer {
    /// Of this stream.
    pub stream: StreamId,
    /// Its name.
    pub name: ConsumerName,
    /// What its owners say about it, by key.
    pub tags: BTreeMap<String, String>,
}

impl State {
    /// A catalog with the consumers that were stored. Those of a stream that is gone are left out: a server that knows no consumers has deleted it.
    pub(in super::super) fn with_consumers(
        mut self,
        consumers: impl IntoIterator<Item = Consumer>,
    ) -> Result<Self, Inconsistency> {
        for consumer in consumers {
            if consumer.stream.get() >= self.counters.next_stream {
                return Err(Inconsistency(format!(
                    "consumer {}: the id {} of its stream has not been given out",
                    consumer.name, consumer.stream
                )));
            }
            if self.names.contains_key(&consumer.stream) {
                self.keep(consumer);
            }
        }
        Ok(self)
    }

    /// The consumers of a stream.
    pub fn consumers(&self, stream: StreamId) -> Option<&Consumers> {
        self.consumers.get(&stream)
    }

    /// A new consumer as it would be.
    pub(in super::super) fn plan_register(
        &self,
        new: NewConsumer,
        now: Timestamp,
    ) -> Result<Consumer, RegisterConsumerError> {
        let NewConsumer { stream, name, tags } = new;
        if !self.names.contains_key(&stream) {
            return Err(RegisterConsumerError::UnknownStream { stream });
        }
        let present = self.consumers.get(&stream);
        if present.is_some_and(|present| present.contains_key(&name)) {
            return Err(RegisterConsumerError::Exists { name });
        }
        if self.readers(stream) >= CONSUMERS_MAX {
            return Err(RegisterConsumerError::TooMany { limit: CONSUMERS_MAX });
        }
        check_tags(&tags)?;
        Ok(Consumer { stream, name, created: now, tags })
    }

    /// A consumer as it would be with other tags.
    pub(in super::super) fn plan_consumer_tags(
        &self,
        stream: StreamId,
        name: &ConsumerName,
        change: TagChange,
    ) -> Result<Consumer, TagConsumerError> {
        let mut consumer = self
            .consumer(stream, name)
            .cloned()
            .ok_or_else(|| TagConsumerError::Unknown { name: name.clone() })?;
        change.apply(&mut consumer.tags)?;
        Ok(consumer)
    }

    /// The consumer that would be removed.
    pub(in super::super) fn plan_deregister(
        &self,
        stream: StreamId,
        name: &ConsumerName,
    ) -> Result<Consumer, DeregisterConsumerError> {
        let present = self.consumer(stream, name).cloned();
        present.ok_or_else(|| DeregisterConsumerError::Unknown { name: name.clone() })
    }

    pub(super) fn keep(&mut self, consumer: Consumer) {
        self.consumers.entry(consumer.stream).or_default().insert(consumer.name.clone(), consumer);
    }

    pub(super) fn let_go(&mut self, consumer: &Consumer) {
        if let Some(present) = self.consumers.get_mut(&consumer.stream) {
            present.remove(&consumer.name);
            if present.is_empty() {
                self.consumers.remove(&consumer.stream);
            }
        }
    }

    pub(super) fn consumer(&self, stream: StreamId, name: &ConsumerName) -> Option<&Consumer> {
        self.consumers.get(&stream)?.get(name)
    }
}

impl TagChange {
    /// Changes tags, which have to be such as can be kept.
    pub(super) fn apply(self, tags: &mut BTreeMap<String, String>) -> Result<(), TagsError> {
        match self {
            Self::Set(new) => tags.extend(new),
            Self::Remove(keys) => tags.retain(|key, _| !keys.contains(key)),
        }
        check_tags(tags)
    }
}
