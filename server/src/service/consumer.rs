//! Registered consumers: readers of a stream who each have a rate of their own for every shard.
//!
//! Plain values that the catalog stores and every core knows with the stream. Leaves out the subscriptions of consumers, which are state of a shard.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;

use tidemill_wire::{StreamId, StreamName, Timestamp};

/// Consumers of a stream: as many as Kinesis allows without asking for more.
pub const CONSUMERS_MAX: usize = 20;

/// A consumer's name, which follows the rules for the names of streams.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConsumerName(String);

/// What is no name of a consumer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no name of a consumer: expected 1 to 128 of a-z, A-Z, 0-9, '_', '.' and '-'")]
pub struct ConsumerNameError {
    /// The text.
    pub text: String,
}

impl ConsumerName {
    /// Checks a name.
    ///
    /// # Errors
    /// When it is empty, too long, or has other characters.
    pub fn new(text: &str) -> Result<Self, ConsumerNameError> {
        match StreamName::new(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(ConsumerNameError { text: text.to_owned() }),
        }
    }

    /// The name as a text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConsumerName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Borrow<str> for ConsumerName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// The stream that it reads.
    pub stream: StreamId,
    /// Unique among the consumers of the stream.
    pub name: ConsumerName,
    /// When it was registered. One that is registered again later is another.
    pub created: Timestamp,
    /// What its owners say about it, by key.
    pub tags: BTreeMap<String, String>,
}

/// The consumers of one stream, by name.
pub type Consumers = BTreeMap<ConsumerName, Consumer>;
