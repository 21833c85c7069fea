//! One run of a scenario: its server, its progress, and the files it leaves.

use std::path::Path;

use tidemill_bench::{Embedded, check_latency_file};

use super::arguments::Run;
use super::interrupt::interrupt_with;
use super::progress::Progress;
use super::scenarios::Load;
use super::{failed, note_build};
use crate::failure::{CommandError, Exit, Outcome};
use crate::output::{Output, note};

pub(super) fn run(load: &Load, server: &str, output: Output) -> Outcome {
    note_build();
    let run = load.run();
    run.histogram.iter().try_for_each(|path| check_latency_file(path)).map_err(|error| failed(&error))?;
    // A run is not to be lost to a folder that is not there.
    run.report.iter().try_for_each(|path| write(path, ""))?;
    let (scenario, mut options) = load.scenario(server);
    options.interrupt = interrupt_with()?;
    // Where it is not known, the ceiling that needs it says so.
    options.program = std::env::current_exe().ok();
    let mut embedded = start(run, options.connections)?;
    let mut progress = Progress::new();
    let outcome = tidemill_bench::run(scenario, &options, embedded.as_mut(), &mut progress);
    progress.end();
    let outcome = outcome.map_err(|error| failed(&error))?;
    for path in &run.histogram {
        for written in outcome.write_latencies(path).map_err(|error| failed(&error))? {
            note(format_args!("tidemill: latencies are in {}", written.display()));
        }
    }
    if let Some(path) = &run.report {
        write(path, &outcome.report.page())?;
        note(format_args!("tidemill: the report is in {}", path.display()));
    }
    output.print(&outcome.report, ToString::to_string)
}

/// Starts the run's own server, if it is to have one.
fn start(run: &Run, connections: u32) -> Outcome<Option<Embedded>> {
    if !run.embedded {
        return Ok(None);
    }
    let program = std::env::current_exe()
        .map_err(|error| CommandError::because(Exit::Failure, "cannot find this program", &error))?;
    let connections = connections.saturating_add(CONNECTIONS_BESIDE);
    let mut settings = vec!["server.cores=1".to_owned()];
    if connections > CONNECTIONS_DEFAULT {
        settings.push(format!("limits.connections={connections}"));
    }
    settings.extend(run.embedded_set.iter().cloned());
    Embedded::start(&program, run.embedded_data.as_deref(), &settings)
        .map(Some)
        .map_err(|error| failed(&error))
}

/// Connections that a server takes without being told.
const CONNECTIONS_DEFAULT: u32 = 10_000;
/// Connections of a run beside those that are asked for: for the stream, and for appends.
const CONNECTIONS_BESIDE: u32 = 64;

fn write(path: &Path, text: &str) -> Outcome {
    std::fs::write(path, text).map_err(|error| {
        CommandError::because(Exit::Failure, format!("cannot write {}", path.display()), &error)
    })
}
