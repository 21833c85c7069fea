//! What can go wrong, one enum for requests and one for the fate of a sent record.
//!
//! All errors are cheap to clone: one lost connection answers many callers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tidemill_wire::batch::{BuildError, CompressionError};
use tidemill_wire::entry::EntryError;
use tidemill_wire::frame::FrameError;
use tidemill_wire::message::{DecodeError, ErrorCode, Failure, PartsError};
use tidemill_wire::numbered::NumberedError;
use tidemill_wire::routing::RoutingError;
use tidemill_wire::{SequenceNumber, ShardIndex};

/// Why a request, or a consumer, failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection could be opened. Nothing was sent.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Where to.
        address: Arc<str>,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// The connection ended before the answer came.
    #[error("connection to {address} ended: {reason}")]
    Disconnected {
        /// Where to.
        address: Arc<str>,
        /// Why it ended.
        reason: Arc<str>,
        /// Whether the request may have reached the server; if not, it was surely not carried out.
        sent: bool,
    },
    /// The answer did not come in time. The server may still carry the request out.
    #[error("no answer from {address} within {} ms", after.as_millis())]
    Timeout {
        /// Who was asked.
        address: Arc<str>,
        /// How long was waited.
        after: Duration,
    },
    /// The server refused.
    #[error(transparent)]
    Refused(#[from] Failure),
    /// The server sent what the protocol does not allow; the connection was closed.
    #[error("{address} broke the protocol: {source}")]
    Protocol {
        /// Who.
        address: Arc<str>,
        /// How.
        source: Arc<ProtocolError>,
    },
    /// The address now leads to another node than at first, where stream ids mean other streams.
    #[error("{address} is node {found:016x}, expected node {expected:016x}")]
    OtherNode {
        /// Where to.
        address: Arc<str>,
        /// The node that was connected first.
        expected: u64,
        /// The node that answers now.
        found: u64,
    },
    /// Fetched bytes are not what a producer wrote.
    #[error("shard {shard}, at or after record {sequence}: {source}")]
    Batch {
        /// The shard.
        shard: ShardIndex,
        /// The record that was expected there.
        sequence: SequenceNumber,
        /// What is wrong with it.
        source: Arc<DamageError>,
    },
}

/// How the server broke the protocol.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProtocolError {
    /// A frame's lengths cannot be.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A message cannot be read.
    #[error(transparent)]
    Message(#[from] DecodeError),
    /// The answer is not one to this request.
    #[error("{request} was answered with {answer}")]
    Answer {
        /// What was asked.
        request: &'static str,
        /// What came.
        answer: &'static str,
    },
    /// An answer to a request that is not open.
    #[error("answer to request {id}, which is not open")]
    UnknownRequest {
        /// Its id.
        id: u64,
    },
    /// Far more was pushed than there was credit for.
    #[error("subscription {id} is flooded with pushes")]
    Flood {
        /// The subscription.
        id: u64,
    },
    /// The parts of pushed or received messages do not add up to what came.
    #[error(transparent)]
    Parts(#[from] PartsError),
    /// A version was chosen that was not offered.
    #[error("version {found} was chosen, offered were {min} to {max}")]
    Version {
        /// The oldest offered.
        min: u16,
        /// The newest offered.
        max: u16,
        /// The one chosen.
        found: u16,
    },
    /// The ranges of the open shards do not divide the key space.
    #[error(transparent)]
    Routing(#[from] RoutingError),
}

/// Why fetched bytes are not what a producer wrote.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DamageError {
    /// An entry is damaged.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// A batch is damaged, or does not hold the records that its entry numbers.
    #[error(transparent)]
    Batch(#[from] NumberedError),
    /// Compressed data is damaged.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// The payload is encrypted, which this version does not read.
    #[error("entry is encrypted with key {key_id}")]
    Encrypted {
        /// The key's id.
        key_id: u16,
    },
}

/// Why a record was not stored, or may not have been.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SendError {
    /// The record itself is over a bound. Nothing was sent.
    #[error(transparent)]
    Record(#[from] BuildError),
    /// The record does not fit the server's frames. Nothing was sent.
    #[error("record needs a frame of {bytes} bytes, the server takes {limit} bytes")]
    FrameTooLarge {
        /// Bytes of its frame.
        bytes: usize,
        /// The server's bound.
        limit: usize,
    },
    /// The producer is closed. Nothing was sent.
    #[error("producer is closed")]
    Closed,
    /// The stream has no such open shard. Nothing was sent.
    #[error("stream has no open shard {shard}")]
    UnknownShard {
        /// The shard asked for.
        shard: ShardIndex,
    },
    /// The server refused the record: it is not stored.
    #[error(transparent)]
    Refused(Failure),
    /// The server could not be reached: the record is not stored.
    #[error("record was not sent: {0}")]
    Unreachable(ClientError),
    /// The answer was lost: the record is stored, or is not.
    #[error("record may be stored or not: {0}")]
    UnknownOutcome(ClientError),
}

impl ClientError {
    /// The server's code, if it was the server that refused.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(failure) => Some(failure.code),
            _ => None,
        }
    }
}

impl SendError {
    /// The server's code, if it was the server that refused.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(failure) => Some(failure.code),
            Self::Unreachable(error) | Self::UnknownOutcome(error) => error.code(),
            _ => None,
        }
    }
}
