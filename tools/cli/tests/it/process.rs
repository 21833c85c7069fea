//! Processes of the binary, bounded in time and ended when their guard goes.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Longer than any step may take on a busy machine in a debug build.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The binary with arguments, and nothing of this process's configuration.
pub(crate) fn tidemill(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIDEMILL_")) {
        command.env_remove(name);
    }
    command.env_remove("RUST_LOG").args(arguments).stdin(Stdio::null());
    command
}

/// The same, also where these tests run under `nohup`, which has all that is started ignore SIGHUP.
pub(crate) fn hearing_hangups(arguments: &[&str]) -> Command {
    let plain = tidemill(arguments);
    let mut command = Command::new("env");
    command.arg("--default-signal=HUP").arg(plain.get_program()).args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdin(Stdio::null());
    command
}

/// What a finished process left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// Standard output of a process that succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout
    }
}

/// Runs the binary to its end.
#[track_caller]
pub(crate) fn run(arguments: &[&str]) -> Finished {
    finish(tidemill(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()))
}

/// Runs a command to its end, or to the end of our patience.
#[track_caller]
pub(crate) fn finish(command: &mut Command) -> Finished {
    let mut running = Running::start(command);
    let read = |stream: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut stream) = stream {
                stream.read_to_end(&mut bytes).expect("a pipe can be read");
            }
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stdout = read(running.child.stdout.take().map(|stream| Box::new(stream) as _));
    let stderr = read(running.child.stderr.take().map(|stream| Box::new(stream) as _));
    let status = running.wait();
    let text =
        |thread: std::thread::JoinHandle<String>| thread.join().expect("the reading thread does not panic");
    Finished { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// A process that is killed when this goes.
pub(crate) struct Running {
    pub(crate) child: Child,
}

impl Running {
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        Self { child: command.spawn().expect("the binary can be started") }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id")).expect("a process id");
        kill_process(pid, signal).expect("the process is ours");
    }

    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the process is ours") {
                return status;
            }
            assert!(Instant::now() < deadline, "the process does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// How a start with a failpoint ended.
pub(crate) enum Start {
    Listening(Server),
    /// The failpoint was met on the way.
    Killed,
}

/// A running server.
pub(crate) struct Server {
    pub(crate) process: Running,
    /// Its native port.
    pub(crate) address: String,
    pub(crate) admin: String,
    /// Its HTTP port.
    pub(crate) http: String,
    log: PathBuf,
}

impl Server {
    /// What the admin port answers.
    pub(crate) fn admin_text(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.admin).expect("the admin port listens");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .expect("it takes a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }

    /// Starts on a data directory, with further flags, and waits until it listens.
    #[track_caller]
    pub(crate) fn start(data: &Path, flags: &[&str]) -> Self {
        Self::start_fallibly(data, flags).unwrap_or_else(|log| panic!("the server does not start: {log}"))
    }

    pub(crate) fn start_fallibly(data: &Path, flags: &[&str]) -> Result<Self, String> {
        Self::begin(data, flags, None).map_err(|(log, _)| log)
    }

    /// Starts with a failpoint, at which it may be killed before it listens.
    #[track_caller]
    pub(crate) fn start_armed(data: &Path, flags: &[&str], failpoint: &str) -> Start {
        match Self::begin(data, flags, Some(failpoint)) {
            Ok(server) => Start::Listening(server),
            Err((_, status)) if status.signal() == Some(9) => Start::Killed,
            Err((log, status)) => panic!("the server does not start with {failpoint}: {status}: {log}"),
        }
    }

    /// Starts and waits until it listens, or returns what it wrote and how it ended.
    fn begin(data: &Path, flags: &[&str], failpoint: Option<&str>) -> Result<Self, (String, ExitStatus)> {
        let log = data.with_extension("server.log");
        let data = data.display().to_string();
        let fixed = [
            "serve",
            "--json",
            "--data",
            &data,
            "--listen",
            "127.0.0.1:0",
            "--http-port=0",
            "--admin-port=0",
        ];
        let mut command = tidemill(&fixed);
        // A segment is written once before its use, which at the usual size is most of the time of a short test.
        command.args(["--set", "storage.segment_size=16MiB"]);
        if let Some(failpoint) = failpoint {
            command.env("TIDEMILL_FAILPOINT", failpoint);
        }
        let errors = File::create(&log).expect("the directory is writable");
        let mut process = Running::start(command.args(flags).stdout(Stdio::piped()).stderr(errors));
        let line = first_line(&mut process.child);
        let Some(started) = line.and_then(|line| serde_json::from_str::<Value>(&line).ok()) else {
            let status = process.wait();
            return Err((std::fs::read_to_string(&log).unwrap_or_default(), status));
        };
        let text = |name: &str| started[name].as_str().unwrap_or_default().to_owned();
        Ok(Self { process, address: text("native"), admin: text("admin"), http: text("http"), log })
    }

    /// What it wrote to standard error.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Runs a client command against it.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        finish(self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    /// A client command against it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tidemill(&["--server", &self.address]);
        command.args(arguments);
        command
    }

    /// SIGTERM, and the end.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        self.process.signal(Signal::TERM);
        let status = self.process.wait();
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }

    /// SIGKILL, and the end.
    pub(crate) fn kill(mut self) {
        self.process.signal(Signal::KILL);
        self.process.wait();
    }
}

/// The first line of a process's standard output, unless it ends or takes too long.
pub(crate) fn first_line(child: &mut Child) -> Option<String> {
    let stdout = child.stdout.take()?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        if BufReader::new(stdout).read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            // The test may have given up.
            _ = sender.send(line);
        }
    });
    receiver.recv_timeout(PATIENCE).ok()
}

/// A record as `--json` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) shard: u64,
    pub(crate) sequence: u64,
    pub(crate) key: String,
    pub(crate) data: String,
}

/// Reads the lines of `--json`.
#[track_caller]
pub(crate) fn records(output: &str) -> Vec<Record> {
    let parse = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| value[name].as_u64().unwrap_or_else(|| panic!("{line}: no {name}"));
        Record { shard: number("shard"), sequence: number("sequence"), key: text("key"), data: text("data") }
    };
    output.lines().map(parse).collect()
}

/// A number of a test that can be made larger from outside.
pub(crate) fn size_from(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
