//! A server of the run's own: a child process on a core of its own, with a data directory that goes with it.
//!
//! A process rather than a thread, so that its processor time is its own. Promises that neither outlives this value; if even this process is killed,
//! the kernel ends the child, and only the directory is left. A child that ends before it is told to is an error that says how, with what it wrote last.
#![allow(
    unsafe_code,
    reason = "what a child does between fork and exec has to be safe there; SAFETY says why it is"
)]

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpid, getppid, kill_process, set_parent_process_death_signal};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Deserialize;

use crate::error::BenchError;
use crate::options::{HttpOptions, Secret};

/// The access key of a server of the run's own.
const ACCESS_KEY: &str = "TIDEMILLBENCH";
/// How long a server may take until it listens, and until it has stopped.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a server whose connections broke may take until the system knows that it has ended, and until it has ended in order if it listens no more.
const END_TIME_MAX: Duration = Duration::from_secs(2);
const ORDERLY_END_TIME_MAX: Duration = Duration::from_secs(30);
/// Of what it wrote last, so much is shown.
const LAST_LINES: usize = 12;
/// Cores that a set can name.
const CORES_MAX: usize = CpuSet::MAX_CPU;

/// A running server with its directory.
pub struct Embedded {
    program: PathBuf,
    settings: Vec<String>,
    /// Removed with this value.
    directory: tempfile::TempDir,
    child: Child,
    address: String,
    http: String,
    /// Signs calls of its HTTP port: drawn for this run.
    secret: Secret,
    server_core: CpuSet,
    generator_cores: CpuSet,
}

/// What a server prints when it listens.
#[derive(Deserialize)]
struct Started {
    native: String,
    http: String,
}

impl Embedded {
    /// Starts `program serve` with these further settings (`name=value`), and moves this thread, with all it starts from now on, off the
    /// server's core. The directory is made in `parent`, or where temporary files are.
    ///
    /// # Errors
    /// The directory cannot be made, or the server does not begin to listen.
    pub fn start(program: &Path, parent: Option<&Path>, settings: &[String]) -> Result<Self, BenchError> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("tidemill-bench-");
        let directory = match parent {
            Some(parent) => builder.tempdir_in(parent),
            None => builder.tempdir(),
        };
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let directory = directory.map_err(|source| BenchError::File { path: parent, source })?;
        let (server_core, generator_cores) = share_cores().map_err(not_started)?;
        let secret = draw_secret().map_err(not_started)?;
        let child = spawn(program, directory.path(), settings, &server_core, &secret)?;
        let mut embedded = Self {
            program: program.to_owned(),
            settings: settings.to_vec(),
            directory,
            child,
            address: String::new(),
            http: String::new(),
            secret,
            server_core,
            generator_cores,
        };
        embedded.listen()?;
        sched_setaffinity(None, &embedded.generator_cores).map_err(|error| not_started(error.into()))?;
        Ok(embedded)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Says where its HTTP port is and who may call there.
    pub(crate) fn tell(&self, http: &mut HttpOptions) {
        (http.endpoint, http.access_key) = (self.http.clone(), ACCESS_KEY.to_owned());
        http.secret = self.secret.clone();
    }

