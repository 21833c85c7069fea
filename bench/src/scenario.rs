//! What a run does with a server: one file each.

mod ceiling;
mod connections;
mod consume;
mod fill;
mod mixed;
mod produce;
mod queue;
mod quota;
mod ramp;
mod replay;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use tidemill_wire::message::Quota;

use crate::ceiling::Ceiling;
use crate::embedded::Embedded;
use crate::error::BenchError;
use crate::load::{Found, Target, with_server, with_stream};
use crate::options::{HttpProtocol, Options};
use crate::report::Report;
use crate::watch::Watch;

/// Open files that are no connections: rings, standard streams, `/proc`, and some to spare.
const FILES_BESIDE: u64 = 64;

/// Which load runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scenario {
    /// Appends of batches.
    Produce,
    /// Fetches of what is stored.
    Consume,
    /// Appends, and subscribers that they are pushed to.
    Mixed,
    /// Subscribers that catch up with what is stored.
    Replay,
    /// Many subscribed connections on which little happens.
    Connections,
    /// More appends and fetches than the quota of a stream allows.
    Quota,
    /// Messages that are sent to a queue, received and deleted.
    Queue,
}

/// A report, and the measurements behind it in full.
pub struct Outcome {
    /// The figures.
    pub report: Report,
    pub(crate) found: Vec<Found>,
}

impl Scenario {
    /// Its name on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Produce => "produce",
            Self::Consume => "consume",
            Self::Mixed => "mixed",
            Self::Replay => "replay",
            Self::Connections => "connections",
            Self::Quota => "quota",
            Self::Queue => "queue",
        }
    }

    /// Whether it appends while it measures, so that the shape of appends has an effect.
    pub(crate) fn appends(self) -> bool {
        matches!(self, Self::Produce | Self::Mixed | Self::Quota)
    }

    /// Whether the size of what is read at a time has an effect.
    pub(crate) fn fetches(self) -> bool {
        matches!(self, Self::Consume | Self::Mixed | Self::Replay | Self::Quota)
    }

    /// Whether it reads what was there before.
    pub(crate) fn fills(self) -> bool {
        matches!(self, Self::Consume | Self::Replay)
    }

    /// Whether connections have requests in flight.
    pub(crate) fn has_slots(self) -> bool {
        matches!(self, Self::Produce | Self::Consume | Self::Mixed | Self::Quota | Self::Queue)
    }
}

/// Runs a scenario against a server, or against the run's own.
///
/// # Errors
/// The first thing that went wrong on any connection; what the other connections found is dropped with it. If the server has ended, that is the error,
/// also where nothing else has failed.
pub fn run(
    scenario: Scenario,
    options: &Options,
    mut embedded: Option<&mut Embedded>,
    watch: &mut dyn Watch,
) -> Result<Outcome, BenchError> {
    let outcome = perform(scenario, options, embedded.as_deref_mut(), watch);
    let Some(embedded) = embedded else { return outcome };
    let has_failed = outcome.as_ref().is_err_and(|error| !matches!(error, BenchError::Interrupted));
    match (embedded.check_running(has_failed), outcome) {
        (Ok(()), outcome) => outcome,
        // It was told already, when the server was restarted.
        (Err(_), Err(ended @ BenchError::ServerEnded { .. })) => Err(ended),
        (Err(BenchError::ServerEnded { how, said, .. }), outcome) => {
            let failure = match outcome.err() {
                Some(BenchError::ServerGone { failure, .. }) => Some(failure),
                failure => failure.map(Box::new),
            };
            Err(BenchError::ServerEnded { how, said, failure })
        }
        (Err(error), _) => Err(error),
    }
}

