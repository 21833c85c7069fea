//! The generator against a small server of the test's own: counts are exact and every fault surfaces.

mod consume;
mod faults;
mod files;
mod mixed;
mod open_loop;
mod produce;
mod server;

use std::time::Duration;

use tidemill_bench::{BenchError, Options, PartReport, Report, Scenario, Sizes, Until, Unwatched, run};

/// A short run against a server of the test.
fn options(server: &server::Server) -> Options {
    Options {
        shards: 2,
        connections: 3,
        in_flight: 4,
        record_bytes: Sizes::Fixed(100),
        batch_records: 10,
        warm_up: Duration::from_millis(30),
        until: Until::Elapsed(Duration::from_millis(200)),
        answer_timeout: Duration::from_secs(60),
        ..Options::new(server.address().to_string(), "bench".parse().expect("a name"))
    }
}

/// Runs a scenario that nobody watches.
fn report(scenario: Scenario, options: &Options) -> Result<Report, BenchError> {
    run(scenario, options, None, &mut Unwatched).map(|outcome| outcome.report)
}

/// The only part of a run of appends.
fn produce(options: &Options) -> Result<PartReport, BenchError> {
    report(Scenario::Produce, options).map(only_part)
}

/// The only part of a run of fetches.
fn consume(options: &Options) -> Result<PartReport, BenchError> {
    report(Scenario::Consume, options).map(only_part)
}

fn only_part(mut report: Report) -> PartReport {
    assert_eq!(report.parts.len(), 1, "{report}");
    report.parts.remove(0)
}
