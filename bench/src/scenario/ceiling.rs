//! What the machine could do right before and after a run.

use std::path::Path;
use std::time::{Duration, Instant};

use tidemill_wire::message::Ack;

use super::Scenario;
use crate::ceiling::{Ceiling, CeilingReport, Sink, measure_ceiling};
use crate::cpu::process_cpu;
use crate::error::BenchError;
use crate::load::{Flow, Part, PartEnd, Target};
use crate::options::{HttpProtocol, Options};
use crate::report::{CeilingShare, PartReport, Report};
use crate::watch::Watch;

/// How long each ceiling is measured, at each end.
const TIME: Duration = Duration::from_secs(1);
/// Before that of HTTP.
const HTTP_WARM_UP: Duration = Duration::from_millis(300);
/// A server that only answers and uses less of its core waits for somebody else. Some of the time is before its load.
const BUSY_CORES_MIN: f64 = 0.9;

/// The ceilings that bound a scenario.
pub(super) fn of(
    scenario: Scenario,
    options: &Options,
    directory: Option<&Path>,
) -> Result<Vec<Ceiling>, BenchError> {
    if !options.has_ceiling {
        return Ok(Vec::new());
    }
    let of_messages = options.http.as_ref().is_some_and(|http| http.protocol == HttpProtocol::Sqs);
    match scenario {
        // What is received is gone, and the answers to deletions are others.
        Scenario::Consume if of_messages => Err(BenchError::NoEffect {
            option: "ceiling",
            needs: "a load that can be repeated: receives take away what they give",
        }),
        // Those of HTTP are the load itself on another server.
        Scenario::Produce | Scenario::Consume if options.http.is_some() => Ok(Vec::new()),
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

/// Millions of bytes each second that a server takes or gives which only answers, under the same load; none where it is not asked for.
pub(super) fn of_http(
    scenario: Scenario,
    options: &Options,
    target: &Target,
    watch: &mut dyn Watch,
) -> Result<Option<f64>, BenchError> {
    if options.http.is_none() || !options.has_ceiling {
        return Ok(None);
    }
    let needs = "the program that measures, to start a server that only answers";
    let program = options.program.as_deref();
    let program = program.ok_or(BenchError::NoEffect { option: "ceiling", needs })?;
    let flow = if scenario == Scenario::Produce { Flow::In } else { Flow::Out };
    let shards = if flow == Flow::In { Vec::new() } else { target.describe(options)?.shards };
    let add = |part: &mut Part| match flow {
        Flow::In => part.appenders(options, target, None, false, false),
        Flow::Out => part.fetchers(options, target, &shards, None, false),
    };
    watch.note("measuring the ceiling of HTTP");
    let sample = Part::new("sample", flow, options).sample(add)?;
    let fault = |source| BenchError::Ceiling { what: "HTTP", source };
    let sink = Sink::start(program, &sample, target.process.as_ref().ok().copied()).map_err(fault)?;
    let mut part = Part::new("ceiling", flow, options);
    (part.warm_up, part.end) = (HTTP_WARM_UP, PartEnd::Elapsed(TIME));
    part.call_instead(sink.address());
    add(&mut part)?;
    let used = || Ok::<_, BenchError>((Instant::now(), process_cpu(sink.pid())?.total()));
    let (began, before) = used()?;
    let found = part.run(options, target, watch)?;
    let (ended, after) = used()?;
    let cores = (after - before).as_secs_f64() / (ended - began).as_secs_f64();
    watch.note(&bound_of_http(cores));
    Ok(Some(PartReport::new(&found).answered.megabytes_per_second))
}

/// Says what a ceiling of HTTP is the ceiling of.
fn bound_of_http(cores: f64) -> String {
    let bound = if cores < BUSY_CORES_MIN {
        "the generator or a machine that is not quiet bounds this ceiling, and HTTP alone does more"
    } else {
        "HTTP bounds this ceiling"
    };
    format!("the server that only answers used {cores:.2} of its core: {bound}")
}

/// The run as a share of what HTTP alone does.
pub(super) fn share_of_http(report: &Report, before: f64, after: f64) -> CeilingShare {
    let reached = report.parts.last().map_or(0.0, |part| part.answered.megabytes_per_second);
    let share_percent = reached / f64::midpoint(before, after) * 100.0;
    CeilingShare { name: "HTTP".to_owned(), before, after, share_percent }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_waits_is_not_called_the_bound() {
        assert!(bound_of_http(0.97).ends_with("0.97 of its core: HTTP bounds this ceiling"));
        assert!(bound_of_http(0.4).contains("the generator or a machine that is not quiet bounds"));
    }
}
