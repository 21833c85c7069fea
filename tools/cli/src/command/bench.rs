//! `tidemill bench`: measures a server. The load itself is the bench package's.

mod arguments;
mod ceiling;
mod compare;
mod flow;
mod interrupt;
mod progress;
mod run;
mod scenarios;
mod sink;

use clap::{Args, Subcommand};
use tidemill_bench::BenchError;

use self::ceiling::CeilingCommand;
use self::compare::Compare;
use self::flow::Flow;
use self::scenarios::Load;
use self::sink::Sink;
use crate::failure::{CommandError, Exit, Outcome, chain, exit_of};
use crate::output::{Output, note};

/// Measure a server: throughput, latency, and the processor time that they cost.
///
/// Shows the server's processor time when the server runs on this machine. docs/PERFORMANCE.md tells how to read the figures.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one of it in a process")]
enum What {
    #[command(flatten)]
    Load(Load),
    /// Let data flow through a server while what is live stays constant, and kill it on the way.
    ///
    /// Starts a server of its own with three streams that keep their records for an age, for so many bytes, and for both. Everything that is read is checked; disk use is
    /// held against 1.6 times what is live and four segments for each lane at every look. Exit code 5 if a record is lost or wrong, 1 if it takes more.
    #[command(after_help = "Examples:
  tidemill bench flow --data /var/lib/tidemill-flow
  tidemill bench flow --live 20MB --total 500MB --rate 8MB --segment 4MiB")]
    Flow(Flow),
    /// Measure what this machine can do without a server.
    #[command(after_help = "Examples:
  tidemill bench ceiling socket
  tidemill bench ceiling disk --directory /var/lib/tidemill")]
    Ceiling(CeilingCommand),
    #[command(
        hide = true,
        after_help = "Examples:
  tidemill bench sink --core 0 < LENGTH-AND-ANSWER"
    )]
    Sink(Sink),
    /// Show what changed from one run to another, from what --json has printed.
    #[command(after_help = "Examples:
  tidemill bench produce --json > before.json
  tidemill bench compare before.json after.json")]
    Compare(Compare),
}

impl Bench {
    pub(crate) fn run(self, server: &str, output: Output) -> Outcome {
        match self.what {
            What::Load(load) => self::run::run(&load, server, output),
            What::Flow(flow) => flow.run(output),
            What::Ceiling(ceiling) => ceiling.run(output),
            What::Sink(sink) => sink.run(output),
            What::Compare(compare) => compare.run(output),
        }
    }
}

/// Says once that a build is not for measuring.
fn note_build() {
    if cfg!(debug_assertions) {
        note("tidemill: this is a debug build, so the figures say little; build with --release");
    }
}

fn failed(error: &BenchError) -> CommandError {
    let exit = match error {
        BenchError::Option { .. }
        | BenchError::NoEffect { .. }
        | BenchError::LatencyFile { .. }
        | BenchError::Incomparable { .. } => Exit::Usage,
        BenchError::Connect { .. } | BenchError::Resolve { .. } => Exit::Unreachable,
        BenchError::Refused { failure, .. } => exit_of(failure.code),
        BenchError::Interrupted => Exit::Interrupted,
        _ => Exit::Failure,
    };
    CommandError::new(exit, chain(error))
}
