//! What a run does, checked before anything is sent.

mod http;
mod keys;
mod rate;
mod sizes;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidemill_wire::StreamName;
use tidemill_wire::batch::Compression;
use tidemill_wire::limits::{
    BATCH_BYTES_MAX, BATCH_RECORDS_MAX, FRAME_BYTES_MAX, KEY_BYTES_MAX, RECORD_BYTES_MAX,
};
use tidemill_wire::message::Ack;

pub use http::{HttpOptions, HttpProtocol, Secret};
pub use keys::{Keys, ParseKeysError};
pub use rate::{ParseRateError, Rate};
pub use sizes::{ParseSizesError, Sizes};

use crate::error::BenchError;

/// Connections of one run, as many as one address has ports for.
const CONNECTIONS_MAX: u32 = 60_000;
/// Unanswered requests of one connection, before the server's own limit.
const IN_FLIGHT_MAX: u32 = 65_536;
/// Threads of the generator.
const THREADS_MAX: u32 = 1_024;

/// When the measured part of a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After this time.
    Elapsed(Duration),
    /// When keys and data of so many bytes were answered on all connections together.
    Bytes(u64),
}

/// What a run does. Start from [`Options::new`] and change what matters.
#[derive(Clone, Debug)]
pub struct Options {
    /// Host and port of the server's shared native port.
    pub server: String,
    /// The HTTP port and what is spoken there; without, the load is native.
    pub http: Option<HttpOptions>,
    /// The stream. It is created if it is missing, and used as it is if it exists.
    pub stream: StreamName,
    /// Shards of a stream that this run creates.
    pub shards: u32,
    /// Bytes that each shard of a stream that this run creates keeps, so that a long run does not fill the disk; 0 for no bound.
    pub retention_bytes: u64,
    /// Keep a stream that this run creates. One that existed before is never deleted.
    pub keep_stream: bool,
    /// Connections, dealt out to the shards in turn; each goes to the port of its shard's lane.
    pub connections: u32,
    /// Threads that carry them; without, as many as there are cores, and no more than connections.
    pub threads: Option<u32>,
    /// Requests of each connection that may be unanswered.
    pub in_flight: u32,
    /// Bytes of a record's data.
    pub record_bytes: Sizes,
    /// How much of a record's data is the same in all of them, in percent.
    pub compressible_percent: u8,
    /// What is done to the data before it is sent, once, before the clock starts.
    pub compression: Compression,
    /// Partition keys.
    pub keys: Keys,
    /// Records in each append, at most.
    pub batch_records: u32,
    /// Open loop: how long a batch's first record waits for others.
    pub linger: Option<Duration>,
    /// Open loop: records each second for appends, requests each second for fetches. Without, the loop is closed.
    pub rate: Option<Rate>,
    /// When an append is answered.
    pub ack: Ack,
    /// Bytes of entries in a fetch's answer, at most.
    pub fetch_bytes: u32,
    /// What scenarios that read find, at least: what is missing is appended first.
    pub fill_bytes: u64,
    /// Messages that a queue holds before sending, receiving and deleting are measured.
    pub backlog: u64,
    /// `replay` reads once from the disk before it reads from memory, which takes a server that can be restarted.
    pub is_cold: bool,
    /// Measure right before and after the run what the machine could do, and show the run as a share of it.
    pub has_ceiling: bool,
    /// A directory on the server's disk, for the ceiling of durable appends; a server of the run's own has one.
    pub ceiling_directory: Option<PathBuf>,
    /// This program, for a ceiling that is a process of its own.
    pub program: Option<PathBuf>,
    /// Load before the measured part.
    pub warm_up: Duration,
    /// The measured part.
    pub until: Until,
    /// Give up when a server that owes answers sends nothing for so long; an open loop also ends what it has begun within this time.
    pub answer_timeout: Duration,
    /// The server's process, for its processor time. Without it, the process that listens on the server's port is
    /// looked for if the server is on this machine.
    pub server_pid: Option<u32>,
    /// Ends the run when it is set.
    pub interrupt: Arc<AtomicBool>,
}

