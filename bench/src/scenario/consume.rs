//! Fetches over what a stream holds, from the beginning again at its end. Each request in flight is a reader of its own, and the readers of a
//! shard begin spread over it.

use super::{Outcome, Scenario, fill, ramp};
use crate::error::BenchError;
use crate::load::{Flow, Part, Target};
use crate::options::Options;
use crate::watch::Watch;

pub(super) fn run(
    options: &Options,
    target: &mut Target,
    watch: &mut dyn Watch,
) -> Result<Outcome, BenchError> {
    fill::run(options, target, watch)?;
    let shards = if target.queue.is_some() { Vec::new() } else { target.filled_shards()? };
    ramp::run(Scenario::Consume, options, target, watch, &mut |name, rate, target| {
        let mut part = Part::new(name, Flow::Out, options);
        part.fetchers(options, target, &shards, rate, false)?;
        Ok(part)
    })
}
