//! The parts of `tidemill bench flow`: data that flows through a server while what is live stays constant, and crashes on the way.
//!
//! `plan` says which streams there are, `record` what a record tells of itself, `ledger` what was acknowledged and what a reader may find, `writer` and `reader` use
//! them, `host` is the server's process, `look` reads what it takes, and `run` puts them together.

mod host;
mod ledger;
mod look;
pub(crate) mod plan;
mod reader;
mod record;
mod report;
pub(crate) mod run;
mod writer;

/// Why a run ends early: something is not as it was promised, or the run itself failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum FlowError {
    /// A record is not what was written under its number.
    #[error("{stream} shard {shard} record {sequence}: expected {expected}, found {found}")]
    Record { stream: &'static str, shard: u32, sequence: u64, expected: String, found: String },
    /// Acknowledged records are gone before their time.
    #[error(
        "{stream} shard {shard}: records {from} to {to} are gone, and retention does not explain it: {why}"
    )]
    Gone { stream: &'static str, shard: u32, from: u64, to: u64, why: String },
    /// A request failed for good.
    #[error("{stream}: {what}: {why}")]
    Request { stream: &'static str, what: &'static str, why: String },
    /// The server's process is not as it should be.
    #[error("server: {0}")]
    Server(String),
    /// A file or a directory.
    #[error("{what}: {why}")]
    File { what: String, why: String },
    /// Something is too much on the disk.
    #[error("disk use was {disk} bytes with {live} live, more than {allowed}")]
    Disk { disk: u64, live: u64, allowed: u64 },
    /// The options contradict each other.
    #[error("{0}")]
    Options(String),
    /// A signal.
    #[error("stopped before the work was done")]
    Interrupted,
}
