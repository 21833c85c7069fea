//! Everything that ends a run early.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tidemill_wire::batch::BuildError;
use tidemill_wire::entry::EntryError;
use tidemill_wire::frame::FrameError;
use tidemill_wire::message::{DecodeError, ErrorCode, Failure};
use tidemill_wire::numbered::NumberedError;
use tidemill_wire::routing::RoutingError;
use tidemill_wire::{LaneId, SequenceNumber, ShardIndex};

use crate::cpu::CpuError;
use crate::http::HttpError;

/// Why a run has no result.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// An option is out of its range.
    #[error("{option} is {value}, must be {}", range(*min, *max))]
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
    /// An option changes nothing in this run.
    #[error("{option} has no effect without {needs}")]
    NoEffect {
        /// The option.
        option: &'static str,
        /// What it needs, and why.
        needs: &'static str,
    },
    /// The keys that were asked for lead to no shard of a lane.
    #[error("keys {keys}: none of them leads to a shard of lane {lane}")]
    NoKeys {
        /// As asked.
        keys: String,
        /// The lane.
        lane: LaneId,
    },
    /// The server's shards do not cover the keys.
    #[error(transparent)]
    Routing(#[from] RoutingError),
    /// A batch of the asked shape cannot be built.
    #[error("no batch can be built of {record_bytes} bytes × {batch_records} records")]
    Batch {
        /// Bytes of a record.
        record_bytes: String,
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
    /// The server's bytes are no answer over HTTP.
    #[error("server {address} sent what is no answer over HTTP")]
    Http {
        /// The address.
        address: SocketAddr,
        /// What is wrong.
        source: HttpError,
    },
    /// A call over HTTP was refused, or its answer is not what was asked for.
    #[error("{operation} was answered with status {status}: {said}")]
    Called {
        /// The operation.
        operation: &'static str,
        /// The status.
        status: u16,
        /// How the body begins.
        said: String,
    },
    /// An answer belongs to no unanswered request.
    #[error("server answered request {id}, which is not unanswered")]
    Unasked {
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
    /// The server ended a subscription.
    #[error("the server ended a subscription: {code}, {message}")]
    SubscriptionEnded {
        /// Why.
        code: ErrorCode,
        /// For people.
        message: String,
    },
    /// Records that were acknowledged never came.
    #[error("shard {shard} acknowledged records up to {end}, a subscription has got them up to {seen} only")]
    NotPushed {
        /// The shard.
        shard: ShardIndex,
        /// The end of what came.
        seen: SequenceNumber,
        /// The end of what was acknowledged.
        end: SequenceNumber,
    },
    /// Messages that were taken never came.
    #[error("{missing} messages were sent and had not been received when the run gave up")]
    NotDelivered {
        /// How many.
        missing: u64,
    },
    /// What the scenario is about needs the server's process.
    #[error(
        "this needs the server's process, and it is not known: {reason}; name it with --server-pid if it is on this machine"
    )]
    NoProcess {
        /// Why.
        reason: String,
    },
    /// A stream is not limited in what the scenario measures.
    #[error("stream {stream} has no quota for {what}, so there is nothing to measure")]
    NoQuota {
        /// The stream.
        stream: String,
        /// What is not limited.
        what: &'static str,
    },
    /// The name of a file for latencies does not say what it is to be.
    #[error("{} is no file for latencies: its name has to end with .hgrm for distributions or .hlog for an interval log", path.display())]
    LatencyFile {
        /// As asked.
        path: PathBuf,
    },
    /// A result cannot be written or read.
    #[error("{} cannot be written or read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file holds no report.
    #[error("{} is not what `bench --json` prints", path.display())]
    Report {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Two reports are about different things.
    #[error("a run of {a} cannot be compared with one of {b}")]
    Incomparable {
        /// The first one's scenario.
        a: &'static str,
        /// The second one's.
        b: &'static str,
    },
    /// A ceiling cannot be measured.
    #[error("the ceiling of {what} cannot be measured")]
    Ceiling {
        /// Of what.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The server of the run's own does not run.
    #[error("the embedded server does not run")]
    Embedded {
        /// What the system or the server says.
        source: io::Error,
    },
    /// The server of the run's own has ended before it was told to.
    #[error(
        "the embedded server has ended by itself: {how}{}{}",
        after(", after which: ", failure),
        quoted(said)
    )]
    ServerEnded {
        /// Exit code or signal.
        how: String,
        /// The last lines of its log.
        said: String,
        /// What the run met because of it.
        failure: Option<Box<BenchError>>,
    },
    /// A server that somebody else has started is not there any more.
    #[error(
        "the server's process {process} has ended during the run, why is for its own log to say; what the run met: {failure}"
    )]
    ServerGone {
        /// Which process it was.
        process: u32,
        /// What the run met because of it.
        failure: Box<BenchError>,
    },
    /// The run was told to end.
    #[error("interrupted")]
    Interrupted,
    /// The kernel refuses the generator's ring.
    #[error("io_uring does not work for the generator; `tidemill doctor` tells why")]
    Ring {
        /// What the system says.
        source: io::Error,
    },
    /// A thread could not be started.
    #[error("thread {thread} of the generator could not be started")]
    Thread {
        /// Which thread.
        thread: u32,
        /// What the system says.
        source: io::Error,
    },
}

fn after(words: &str, failure: &Option<Box<BenchError>>) -> String {
    failure.as_ref().map_or(String::new(), |failure| format!("{words}{failure}"))
}

fn quoted(said: &str) -> String {
    if said.is_empty() { "; its log is empty".to_owned() } else { format!("; its log ends with\n{said}") }
}

fn range(min: u64, max: u64) -> String {
    if max == u64::MAX { format!("at least {min}") } else { format!("{min} to {max}") }
}

/// Bytes of an answer that an error shows.
const SAID_BYTES_MAX: usize = 300;

impl BenchError {
    /// A call that was not answered as it should have been.
    pub(crate) fn calling(operation: &'static str, status: u16, body: &[u8]) -> Self {
        let said = body.get(..SAID_BYTES_MAX).unwrap_or(body);
        Self::Called { operation, status, said: String::from_utf8_lossy(said).into_owned() }
    }
}
