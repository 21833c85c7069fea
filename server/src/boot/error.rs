//! Why a server did not start, or did not end well.

use std::io;

use tidemill_wire::OwnerId;
use tidemill_wire::routing::RoutingError;

use super::directory::DirectoryError;
use crate::config::{ConfigError, CredentialsError};
use crate::net::{BindError, TlsError};
use crate::service::catalog::StoreError;
use crate::shard::{HostError, LaneError};

/// Why a server did not start. Nothing of it runs any more.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration does not fit this machine.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The access keys cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// This machine cannot run the server.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The catalog cannot be read.
    #[error(transparent)]
    Catalog(#[from] StoreError),
    /// The catalog belongs to another data directory.
    #[error(
        "the catalog says node {found} with {found_lanes} lanes, META says node {expected} with {expected_lanes}: the files are of different data directories"
    )]
    ForeignCatalog {
        /// The node in META.
        expected: u64,
        /// The lanes in META.
        expected_lanes: u32,
        /// The node in the catalog.
        found: u64,
        /// The lanes in the catalog.
        found_lanes: u32,
    },
    /// The catalog is older than the log.
    #[error(
        "the log holds {owners} shards that the catalog has never known (owners up to {highest} on lanes {lanes:?}; the catalog has given out those below {next}): the catalog is older than the log or not its own. Nothing was changed. Put back the catalog.redb that belongs to this log; or, to delete what these shards hold, start once with data.unknown_owners=forget"
    )]
    UnknownOwners {
        /// How many.
        owners: u64,
        /// Where they are.
        lanes: Vec<u32>,
        /// The highest of them.
        highest: OwnerId,
        /// The first one that the catalog has not given out.
        next: u64,
    },
    /// A stream in the catalog is not whole.
    #[error("the catalog holds a stream that is not whole: {0}")]
    Streams(RoutingError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A lane cannot be opened.
    #[error(transparent)]
    Lane(#[from] LaneError),
    /// A core's storage ring cannot be made.
    #[error("core {core} cannot set up io_uring: {source}")]
    Ring {
        /// The core.
        core: u32,
        /// Why not.
        source: io::Error,
    },
    /// A core cannot listen.
    #[error("core {core} cannot listen: {source}")]
    Listen {
        /// The core.
        core: u32,
        /// Why not.
        source: io::Error,
    },
    /// A thread cannot be started.
    #[error("a thread cannot be started: {0}")]
    Thread(io::Error),
    /// A core ended before it listened; its executor could not be made.
    #[error(
        "a core ended before it could serve; the limits of locked memory and open files are the usual reasons"
    )]
    CoreEnded,
}

/// Why a server did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Not everything was done in the time that `shutdown.timeout` gives.
    #[error("shutdown did not end within {seconds} s: {waiting_for}")]
    Timeout {
        /// The time it had.
        seconds: u64,
        /// What was left to do.
        waiting_for: String,
    },
    /// A thread of the server panicked.
    #[error("a thread of the server panicked")]
    Panicked,
}
