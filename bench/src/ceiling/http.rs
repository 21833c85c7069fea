//! A server that only answers, as a process on the server's core: what HTTP alone takes.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde::Deserialize;

use super::socket::first_core;

/// A running one. It ends with this.
pub(crate) struct Sink {
    child: Child,
    address: String,
}

#[derive(Deserialize)]
struct Listening {
    http: String,
}

impl Sink {
    /// Starts `program bench sink` with this answer on the first core of the process `server`, or of this one.
    pub(crate) fn start(program: &Path, answer: &[u8], server: Option<u32>) -> io::Result<Self> {
        let core = first_core(server)?.to_string();
        let mut command = Command::new(program);
        command.args(["--json", "bench", "sink", "--core", &core]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take();
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        let mut started = Self { address: String::new(), child };
        let input = started.child.stdin.as_mut().ok_or_else(broken)?;
        input.write_all(&(answer.len() as u64).to_le_bytes())?;
        input.write_all(answer)?;
        input.flush()?;
        let mut line = String::new();
        BufReader::new(output.ok_or_else(broken)?).read_line(&mut line)?;
        let listening: Listening = serde_json::from_str(&line).map_err(io::Error::other)?;
        started.address = listening.http;
        Ok(started)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
