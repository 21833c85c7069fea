//! A server in this process, with small segments and any free ports.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tidemill_server::boot::{Addresses, Server, ServerHandle, StartError};
use tidemill_server::config::Config;

use crate::client::Client;

/// A running server and its directory.
pub(crate) struct Fixture {
    pub(crate) directory: TempDir,
    handle: Option<ServerHandle>,
}

/// A small server: segments of 4 MiB, frames of 1 MiB, any free ports, no quotas.
pub(crate) fn config(directory: &Path, cores: u32) -> Config {
    let mut config = Config::default();
    config.data.directory = directory.join("data");
    config.data.lanes = Some(2);
    config.server.cores = Some(cores);
    config.listen.native_port = 0;
    config.listen.http_port = 0;
    config.listen.admin_port = 0;
    config.storage.segment_size = 4 << 20;
    config.storage.group_bytes = 1 << 20;
    config.limits.frame_bytes = 1 << 20;
    config.limits.inflight_bytes = 8 << 20;
    config.http.body_bytes = 2 << 20;
    config.quota.enabled = false;
    config.shutdown.timeout = std::time::Duration::from_secs(10);
    config
}

impl Fixture {
    /// On two cores if this machine has them.
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// With changed knobs.
    pub(crate) fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut config = config(directory.path(), cores());
        change(&mut config);
        let handle = Server::start(config).expect("the server starts");
        Self { directory, handle: Some(handle) }
    }

    /// Ends the server and starts one on the same directory.
    pub(crate) fn restart(&mut self) {
        self.restart_with(|_| {}).expect("the server starts again");
    }

    /// The same with changed knobs. A server that refuses is not there after that.
    pub(crate) fn restart_with(&mut self, change: impl FnOnce(&mut Config)) -> Result<(), Box<StartError>> {
        self.stop();
        let mut config = config(self.directory.path(), cores());
        change(&mut config);
        self.handle = Some(Server::start(config).map_err(Box::new)?);
        Ok(())
    }

    /// Ends the server in order.
    pub(crate) fn stop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.shutdown();
            handle.join().expect("an orderly end");
        }
    }

    /// Begins the orderly end without waiting for it.
    pub(crate) fn begin_stop(&self) {
        self.handle.as_ref().expect("the server runs").shutdown();
    }

    pub(crate) fn addresses(&self) -> &Addresses {
        self.handle.as_ref().expect("the server runs").addresses()
    }

    /// A client on the shared port, past its hello.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.addresses().native)
    }

    /// A client on a core's own port, past its hello.
    pub(crate) fn client_of_core(&self, core: usize) -> Client {
        Client::connect(self.addresses().cores[core])
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

/// Two cores if this machine has them.
pub(crate) fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |count| if count.get() > 1 { 2 } else { 1 })
}

/// The tests' own stopwatch.
#[expect(clippy::disallowed_methods, reason = "a test measures the server from outside")]
pub(crate) fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// The sum of a metric over all cores.
pub(crate) fn counted(server: &Fixture, metric: &str) -> f64 {
    let metrics = http(server.addresses().admin, "GET /metrics");
    let lines = metrics.lines().filter(|line| line.split(['{', ' ']).next() == Some(metric));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Asks the admin port.
pub(crate) fn http(address: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).expect("the admin port listens");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket option");
    let head = format!("{request} HTTP/1.1\r\nhost: tidemill\r\nconnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).expect("the server reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("a whole answer");
    answer
}