fn perform(
    scenario: Scenario,
    options: &Options,
    embedded: Option<&mut Embedded>,
    watch: &mut dyn Watch,
) -> Result<Outcome, BenchError> {
    let mut options = options.clone();
    if let Some(embedded) = &embedded {
        // The stream goes with its server.
        (options.server, options.keep_stream) = (embedded.address().to_owned(), true);
        if let Some(http) = &mut options.http {
            embedded.tell(http);
        }
    }
    let options = &options;
    check_spoken(scenario, options)?;
    options.check()?;
    allow_files(options)?;
    // Quotas hold back what is to be measured, unless they are what is.
    let quota = if scenario == Scenario::Quota { None } else { Some(Quota::OFF) };
    let directory = embedded.as_ref().map(|embedded| embedded.directory().to_owned());
    let directory = options.ceiling_directory.clone().or(directory);
    let ceilings = ceiling::of(scenario, options, directory.as_deref())?;
    if scenario == Scenario::Queue {
        return with_server(options, |target| queue::run(options, target, watch));
    }
    with_stream(options, quota, |target| measured(scenario, options, &ceilings, target, embedded, watch))
}

/// The scenario between its ceilings.
fn measured(
    scenario: Scenario,
    options: &Options,
    ceilings: &[Ceiling],
    target: &mut Target,
    embedded: Option<&mut Embedded>,
    watch: &mut dyn Watch,
) -> Result<Outcome, BenchError> {
    let before = ceiling::measure(ceilings, target, watch)?;
    if scenario == Scenario::Consume && options.http.is_some() && options.has_ceiling {
        // What is read of the real one has to be there.
        fill::run(options, target, watch)?;
    }
    let http_before = ceiling::of_http(scenario, options, target, watch)?;
    let mut outcome = match scenario {
        Scenario::Produce => produce::run(options, target, watch),
        Scenario::Consume => consume::run(options, target, watch),
        Scenario::Mixed => mixed::run(options, target, watch),
        Scenario::Replay => replay::run(options, target, embedded, watch),
        Scenario::Connections => connections::run(options, target, watch),
        Scenario::Quota => quota::run(options, target, watch),
        Scenario::Queue => queue::run(options, target, watch),
    }?;
    let after = ceiling::measure(ceilings, target, watch)?;
    outcome.report.ceilings = ceiling::shares(&outcome.report, &before, &after);
    if let (Some(before), Some(after)) = (http_before, ceiling::of_http(scenario, options, target, watch)?) {
        outcome.report.ceilings.push(ceiling::share_of_http(&outcome.report, before, after));
    }
    Ok(outcome)
}

/// An outcome with nothing to add to its parts.
fn outcome(scenario: Scenario, options: &Options, target: &Target, found: Vec<Found>) -> Outcome {
    Outcome { report: Report::new(scenario, options, target, &found), found }
}

/// Lets the process open as many files as it may, and checks that they are enough.
fn allow_files(options: &Options) -> Result<(), BenchError> {
    let limit = getrlimit(Resource::Nofile);
    // What is refused here shows in the limit that is read next.
    _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let Some(files) = getrlimit(Resource::Nofile).current else { return Ok(()) };
    let max = files.saturating_sub(FILES_BESIDE);
    let value = u64::from(options.connections);
    let refusal =
        BenchError::Option { option: "connections with this limit of open files", value, min: 1, max };
    if value <= max { Ok(()) } else { Err(refusal) }
}

/// Refuses what no generator speaks.
fn check_spoken(scenario: Scenario, options: &Options) -> Result<(), BenchError> {
    let protocol = options.http.as_ref().map(|http| http.protocol);
    let is_spoken = match (scenario, protocol) {
        (Scenario::Replay | Scenario::Quota | Scenario::Queue, Some(_))
        | (Scenario::Connections, Some(HttpProtocol::Sqs)) => false,
        (_, _) => true,
    };
    let needs = "produce, consume or mixed, or connections for kinesis: nothing else is spoken in it";
    if is_spoken { Ok(()) } else { Err(BenchError::NoEffect { option: "protocol", needs }) }
}
