//! Requests and answers of the native protocol as Rust types; the home of the flatbuffers crate.
//!
//! `schema/native.fbs` is the layout. Every received message is verified with explicit limits before a field of it is
//! read, and names are parsed into types here, so what comes out of this module cannot be malformed.

mod failure;
mod messages;
mod queue;
mod request;
mod response;
mod settings;
mod shape;

use flatbuffers::{FlatBufferBuilder, Follow, Verifiable, VerifierOptions};

pub use failure::{ErrorCode, Failure};
pub use messages::{
    Consume, DeleteMessages, ExtendMessages, ListDeadLetterSources, MessageCounts, MessageCredit, MessageId,
    MessageParts, MessageReceipt, Move, MoveStatus, NewMessage, PartsError, ReceiveMessages, ReceivedMessage,
    RefusedItem, SendMessages, SentMessage, SentMessages, StartMove,
};
pub use queue::{
    Allow, CreateQueue, Fifo, ListQueues, QueueChange, QueueDescription, QueueSettings, QueueSummary,
    Redrive, Scope, ThroughputLimit, UpdateQueue,
};
pub use request::{
    Append, CreateStream, Fetch, Hello, ListStreams, MergeShards, Request, RequestBody, ScaleStream,
    SplitShard, Subscribe, UpdateStream,
};
pub use response::{
    Appended, Fetched, Placement, Response, ResponseBody, RoutedAppend, ShardDescription, StreamDescription,
    StreamSummary, SubscriptionEnded, Welcome,
};
pub use settings::{Ack, KeyCompaction, Position, Quota, Settings, ShardState};

use crate::ids::{QueueNameError, RequestId, StreamNameError};
use crate::limits::{MESSAGE_BYTES_MAX, MESSAGE_DEPTH_MAX, MESSAGE_TABLES_MAX};

/// Why a message was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct DecodeError {
    /// The request it belongs to, if that much could be read; without it the connection cannot go on.
    pub id: Option<RequestId>,
    /// What is wrong.
    pub reason: DecodeReason,
}

/// What is wrong with a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeReason {
    /// The flatbuffer's offsets, lengths or nesting do not hold.
    #[error("message is not a valid flatbuffer: {0}")]
    Corrupt(String),
    /// The body's type is not known to this version.
    #[error("message type {0} is not known")]
    UnknownBody(u8),
    /// An enumeration has a value that is not known to this version.
    #[error("{field} has the unknown value {value}")]
    UnknownValue {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// A stream's name is malformed.
    #[error(transparent)]
    StreamName(#[from] StreamNameError),
    /// A queue's name is malformed.
    #[error(transparent)]
    QueueName(#[from] QueueNameError),
    /// Parts of a message contradict each other.
    #[error("{0}")]
    Inconsistent(&'static str),
}

/// Builds messages, reusing its memory from one to the next: it keeps what its largest message took, which is at
/// most twice [`MESSAGE_BYTES_MAX`].
#[derive(Default)]
pub struct Encoder {
    builder: Builder,
}

impl Encoder {
    /// An encoder with no memory yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

type Builder = FlatBufferBuilder<'static>;

/// The root of a received message, checked so that no access to it can fail.
fn verified<'m, T: Follow<'m> + Verifiable + 'm>(message: &'m [u8]) -> Result<T::Inner, DecodeError> {
    let options = VerifierOptions {
        max_depth: MESSAGE_DEPTH_MAX,
        max_tables: MESSAGE_TABLES_MAX,
        max_apparent_size: MESSAGE_BYTES_MAX as usize * 2,
        ignore_missing_null_terminator: false,
    };
    flatbuffers::root_with_opts::<T>(&options, message).map_err(|error| {
        // The verifier spreads its words over several lines, and both logs and answers have one.
        let words = error.to_string();
        let words: Vec<_> = words.split_whitespace().collect();
        DecodeError { id: None, reason: DecodeReason::Corrupt(words.join(" ")) }
    })
}

/// Cuts a text at its bound, between characters.
fn bounded(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests;
