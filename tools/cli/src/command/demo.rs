//! `tidemill demo`: everything once, on this machine, with real logs, and checked.

mod run;

use std::net::TcpListener;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use tidemill_server::config::{Config, Sources};

use super::block_on;
use crate::demo::source::{Source, choose};
use crate::failure::{CommandError, Exit, Outcome, chain};
use crate::hosting;
use crate::ingest::key::KeyRule;
use crate::latency::Percentiles;
use crate::output::Output;
use crate::quantity::parse_bytes;
use crate::signal::Signals;

const EXAMPLES: &str = "\
Examples:
  tidemill demo                             this machine's logs, or made-up ones
  tidemill demo /var/log/syslog --exit
  tidemill demo access.log --key field:1 --data ./demo-data

Starts a server in this process, creates a stream of 4 shards without quotas, ingests the logs as fast as it can, replays a range by \
sequence number and then everything, checks that each line came back once and in the order of its key, and leaves the \
server running until Ctrl-C. Without --data everything is removed at the end. Exit code 5 if the check fails.";

/// Show the server at work with real logs, and check that every line comes back once and in order.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Demo {
    /// Files or patterns; without them this machine's readable logs in /var/log, or a made-up access log.
    #[arg(value_name = "FILE")]
    files: Vec<String>,
    /// End when the check is done, instead of leaving the server running.
    #[arg(long)]
    exit: bool,
    /// Keep the data in this directory, instead of in a temporary one.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How much to take of this machine's logs at most, or how much to make up.
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    size: Option<u64>,
    /// The partition key of a line, as for `ingest`. Without it the path of the file, or for a made-up log the address.
    #[arg(long, value_name = "RULE")]
    key: Option<KeyRule>,
}

/// The result.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    source: String,
    stream: String,
    lines: u64,
    bytes: u64,
    keys: usize,
    ingest_bytes_per_second: u64,
    ingest_records_per_second: u64,
    replay_bytes_per_second: u64,
    replay_records_per_second: u64,
    /// Durable appends of one record while the ingest runs.
    latency_loaded: Option<Percentiles>,
    /// The same when nothing else goes on.
    latency_idle: Option<Percentiles>,
    /// Each line came back once, in the order of its key.
    is_complete: bool,
    native: String,
    admin: String,
    data: String,
}

impl Demo {
    pub(crate) fn run(self, output: Output) -> Outcome {
        let temporary = tempfile::Builder::new().prefix("tidemill-demo-").tempdir();
        let temporary = temporary
            .map_err(|error| CommandError::because(Exit::Failure, "no temporary directory", &error))?;
        let data = self.data.clone().unwrap_or_else(|| temporary.path().join("data"));
        let is_kept = self.data.is_some();
        block_on(async move {
            let signals = Signals::catch()?;
            let (files, size, folder) = (self.files, self.size, temporary.path().to_owned());
            let chosen = tokio::task::spawn_blocking(move || choose(&files, size, &folder));
            let mut source = tokio::select! {
                chosen = chosen => {
                    chosen.map_err(|error| CommandError::because(Exit::Failure, "choosing the logs", &error))??
                }
                () = signals.received(1) => return Err(CommandError::new(Exit::Interrupted, "interrupted")),
            };
            if let Some(key) = self.key {
                source.key = key;
            }
            let server = hosting::start(configuration(&data)?).await?;
            let outcome = self::run::run(&server, source, &data, is_kept, output, &signals).await;
            let outcome = match outcome {
                Ok(()) if !self.exit => {
                    signals.received(1).await;
                    Ok(())
                }
                outcome => outcome,
            };
            let stopped = hosting::stop(server).await;
            outcome.and(stopped)
        })
    }
}

/// The defaults, on the usual ports if they are free.
fn configuration(data: &std::path::Path) -> Outcome<Config> {
    let load = |flags: Vec<(String, String)>| {
        let loaded = Sources { flags, ..Sources::default() }.load();
        loaded
            .map(|effective| effective.config)
            .map_err(|error| CommandError::new(Exit::Usage, chain(&error)))
    };
    let set = |key: &str, value: String| (key.to_owned(), value);
    // Segments are written once before their use; smaller ones let the demo begin sooner.
    let fixed = vec![
        set("data.directory", data.display().to_string()),
        set("storage.segment_size", "64MiB".to_owned()),
    ];
    let config = load(fixed.clone())?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let core_ports =
        (0..=cores).filter_map(|core| config.listen.native_port.checked_add(u16::try_from(core).ok()?));
    let is_free = |port: u16| TcpListener::bind((config.listen.host, port)).is_ok();
    if core_ports.chain([config.listen.http_port, config.listen.admin_port]).all(is_free) {
        return Ok(config);
    }
    let any =
        ["listen.native_port", "listen.http_port", "listen.admin_port"].map(|key| set(key, "0".to_owned()));
    load(fixed.into_iter().chain(any).collect())
}
