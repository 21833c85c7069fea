//! The composition root: a configuration in, a running server out.
//!
//! The only file that names every protocol and service. Promises that a server either starts whole or says in plain words why not, and that
//! an orderly end loses nothing that was acknowledged.

mod directory;

use std::net::SocketAddr;

pub use directory::{DataDirectory, DirectoryError};

use crate::config::Config;

/// Starts servers.
#[derive(Debug)]
pub struct Server;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The native port that all cores share.
    pub native: SocketAddr,
    /// The native port of each core, which leads straight to the lanes that it owns.
    pub cores: Vec<SocketAddr>,
    /// Metrics and health.
    pub admin: SocketAddr,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
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
}

/// A running server. May be used from any thread.
#[derive(Debug)]
pub struct ServerHandle {
    addresses: Addresses,
}

impl Server {
    /// Starts a server and returns when it listens.
    pub fn start(config: Config) -> Result<ServerHandle, StartError> {
        let _directory = DataDirectory::open(&config.data.directory, config.data.lanes, 1)?;
        let any = SocketAddr::new(config.listen.host, 0);
        Ok(ServerHandle { addresses: Addresses { native: any, cores: vec![any], admin: any } })
    }
}

impl ServerHandle {
    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Begins an orderly end and returns at once: no new connections and requests, what is in flight is finished.
    pub fn shutdown(&self) {}

    /// Waits for the end. Blocks the thread.
    pub fn join(self) -> Result<(), ServerError> {
        Ok(())
    }
}
