//! Everything that ends a run early.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tidemill_wire::SequenceNumber;
use tidemill_wire::batch::BuildError;
use tidemill_wire::entry::EntryError;
use tidemill_wire::frame::FrameError;
use tidemill_wire::message::{DecodeError, Failure};
use tidemill_wire::numbered::NumberedError;

use crate::cpu::CpuError;

/// Why a run has no result.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// An option is out of its range.
    #[error("{option} is {value}, must be {min} to {max}")]
    Option {
        /// The option.
        option: &'static str,
        /// Its value.
        value: u64,
        /// The least it may be.
        min: u64,
        /// The most it may be.
        max: u64,
    },
    /// A batch of the asked shape cannot be built.
    #[error("no batch can be built of {record_bytes} bytes × {batch_records} records")]
    Batch {
        /// Bytes of each record.
        record_bytes: u32,
        /// Records of the batch.
        batch_records: u32,
        /// What the batch refuses.
        source: BuildError,
    },
    /// The server's address means nothing.
    #[error("server address {address:?} cannot be resolved")]
    Resolve {
        /// The address as given.
        address: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// The server cannot be reached.
    #[error("no connection to {address}")]
    Connect {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A connection broke.
    #[error("connection to {address} broke")]
    Connection {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The server closed a connection.
    #[error("server {address} closed the connection with {unanswered} requests unanswered")]
    Closed {
        /// The address.
        address: SocketAddr,
        /// How many answers were owed.
        unanswered: usize,
    },
    /// The server owes answers and sends nothing.
    #[error("server {address} owes {unanswered} answers and sent nothing for {waited:?}")]
    Silent {
        /// The address.
        address: SocketAddr,
        /// How many answers are owed.
        unanswered: usize,
        /// How long nothing came.
        waited: Duration,
    },
    /// The server's bytes are not frames.
    #[error("server {address} sent what is not a frame")]
    Frame {
        /// The address.
        address: SocketAddr,
        /// What is wrong.
        source: FrameError,
    },
    /// The server's frame is not an answer.
    #[error("server {address} sent what is not an answer")]
    Decode {
        /// The address.
        address: SocketAddr,
        /// What is wrong.
        source: DecodeError,
    },
    /// An answer belongs to no unanswered request.
    #[error("server {address} answered request {id}, which is not unanswered")]
    Unasked {
        /// The address.
        address: SocketAddr,
        /// The answer's request.
        id: u64,
    },
    /// An answer is of a kind that the request cannot have.
    #[error("{request} was answered with {found}")]
    Answer {
        /// The request.
        request: &'static str,
        /// The answer.
        found: String,
    },
    /// The server refused a request for good.
    #[error("{request} was refused")]
    Refused {
        /// The request.
        request: &'static str,
        /// Code and text.
        #[source]
        failure: Failure,
    },
    /// More requests are to be in flight than the server lets one connection have.
    #[error("in-flight is {asked}, the server allows {allowed} per connection")]
    InFlight {
        /// As asked.
        asked: u32,
        /// By the server.
        allowed: u32,
    },
    /// Every shard of the stream is closed.
    #[error("stream {stream} has no open shard")]
    NoOpenShard {
        /// The stream.
        stream: String,
    },
    /// There is nothing to read.
    #[error("stream {stream} holds no records to read")]
    Empty {
        /// The stream.
        stream: String,
    },
    /// A fetched entry is damaged.
    #[error("entry at byte {offset} of a fetched run")]
    Entry {
        /// Where in the run.
        offset: usize,
        /// What is wrong.
        source: EntryError,
    },
    /// A fetched batch is damaged.
    #[error("batch of the entry at {base} is not valid")]
    StoredBatch {
        /// The entry's first record.
        base: SequenceNumber,
        /// What is wrong.
        source: NumberedError,
    },
    /// A fetched run leaves out or repeats records.
    #[error("fetched run has records from {found} where {expected} is due")]
    Gap {
        /// The number that was due.
        expected: SequenceNumber,
        /// The number that came.
        found: SequenceNumber,
    },
    /// The server's processor time cannot be read.
    #[error(transparent)]
    Cpu(#[from] CpuError),
    /// A thread could not be started.
    #[error("thread of connection {connection} could not be started")]
    Thread {
        /// Which connection.
        connection: u32,
        /// What the system says.
        source: io::Error,
    },
}