impl Options {
    /// One connection with eight batches of 1,000 records of 1,000 bytes in flight for ten seconds.
    #[must_use]
    pub fn new(server: impl Into<String>, stream: StreamName) -> Self {
        Self {
            server: server.into(),
            http: None,
            stream,
            shards: 1,
            retention_bytes: 1 << 30,
            keep_stream: false,
            connections: 1,
            threads: None,
            in_flight: 8,
            record_bytes: Sizes::Fixed(1_000),
            compressible_percent: 0,
            compression: Compression::None,
            keys: Keys::PerShard,
            batch_records: 1_000,
            linger: None,
            rate: None,
            ack: Ack::Durable,
            fetch_bytes: 1 << 20,
            fill_bytes: 256_000_000,
            backlog: 0,
            is_cold: false,
            has_ceiling: false,
            ceiling_directory: None,
            program: None,
            warm_up: Duration::from_secs(1),
            until: Until::Elapsed(Duration::from_secs(10)),
            answer_timeout: Duration::from_secs(10),
            server_pid: None,
            interrupt: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Whether the run was told to end.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// Checks every range, and that no option is without effect.
    pub(crate) fn check(&self) -> Result<(), BenchError> {
        let in_range = |option: &'static str, value: u64, max: u64| {
            let refusal = BenchError::Option { option, value, min: 1, max };
            if (1..=max).contains(&value) { Ok(()) } else { Err(refusal) }
        };
        in_range("shards", self.shards.into(), u32::MAX.into())?;
        in_range("connections", self.connections.into(), CONNECTIONS_MAX.into())?;
        in_range("threads", self.threads.unwrap_or(1).into(), THREADS_MAX.into())?;
        in_range("in-flight", self.in_flight.into(), IN_FLIGHT_MAX.into())?;
        let (smallest, largest) = self.record_bytes.range();
        in_range("record-bytes", smallest.into(), RECORD_BYTES_MAX.into())?;
        in_range("record-bytes", largest.into(), RECORD_BYTES_MAX.into())?;
        in_range("batch-records", self.batch_records.into(), BATCH_RECORDS_MAX.into())?;
        in_range("fetch-bytes", self.fetch_bytes.into(), FRAME_BYTES_MAX.into())?;
        // Offsets and key are small beside this, and the builder checks the batch to the byte.
        let room = u64::from(BATCH_BYTES_MAX) - KEY_BYTES_MAX as u64;
        let batch_bytes = u64::from(largest) * u64::from(self.batch_records);
        in_range("record-bytes × batch-records", batch_bytes, room)?;
        // A timeout of zero would mean none at all.
        in_range("answer timeout in ms", milliseconds(self.answer_timeout), u64::MAX)?;
        match self.until {
            Until::Elapsed(time) => in_range("duration in ms", milliseconds(time), u64::MAX)?,
            Until::Bytes(bytes) => in_range("bytes", bytes, u64::MAX)?,
        }
        if let Some(rate) = self.rate {
            rate.check()?;
        }
        if self.compressible_percent > 100 {
            let value = self.compressible_percent.into();
            return Err(BenchError::Option { option: "compressible", value, min: 0, max: 100 });
        }
        self.check_effects()
    }

    /// What would change nothing is a mistake of whoever asks for it.
    fn check_effects(&self) -> Result<(), BenchError> {
        let without = |option, needs| Err(BenchError::NoEffect { option, needs });
        if self.linger.is_some() && self.rate.is_none() {
            return without("linger", "--rate: a closed loop has no arrivals to wait for");
        }
        if self.rate.is_some() && matches!(self.until, Until::Bytes(_)) {
            return without("bytes", "a closed loop: an open one ends by --duration");
        }
        if let Some(http) = &self.http {
            self.check_http(http.protocol)?;
        }
        if self.compressible_percent > 0 && self.compression == Compression::None {
            return without("compressible", "--compression: without, bytes are stored as they are");
        }
        Ok(())
    }

    /// What a protocol over HTTP has no way to say.
    fn check_http(&self, protocol: HttpProtocol) -> Result<(), BenchError> {
        let without = |option, needs| Err(BenchError::NoEffect { option, needs });
        if self.in_flight != 1 {
            return without(
                "in-flight",
                "--protocol native: over HTTP/1.1 a connection has one request at a time",
            );
        }
        if self.ack != Ack::Durable {
            return without(
                "ack",
                "--protocol native: calls of the AWS protocols are durable when they are answered",
            );
        }
        if self.compression != Compression::None {
            return without(
                "compression",
                "--protocol native: records go through the AWS protocols as they are",
            );
        }
        let (value, max) = (self.batch_records.into(), protocol.batch_records_max().into());
        let refusal = BenchError::Option { option: "batch-records", value, min: 1, max };
        if value <= max { Ok(()) } else { Err(refusal) }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
