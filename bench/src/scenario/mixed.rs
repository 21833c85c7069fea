//! Appends and subscribers at the same time: how long a record takes from being meant to leave until it is in its subscriber's hands.

use tidemill_wire::batch::Compression;
use tidemill_wire::message::{Position, ShardState};

use super::{Outcome, Scenario, ramp};
use crate::error::BenchError;
use crate::load::{Flow, Goal, Part, Target};
use crate::options::Options;
use crate::watch::Watch;
use crate::workload::check_batch;

pub(super) fn run(
    options: &Options,
    target: &mut Target,
    watch: &mut dyn Watch,
) -> Result<Outcome, BenchError> {
    if options.compression != Compression::None {
        let needs = "a scenario whose records carry no times";
        return Err(BenchError::NoEffect { option: "compression", needs });
    }
    if options.http.is_none() {
        check_batch(options, &target.welcome)?;
    }
    ramp::run(Scenario::Mixed, options, target, watch, &mut |name, rate, target| {
        let mut part = Part::new(name, Flow::In, options);
        if let (Some(http), Some(_)) = (&options.http, &target.queue) {
            part.pollers(options, http, target, options.connections)?;
            part.appenders(options, target, rate, true, false)?;
            return Ok(part);
        }
        let stream = target.describe(options)?;
        for shard in stream.shards.iter().filter(|shard| shard.state == ShardState::Open) {
            let position = Position::Sequence(shard.next_sequence);
            part.subscriber(options, target, shard, position, Goal::Acknowledged, true)?;
        }
        part.appenders(options, target, rate, true, false)?;
        Ok(part)
    })
}
