//! `tidemill bench ceiling`: what this machine can do without a server.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use tidemill_bench::{Ceiling, measure_ceiling};

use super::{failed, note_build};
use crate::failure::Outcome;
use crate::output::Output;
use crate::quantity::parse_span;

/// What is measured.
#[derive(Debug, Args)]
pub(super) struct CeilingCommand {
    #[command(subcommand)]
    what: What,
    /// How long each is measured.
    #[arg(long, value_name = "SPAN", default_value = "3s", value_parser = parse_span, global = true)]
    duration: Duration,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Bytes over loopback: to a sink that copies them into resident memory with a CRC-32, and from such memory.
    #[command(after_help = "Examples:
  tidemill bench ceiling socket --duration 10s")]
    Socket,
    /// Sequential writes with a flush, over extents that were written before, and the flush of a small write.
    #[command(after_help = "Examples:
  tidemill bench ceiling disk --directory /var/lib/tidemill")]
    Disk {
        /// A directory on the disk that is meant.
        #[arg(long, value_name = "DIR", default_value = ".")]
        directory: PathBuf,
    },
}

impl CeilingCommand {
    pub(super) fn run(self, output: Output) -> Outcome {
        note_build();
        let ceilings = match self.what {
            What::Socket => vec![Ceiling::SocketWrite, Ceiling::SocketRead],
            What::Disk { directory } => vec![Ceiling::Disk(directory)],
        };
        for ceiling in ceilings {
            let found = measure_ceiling(&ceiling, self.duration, None).map_err(|error| failed(&error))?;
            output.print(&found, ToString::to_string)?;
        }
        Ok(())
    }
}
