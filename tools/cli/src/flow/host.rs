//! The server of a run: a process of this program that is killed and started again on the same ports and the same directory.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::FlowError;

/// How long a server may take until it listens, and until it has stopped.
const PATIENCE: Duration = Duration::from_secs(120);
/// Below the ports that connections are given, so that nobody takes them while the server is down.
const PORTS: std::ops::Range<u16> = 20_000..30_000;
/// The shared port, one for each core, and the admin port.
const PORTS_TOGETHER: u16 = 66;

/// A server's process.
pub(super) struct Host {
    program: PathBuf,
    data: PathBuf,
    settings: Vec<String>,
    port: u16,
    child: Option<Child>,
}

impl Host {
    /// Starts a server on a directory.
    pub(super) fn start(data: &Path, settings: Vec<String>) -> Result<Self, FlowError> {
        let program = std::env::current_exe().map_err(|error| FlowError::Server(error.to_string()))?;
        let port = free_ports()?;
        let mut host = Self { program, data: data.to_owned(), settings, port, child: None };
        host.restart()?;
        Ok(host)
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn admin(&self) -> String {
        format!("127.0.0.1:{}", self.port + PORTS_TOGETHER - 1)
    }

    /// What the server writes of itself.
    pub(super) fn log(&self) -> PathBuf {
        self.data.with_extension("server.log")
    }

    /// Starts it, after it was killed, and waits until it listens.
    pub(super) fn restart(&mut self) -> Result<(), FlowError> {
        let log = OpenOptions::new().create(true).append(true).open(self.log());
        let log: File = log.map_err(|error| FlowError::Server(error.to_string()))?;
        let mut command = Command::new(&self.program);
        command.args(["serve", "--json", "--listen", &self.address(), "--http-port", "0"]);
        command.args(["--admin-port", &(self.port + PORTS_TOGETHER - 1).to_string()]);
        command.arg("--data").arg(&self.data);
        for setting in &self.settings {
            command.args(["--set", setting]);
        }
        // The terminal's Ctrl-C is for the run, which ends the server itself.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().map_err(|error| FlowError::Server(error.to_string()))?;
        let stdout = child.stdout.take();
        self.child = Some(child);
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            if let Some(stdout) = stdout
                && BufReader::new(stdout).read_line(&mut line).is_ok_and(|bytes| bytes > 0)
            {
                // Who waits may have given up.
                _ = sender.send(());
            }
        });
        receiver
            .recv_timeout(PATIENCE)
            .map_err(|_| FlowError::Server(format!("does not listen: see {}", self.log().display())))
    }

    /// Ends it as a power cut of the process does.
    pub(super) fn kill(&mut self) -> Result<(), FlowError> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        if let Some(status) = child.try_wait().map_err(|error| FlowError::Server(error.to_string()))? {
            return Err(FlowError::Server(format!(
                "it ended by itself, {status}: see {}",
                self.log().display()
            )));
        }
        child.kill().and_then(|()| child.wait()).map_err(|error| FlowError::Server(error.to_string()))?;
        Ok(())
    }

    /// Whether it still runs.
    pub(super) fn check(&mut self) -> Result<(), FlowError> {
        let Some(child) = &mut self.child else { return Ok(()) };
        match child.try_wait() {
            Ok(None) => Ok(()),
            ended => {
                Err(FlowError::Server(format!("it ended by itself, {ended:?}: see {}", self.log().display())))
            }
        }
    }

    /// Ends it in order.
    pub(super) fn stop(&mut self) -> Result<(), FlowError> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let signalled = pid.map_or(Ok(()), |pid| kill_process(pid, Signal::TERM));
        signalled.map_err(|error| FlowError::Server(error.to_string()))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
                ended => {
                    self.child = Some(child);
                    return Err(FlowError::Server(format!("it does not stop in order: {ended:?}")));
                }
            }
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended already.
            _ = child.kill();
            _ = child.wait();
        }
    }
}

/// A row of ports of which nobody has one.
fn free_ports() -> Result<u16, FlowError> {
    let start = PORTS.start + (std::process::id() as u16 % 97) * 100;
    let rows = (0..PORTS.len() as u16 / PORTS_TOGETHER).map(|row| {
        PORTS.start + (start - PORTS.start + row * PORTS_TOGETHER) % (PORTS.len() as u16 - PORTS_TOGETHER)
    });
    let is_free = |port: &u16| {
        let row: Result<Vec<TcpListener>, _> =
            (*port..*port + PORTS_TOGETHER).map(|port| TcpListener::bind(("127.0.0.1", port))).collect();
        row.is_ok()
    };
    let mut rows = rows;
    rows.find(is_free).ok_or_else(|| FlowError::Server("no free ports from 20000 to 30000".to_owned()))
}
