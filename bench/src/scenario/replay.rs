//! Subscribers that begin at the oldest record and catch up with the newest: how fast a reader that was away comes back.

use std::time::Duration;

use tidemill_wire::message::Position;

use super::{Outcome, Scenario, fill, outcome};
use crate::embedded::Embedded;
use crate::error::BenchError;
use crate::load::{Flow, Found, Goal, Part, PartEnd, Target};
use crate::options::Options;
use crate::watch::Watch;

pub(super) fn run(
    options: &Options,
    target: &mut Target,
    embedded: Option<&mut Embedded>,
    watch: &mut dyn Watch,
) -> Result<Outcome, BenchError> {
    fill::run(options, target, watch)?;
    let mut found = Vec::new();
    if options.is_cold {
        let needs = "a server of the run's own, since a running one keeps its files in memory";
        let embedded = embedded.ok_or(BenchError::NoEffect { option: "cold", needs })?;
        watch.note("restarting the server without what was cached");
        embedded.restart_cold()?;
        let options = Options { server: embedded.address().to_owned(), ..options.clone() };
        target.reopen(&options)?;
        found.push(catch_up("cold", &options, target, watch)?);
    }
    found.push(catch_up("warm", options, target, watch)?);
    Ok(outcome(Scenario::Replay, options, target, found))
}

fn catch_up(
    name: &str,
    options: &Options,
    target: &Target,
    watch: &mut dyn Watch,
) -> Result<Found, BenchError> {
    let mut part = Part::new(name, Flow::Out, options);
    (part.warm_up, part.end) = (Duration::ZERO, PartEnd::Done);
    let shards = target.filled_shards()?;
    for place in target.places(options.connections.max(shards.len() as u32), &shards) {
        let goal = Goal::Reach(place.shard.next_sequence);
        part.subscriber(options, target, &place.shard, Position::Oldest, goal, false)?;
    }
    part.run(options, target, watch)
}