    /// Where it keeps its data.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Fails if the server has ended although nobody told it to. After a failure of the run its end may take a moment to show.
    pub(crate) fn check_running(&mut self, has_failed: bool) -> Result<(), BenchError> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().map_err(not_started)? {
                return Err(self.ended(status));
            }
            let listens = || TcpStream::connect(&self.address).is_ok();
            let is_over = match begin.elapsed() {
                time if time < END_TIME_MAX => !has_failed,
                time => time >= ORDERLY_END_TIME_MAX || listens(),
            };
            if is_over {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the server, has the kernel forget what it has cached of its files, and starts it again. It listens elsewhere then.
    pub(crate) fn restart_cold(&mut self) -> Result<(), BenchError> {
        self.stop()?;
        forget(self.directory.path())?;
        self.child =
            spawn(&self.program, self.directory.path(), &self.settings, &self.server_core, &self.secret)?;
        self.listen()
    }

    /// Waits until it listens.
    fn listen(&mut self) -> Result<(), BenchError> {
        let stdout = self.child.stdout.take().ok_or_else(|| not_started(io::ErrorKind::BrokenPipe.into()))?;
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            if BufReader::new(stdout).read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                // Who waits may have given up.
                _ = sender.send(line);
            }
        });
        let line = receiver.recv_timeout(PATIENCE).unwrap_or_default();
        if let Ok(started) = serde_json::from_str::<Started>(&line) {
            (self.address, self.http) = (started.native, started.http);
            return Ok(());
        }
        match self.check_running(true) {
            Err(BenchError::ServerEnded { how, said, .. }) => {
                Err(not_started(io::Error::other(format!("{how}: {said}"))))
            }
            Err(error) => Err(error),
            Ok(()) => Err(not_started(io::Error::other(self.said()))),
        }
    }

    fn stop(&mut self) -> Result<(), BenchError> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let signalled = pid.map_or(Ok(()), |pid| kill_process(pid, Signal::TERM));
        signalled.map_err(|error| not_started(error.into()))?;
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().map_err(not_started)? {
                break status;
            }
            if Instant::now() > deadline {
                return Err(not_started(io::ErrorKind::TimedOut.into()));
            }
            thread::sleep(Duration::from_millis(5));
        };
        if status.success() { Ok(()) } else { Err(self.ended(status)) }
    }

    fn ended(&self, status: ExitStatus) -> BenchError {
        BenchError::ServerEnded { how: how(status), said: self.said(), failure: None }
    }

    /// The last lines of its log.
    fn said(&self) -> String {
        let log = fs::read(log_of(self.directory.path())).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // It may have ended already, and its data goes with it.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// How a process has ended, for people.
fn how(status: ExitStatus) -> String {
    match status.signal() {
        None => status.to_string(),
        Some(signal) if signal == Signal::KILL.as_raw() => {
            "killed by signal 9, which this run did not send; if memory ran out, the kernel's log tells"
                .to_owned()
        }
        Some(_) => format!("killed by {status}"),
    }
}

/// The first core for the server and the others for the generator; both share the only one.
fn share_cores() -> io::Result<(CpuSet, CpuSet)> {
    let all = sched_getaffinity(None)?;
    let mut server = CpuSet::new();
    let first = (0..CORES_MAX).find(|core| all.is_set(*core)).unwrap_or(0);
    server.set(first);
    let mut generator = all;
    if all.count() > 1 {
        generator.unset(first);
    }
    Ok((server, generator))
}

/// A secret that nobody else knows.
fn draw_secret() -> io::Result<Secret> {
    let mut bytes = [0_u8; 32];
    let drawn = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    if drawn < bytes.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Secret::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
}

fn spawn(
    program: &Path,
    directory: &Path,
    settings: &[String],
    core: &CpuSet,
    secret: &Secret,
) -> Result<Child, BenchError> {
    let errors = File::create(log_of(directory)).map_err(not_started)?;
    let mut command = Command::new(program);
    command.args([
        "serve",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--http-port",
        "0",
        "--admin-port",
        "0",
        "--data",
    ]);
    command.arg(directory.join("data"));
    for setting in settings {
        command.args(["--set", setting]);
    }
    command.env("TIDEMILL_ACCESS_KEY_ID", ACCESS_KEY).env("TIDEMILL_SECRET_ACCESS_KEY", secret.reveal());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
    let core = *core;
    let parent = getpid();
    let prepare = move || {
        // The terminal's Ctrl-C is for the run, which ends the server itself.
        rustix::process::setpgid(None, None)?;
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // A parent that has ended by now sends no signal any more.
        if getppid() != Some(parent) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        sched_setaffinity(None, &core)?;
        Ok(())
    };
    // SAFETY: between fork and exec only system calls are made, which allocate nothing and take no lock.
    unsafe { command.pre_exec(prepare) };
    command.spawn().map_err(not_started)
}

fn log_of(directory: &Path) -> PathBuf {
    directory.join("server.log")
}

/// Has the kernel drop what it has cached of all files of a directory. What a process has mapped stays, so the server must be gone.
fn forget(directory: &Path) -> Result<(), BenchError> {
    let fault = |path: &Path| {
        let path = path.to_owned();
        move |source| BenchError::File { path, source }
    };
    for entry in fs::read_dir(directory).map_err(fault(directory))? {
        let path = entry.map_err(fault(directory))?.path();
        if path.is_dir() {
            forget(&path)?;
            continue;
        }
        let file = File::open(&path).map_err(fault(&path))?;
        // Dirty pages are not dropped.
        file.sync_all().map_err(fault(&path))?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)
            .map_err(|error| fault(&path)(error.into()))?;
    }
    Ok(())
}

fn not_started(source: io::Error) -> BenchError {
    BenchError::Embedded { source }
}
