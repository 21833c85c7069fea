//! What the machine could do right before and after a run.

use std::path::Path;
use std::time::Duration;

use tidemill_wire::message::Ack;

use super::Scenario;
use crate::ceiling::{Ceiling, CeilingReport, measure_ceiling};
use crate::error::BenchError;
use crate::load::Target;
use crate::options::Options;
use crate::report::{CeilingShare, Report};
use crate::watch::Watch;

/// How long each ceiling is measured, at each end.
const TIME: Duration = Duration::from_secs(1);

/// The ceilings that bound a scenario.
pub(super) fn of(
    scenario: Scenario,
    options: &Options,
    directory: Option<&Path>,
) -> Result<Vec<Ceiling>, BenchError> {
    if !options.has_ceiling {
        return Ok(Vec::new());
    }
    match scenario {
        Scenario::Produce if options.ack == Ack::Written => Ok(vec![Ceiling::SocketWrite]),
        Scenario::Produce => {
            let needs = "a directory on the server's disk, or a server of the run's own: the disk bounds durable appends";
            let directory = directory.ok_or(BenchError::NoEffect { option: "ceiling", needs })?;
            Ok(vec![Ceiling::SocketWrite, Ceiling::Disk(directory.to_owned())])
        }
        Scenario::Consume | Scenario::Replay => Ok(vec![Ceiling::SocketRead]),
        Scenario::Mixed | Scenario::Connections | Scenario::Quota | Scenario::Queue => {
            Err(BenchError::NoEffect { option: "ceiling", needs: "a scenario about throughput" })
        }
    }
}

pub(super) fn measure(
    ceilings: &[Ceiling],
    target: &Target,
    watch: &mut dyn Watch,
) -> Result<Vec<CeilingReport>, BenchError> {
    let pid = target.process.as_ref().ok().copied();
    ceilings
        .iter()
        .map(|ceiling| {
            watch.note(&format!("measuring the ceiling of the {ceiling}"));
            measure_ceiling(ceiling, TIME, pid)
        })
        .collect()
}

/// The last part as a share of each.
pub(super) fn shares(
    report: &Report,
    before: &[CeilingReport],
    after: &[CeilingReport],
) -> Vec<CeilingShare> {
    let reached = report.parts.last().map_or(0.0, |part| part.answered.megabytes_per_second);
    let share = |(before, after): (&CeilingReport, &CeilingReport)| {
        let mean = f64::midpoint(before.megabytes_per_second, after.megabytes_per_second);
        CeilingShare {
            name: before.name.clone(),
            before: before.megabytes_per_second,
            after: after.megabytes_per_second,
            share_percent: reached / mean * 100.0,
        }
    };
    before.iter().zip(after).map(share).collect()
}
