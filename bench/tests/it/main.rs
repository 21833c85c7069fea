//! The generator against a small server of the test's own: counts are exact and every fault surfaces.

mod consume;
mod faults;
mod produce;
mod server;

use std::time::Duration;

use tidemill_bench::{Options, Until};

/// A short run against a server of the test.
fn options(server: &server::Server) -> Options {
    Options {
        shards: 2,
        connections: 3,
        in_flight: 4,
        record_bytes: 100,
        batch_records: 10,
        warm_up: Duration::from_millis(30),
        until: Until::Elapsed(Duration::from_millis(200)),
        answer_timeout: Duration::from_secs(60),
        ..Options::new(server.address().to_string(), "bench".parse().expect("a name"))
    }
}
