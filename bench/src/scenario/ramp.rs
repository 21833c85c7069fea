//! A closed loop, an open loop at one rate, or one after the other at rising rates, to find the knee.

use std::time::Duration;

use super::{Outcome, Scenario, outcome};
use crate::error::BenchError;
use crate::load::{Found, Part, Target};
use crate::options::Options;
use crate::report::{Knee, PartReport};
use crate::watch::Watch;

/// The share of what was offered that has to be answered within the measured time.
const ANSWERED_MIN: f64 = 0.99;
/// How many times the first step's 99th percentile a step's may be.
const P99_FACTOR_MAX: f64 = 10.0;
/// A 99th percentile that is no knee, whatever the first step's was.
const P99_US_FLOOR: f64 = 10_000.0;
/// Steps beyond the knee before the ramp ends: one may be bad luck.
const STEPS_BEYOND_MAX: usize = 2;
/// How long a step of a ramp may finish what it has begun.
const STEP_DRAIN: Duration = Duration::from_secs(1);

/// Makes the part of a rate.
type Build<'b> = dyn FnMut(String, Option<u64>, &Target) -> Result<Part, BenchError> + 'b;

pub(super) fn run(
    scenario: Scenario,
    options: &Options,
    target: &Target,
    watch: &mut dyn Watch,
    build: &mut Build<'_>,
) -> Result<Outcome, BenchError> {
    let Some(rate) = options.rate else {
        let found = build(scenario.word().to_owned(), None, target)?.run(options, target, watch)?;
        return Ok(outcome(scenario, options, target, vec![found]));
    };
    let steps = rate.steps();
    let is_ramp = steps.len() > 1;
    let mut found: Vec<Found> = Vec::new();
    let mut kept = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let name = if is_ramp {
            format!("step {} of {}: {step}/s", number + 1, steps.len())
        } else {
            scenario.word().to_owned()
        };
        let mut part = build(name, Some(*step), target)?;
        if is_ramp {
            part.drain = part.drain.min(STEP_DRAIN);
        }
        found.push(part.run(options, target, watch)?);
        kept.push(is_kept_up(&PartReport::new(&found[0]), &PartReport::new(&found[number])));
        if kept.ends_with(&[false; STEPS_BEYOND_MAX]) {
            break;
        }
    }
    let mut outcome = outcome(scenario, options, target, found);
    if is_ramp {
        outcome.report.knee = Some(Knee {
            part: knee(&kept).map(|last| outcome.report.parts[last].name.clone()),
            rule: format!(
                "the last step up to which each was answered to {:.0} % within its time, with a p99 of at most {P99_FACTOR_MAX} times the first \
                 step's or {:.0} ms",
                ANSWERED_MIN * 100.0,
                P99_US_FLOOR / 1e3
            ),
        });
    }
    Ok(outcome)
}

/// Whether the server kept up with a step.
fn is_kept_up(first: &PartReport, step: &PartReport) -> bool {
    let offered = step.offered_per_second.unwrap_or(0.0) * step.seconds;
    // At the end of the time, some requests are always on their way.
    let is_answered = step.answered.requests as f64 >= offered * ANSWERED_MIN - 2.0;
    let p99 = |part: &PartReport| part.main_latency().map_or(0.0, |latency| latency.p99);
    is_answered && step.unfinished == 0 && p99(step) <= (p99(first) * P99_FACTOR_MAX).max(P99_US_FLOOR)
}

/// The last step before the first that the server did not keep up with.
fn knee(kept: &[bool]) -> Option<usize> {
    kept.iter().take_while(|kept| **kept).count().checked_sub(1)
}

#[cfg(test)]
mod tests;
