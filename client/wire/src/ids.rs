//! Identifiers, counts and times as types that cannot be mixed up.

use std::borrow::Borrow;
use std::fmt;

use crate::limits::{QUEUE_NAME_BYTES_MAX, STREAM_NAME_BYTES_MAX};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl $name {
            /// The plain number.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }
    };
}

number! {
    /// A stream, unique within a node and never reused.
    StreamId, u64
}
number! {
    /// A shard of a stream, counted from 0 and never reused within the stream.
    ShardIndex, u32
}
number! {
    /// A queue, unique within a node and never reused; from the same numbers as streams.
    QueueId, u64
}
number! {
    /// Whoever owns entries in a lane's log: a shard or a queue partition. Never reused.
    OwnerId, u64
}
number! {
    /// A lane: one log and its one owner.
    LaneId, u32
}
number! {
    /// A record's place in its shard: dense, from 0, never reused.
    SequenceNumber, u64
}
number! {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Timestamp, u64
}
number! {
    /// Chosen by the client, returned with every answer to the request.
    RequestId, u64
}

impl SequenceNumber {
    /// The number `count` records later, or `None` past the end of the number space.
    #[must_use]
    pub fn checked_add(self, count: u64) -> Option<Self> {
        self.0.checked_add(count).map(Self)
    }

    /// How many records lie between `earlier` and this number, 0 when it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A stream's name: 1–128 characters of `[a-zA-Z0-9_.-]`, as in
/// [CreateStream](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_CreateStream.html).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName(String);

/// Why a text is not a stream name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamNameError {
    /// The text has no characters, or too many of them.
    #[error("stream name has {length} characters, must have 1 to {STREAM_NAME_BYTES_MAX}")]
    Length {
        /// Bytes in the text.
        length: usize,
    },
    /// The text has a character outside the allowed set.
    #[error(
        "stream name has {character:?} at byte {position}, allowed are letters, digits, '_', '.' and '-'"
    )]
    Character {
        /// The first character that is not allowed.
        character: char,
        /// Its byte offset.
        position: usize,
    },
}

impl StreamName {
    /// Checks a text.
    pub fn new(text: &str) -> Result<Self, StreamNameError> {
        let foreign = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
        if let Some((position, character)) = text.char_indices().find(|(_, c)| foreign(*c)) {
            return Err(StreamNameError::Character { character, position });
        }
        if text.is_empty() || text.len() > STREAM_NAME_BYTES_MAX {
            return Err(StreamNameError::Length { length: text.len() });
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for StreamName {
    type Err = StreamNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

/// What the name of a FIFO queue ends with, and no other name.
const FIFO_SUFFIX: &str = ".fifo";

/// A queue's name: 1–80 characters of `[a-zA-Z0-9_-]`; `.fifo` follows, and counts, where it is a FIFO queue. As in
/// [CreateQueue](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueName(String);

/// What is no name of a queue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no name of a queue: expected 1 to {QUEUE_NAME_BYTES_MAX} of a-z, A-Z, 0-9, '_' and '-', with .fifo behind them for a FIFO queue"
)]
pub struct QueueNameError {
    /// The text.
    pub text: String,
}

impl QueueName {
    /// Checks a text.
    pub fn new(text: &str) -> Result<Self, QueueNameError> {
        let stem = text.strip_suffix(FIFO_SUFFIX).unwrap_or(text);
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if stem.is_empty() || text.len() > QUEUE_NAME_BYTES_MAX || !stem.bytes().all(fits) {
            return Err(QueueNameError { text: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the name of a FIFO queue.
    #[must_use]
    pub fn is_fifo(&self) -> bool {
        self.0.ends_with(FIFO_SUFFIX)
    }
}

/// By its text, in the same order.
impl Borrow<str> for QueueName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for QueueName {
    type Err = QueueNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests;
