//! Many subscribed connections on which little happens: what each costs the server in memory, and all of them in processor time.

use tidemill_wire::message::Position;

use super::{Outcome, Scenario, outcome};
use crate::cpu::anonymous_memory;
use crate::error::BenchError;
use crate::load::{Flow, Goal, Part, Target};
use crate::options::{Options, Rate};
use crate::report::MemoryReport;
use crate::watch::Watch;
use crate::workload::check_batch;

/// Connections between two notes of how many there are.
const NOTE_EVERY: usize = 5_000;

pub(super) fn run(
    options: &Options,
    target: &mut Target,
    watch: &mut dyn Watch,
) -> Result<Outcome, BenchError> {
    let pid = target.pid()?;
    let rate = match options.rate {
        None => None,
        Some(Rate::Fixed(rate)) => Some(rate),
        Some(Rate::Ramp { .. }) => {
            return Err(BenchError::NoEffect { option: "a ramp", needs: "a scenario that looks for a knee" });
        }
    };
    let shards = target.open_shards()?;
    let mut part = Part::new("connections", Flow::Out, options);
    let before_bytes = anonymous_memory(pid)?;
    if let Some(http) = &options.http {
        part.pushed(options, http, target, &shards, Goal::Idle, rate.is_some())?;
    }
    let native = if options.http.is_some() { 0 } else { options.connections };
    for (number, place) in (1..).zip(target.places(native, &shards)) {
        if options.is_interrupted() {
            return Err(BenchError::Interrupted);
        }
        part.subscriber(options, target, &place.shard, Position::Newest, Goal::Idle, rate.is_some())?;
        if number % NOTE_EVERY == 0 {
            watch.note(&format!("{number} connections"));
        }
    }
    if rate.is_some() {
        let appender = Options { connections: shards.len() as u32, ..options.clone() };
        if options.http.is_none() {
            check_batch(&appender, &target.welcome)?;
        }
        part.appenders(&appender, target, rate, true, false)?;
    }
    let mut after_bytes = Ok(0);
    let found = part.run_and_look(options, target, watch, &mut || after_bytes = anonymous_memory(pid))?;
    let after_bytes = after_bytes?;
    let mut outcome = outcome(Scenario::Connections, options, target, vec![found]);
    let connections = u64::from(options.connections);
    outcome.report.memory = Some(MemoryReport {
        connections,
        before_bytes,
        after_bytes,
        bytes_per_connection: (after_bytes as f64 - before_bytes as f64) / connections as f64,
    });
    Ok(outcome)
}
