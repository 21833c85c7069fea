//! What is refused before anything is sent.

use std::time::Duration;

use super::{Options, Until};

fn check(change: impl FnOnce(&mut Options), expected: Option<&str>) {
    let mut options = Options::new("localhost:1", "bench".parse().unwrap());
    change(&mut options);
    let found = options.check().err().map(|error| error.to_string());
    assert_eq!(found.as_deref(), expected);
}

#[test]
fn options_out_of_range_are_refused_by_name() {
    check(|_| {}, None);
    check(|o| o.connections = 0, Some("connections is 0, must be 1 to 4096"));
    check(|o| o.in_flight = 100_000, Some("in-flight is 100000, must be 1 to 65536"));
    check(|o| o.batch_records = 65_537, Some("batch-records is 65537, must be 1 to 65536"));
    check(
        |o| o.record_bytes = 20_000,
        Some("record-bytes × batch-records is 20000000, must be 1 to 12581888"),
    );
    check(
        |o| o.until = Until::Elapsed(Duration::from_micros(10)),
        Some("duration in ms is 0, must be 1 to 18446744073709551615"),
    );
    check(
        |o| o.answer_timeout = Duration::ZERO,
        Some("answer timeout in ms is 0, must be 1 to 18446744073709551615"),
    );
}
