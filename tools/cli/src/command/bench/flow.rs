//! `tidemill bench flow`: data flows through a server while what is live stays constant; disk use, write amplification, and crashes.

use std::path::PathBuf;

use clap::Args;

use super::interrupt::interrupt_with;
use super::note_build;
use crate::failure::{CommandError, Exit, Outcome};
use crate::flow::FlowError;
use crate::flow::run::{Options, run};
use crate::output::Output;
use crate::quantity::parse_bytes;

/// What flows, and through what.
#[derive(Debug, Args)]
pub(super) struct Flow {
    /// A new directory for the server's data, on the disk that is meant; a temporary one if nothing is said.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Bytes that the retentions keep.
    #[arg(long, value_name = "SIZE", default_value = "2GB", value_parser = parse_bytes)]
    live: u64,
    /// Bytes that are written in all.
    #[arg(long, value_name = "SIZE", default_value = "50GB", value_parser = parse_bytes)]
    total: u64,
    /// Bytes that are written in a second.
    #[arg(long, value_name = "SIZE", default_value = "100MB", value_parser = parse_bytes)]
    rate: u64,
    /// How often the server is killed, at moments drawn by chance.
    #[arg(long, value_name = "N", default_value_t = 10)]
    kills: u32,
    /// Bytes of a segment.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = parse_bytes)]
    segment: u64,
    /// Lanes of the server; the bound on disk use counts four segments for each.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64))]
    lanes: u64,
    /// Mean bytes of a record; they have half of it to three halves.
    #[arg(long, value_name = "SIZE", default_value = "4KB", value_parser = parse_bytes)]
    record_bytes: u64,
    /// From which the moments of the crashes follow.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// A setting of the server, as for `serve`. Can be given more than once.
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
}

impl Flow {
    pub(super) fn run(self, output: Output) -> Outcome {
        note_build();
        let (data, _temporary) = match self.data {
            Some(data) => (data, None),
            None => {
                let folder = tempfile::tempdir();
                let folder = folder.map_err(|error| {
                    CommandError::because(Exit::Failure, "no temporary directory", &error)
                })?;
                (folder.path().join("data"), Some(folder))
            }
        };
        if std::fs::read_dir(&data).is_ok_and(|mut files| files.next().is_some()) {
            return Err(CommandError::new(Exit::Usage, format!("{} is not empty", data.display())));
        }
        let options = Options {
            data,
            live_bytes: self.live,
            total_bytes: self.total,
            bytes_per_second: self.rate,
            kills: self.kills,
            segment_bytes: self.segment,
            lanes: self.lanes,
            record_bytes: self.record_bytes.clamp(64, 1_000_000),
            seed: self.seed,
            settings: self.set,
            interrupt: interrupt_with()?,
        };
        run(options, output).map_err(|error| failed(&error))
    }
}

fn failed(error: &FlowError) -> CommandError {
    let exit = match error {
        FlowError::Record { .. } | FlowError::Gone { .. } => Exit::Damaged,
        FlowError::Options(_) => Exit::Usage,
        FlowError::Interrupted => Exit::Interrupted,
        FlowError::Request { .. }
        | FlowError::Server(_)
        | FlowError::File { .. }
        | FlowError::Disk { .. } => Exit::Failure,
    };
    CommandError::new(exit, error.to_string())
}
