//! Requests and answers of the native protocol as Rust types; the home of the flatbuffers crate.
//!
//! `schema/native.fbs` is the layout. Every received message is verified with explicit limits before a field of it is
//! read, and names are parsed into types here, so what comes out of this module cannot be malformed.

mod failure;
mod request;
mod response;
mod settings;

use flatbuffers::{FlatBufferBuilder, InvalidFlatbuffer, VerifierOptions};

pub use failure::{ErrorCode, Failure};
pub use request::{
    Append, CreateStream, Fetch, Hello, ListStreams, Request, RequestBody, Subscribe, UpdateStream,
};
pub use response::{
    Appended, Fetched, Placement, Response, ResponseBody, RoutedAppend, ShardDescription, StreamDescription,
    StreamSummary, SubscriptionEnded, Welcome,
};
pub use settings::{Ack, Position, Quota, Settings, ShardState};

use crate::ids::{RequestId, StreamNameError};
use crate::limits::{MESSAGE_BYTES_MAX, MESSAGE_DEPTH_MAX, MESSAGE_TABLES_MAX};

/// Why a message was not understood.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct DecodeError {
    /// The request it belongs to, if that much could be read; without it the connection cannot go on.
    pub id: Option<RequestId>,
    /// What is wrong.
    pub reason: DecodeReason,
}

/// What is wrong with a message.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DecodeReason {
    /// The flatbuffer's offsets, lengths or nesting do not hold.
    #[error("message is not a valid flatbuffer: {0}")]
    Corrupt(InvalidFlatbuffer),
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
    /// Parts of an answer contradict each other.
    #[error("{0}")]
    Inconsistent(&'static str),
}

/// Builds messages, reusing its memory from one to the next.
#[derive(Default)]
pub struct Encoder {
    builder: FlatBufferBuilder<'static>,
}

impl Encoder {
    /// An encoder with no memory yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

fn verifier_options() -> VerifierOptions {
    VerifierOptions {
        max_depth: MESSAGE_DEPTH_MAX,
        max_tables: MESSAGE_TABLES_MAX,
        max_apparent_size: MESSAGE_BYTES_MAX as usize * 2,
        ignore_missing_null_terminator: false,
    }
}

#[cfg(test)]
mod tests;
