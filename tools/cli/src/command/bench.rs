//! `tidemill bench`: measures a server. The load itself is the bench package's.

mod arguments;
mod interrupt;
mod progress;
mod scenarios;

use clap::Args;
use tidemill_bench::{BenchError, check_latency_file};

use self::interrupt::interrupt_with;
use self::progress::Progress;
use self::scenarios::Load;
use crate::failure::{CommandError, Exit, Outcome, chain, exit_of};
use crate::output::{Output, note};

/// Measure a server: throughput, latency, and the processor time that they cost.
///
/// Shows the server's processor time when the server runs on this machine. docs/PERFORMANCE.md tells how to read the figures.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    load: Load,
}

impl Bench {
    pub(crate) fn run(self, server: &str, output: Output) -> Outcome {
        if cfg!(debug_assertions) {
            note("tidemill: this is a debug build, so the figures say little; build with --release");
        }
        let histograms = &self.load.run().histogram;
        histograms.iter().try_for_each(|path| check_latency_file(path)).map_err(|error| failed(&error))?;
        let (scenario, mut options) = self.load.scenario(server);
        options.interrupt = interrupt_with()?;
        let mut progress = Progress::new();
        let outcome = tidemill_bench::run(scenario, &options, &mut progress);
        progress.end();
        let outcome = outcome.map_err(|error| failed(&error))?;
        for path in histograms {
            for written in outcome.write_latencies(path).map_err(|error| failed(&error))? {
                note(format_args!("tidemill: latencies are in {}", written.display()));
            }
        }
        output.print(&outcome.report, ToString::to_string)
    }
}

fn failed(error: &BenchError) -> CommandError {
    let exit = match error {
        BenchError::Option { .. } | BenchError::NoEffect { .. } | BenchError::LatencyFile { .. } => {
            Exit::Usage
        }
        BenchError::Connect { .. } | BenchError::Resolve { .. } => Exit::Unreachable,
        BenchError::Refused { failure, .. } => exit_of(failure.code),
        BenchError::Interrupted => Exit::Interrupted,
        _ => Exit::Failure,
    };
    CommandError::new(exit, chain(error))
}
