//! What is refused before anything is sent.

use std::time::Duration;

use tidemill_wire::batch::Compression;

use super::{Keys, Options, Rate, Sizes, Until};

fn check(change: impl FnOnce(&mut Options), expected: Option<&str>) {
    let mut options = Options::new("localhost:1", "bench".parse().unwrap());
    change(&mut options);
    let found = options.check().err().map(|error| error.to_string());
    assert_eq!(found.as_deref(), expected);
}

#[test]
fn options_out_of_range_are_refused_by_name() {
    check(|_| {}, None);
    check(|o| o.connections = 0, Some("connections is 0, must be 1 to 60000"));
    check(|o| o.in_flight = 100_000, Some("in-flight is 100000, must be 1 to 65536"));
    check(|o| o.batch_records = 65_537, Some("batch-records is 65537, must be 1 to 65536"));
    check(
        |o| o.record_bytes = Sizes::Fixed(20_000),
        Some("record-bytes × batch-records is 20000000, must be 1 to 12581888"),
    );
    check(
        |o| o.until = Until::Elapsed(Duration::from_micros(10)),
        Some("duration in ms is 0, must be at least 1"),
    );
    check(|o| o.answer_timeout = Duration::ZERO, Some("answer timeout in ms is 0, must be at least 1"));
}

#[test]
fn options_without_effect_are_refused_with_what_they_need() {
    let second = Duration::from_secs(1);
    check(
        |o| o.linger = Some(second),
        Some("linger has no effect without --rate: a closed loop has no arrivals to wait for"),
    );
    check(|o| (o.linger, o.rate) = (Some(second), Some(Rate::Fixed(1))), None);
    check(
        |o| (o.until, o.rate) = (Until::Bytes(1), Some(Rate::Fixed(1))),
        Some("bytes has no effect without a closed loop: an open one ends by --duration"),
    );
    check(
        |o| o.compressible_percent = 50,
        Some("compressible has no effect without --compression: without, bytes are stored as they are"),
    );
    check(|o| (o.compressible_percent, o.compression) = (50, Compression::Lz4), None);
    check(
        |o| o.rate = Some(Rate::Ramp { from: 9, to: 9, steps: 3 }),
        Some("rate at the end of the ramp is 9, must be 10 to 10000000000"),
    );
}

#[test]
fn rates_sizes_and_keys_read_as_they_are_shown() {
    for (text, rate) in [
        ("5000", Rate::Fixed(5_000)),
        ("10k", Rate::Fixed(10_000)),
        ("1.5M", Rate::Fixed(1_500_000)),
        ("10k..500k", Rate::Ramp { from: 10_000, to: 500_000, steps: 10 }),
        ("1..2:5", Rate::Ramp { from: 1, to: 2, steps: 5 }),
    ] {
        assert_eq!(text.parse(), Ok(rate), "{text}");
        assert_eq!(rate.to_string().parse(), Ok(rate), "{rate}");
    }
    for wrong in ["", "k", "-1", "1e3", "10k..", "..5", "1..2:x", "0.5", "nan", "99999999999999M"] {
        wrong.parse::<Rate>().unwrap_err();
    }
    assert_eq!("10..1000".parse(), Ok(Sizes::Uniform(10, 1_000)));
    for wrong in ["", "9..3", "1k", "1.."] {
        wrong.parse::<Sizes>().unwrap_err();
    }
    assert_eq!("zipf:10".parse(), Ok(Keys::Zipf { keys: 10, skew: 0.99 }));
    assert_eq!("zipf:10:1.2".parse(), Ok(Keys::Zipf { keys: 10, skew: 1.2 }));
    assert_eq!("uniform:7".parse::<Keys>().unwrap().to_string(), "uniform:7");
    for wrong in ["", "zipf", "zipf:0", "zipf:5:-1", "zipf:5:nan", "uniform:2000000", "one"] {
        wrong.parse::<Keys>().unwrap_err();
    }
}

#[test]
fn a_ramp_goes_up_by_one_factor_from_end_to_end() {
    let ramp = Rate::Ramp { from: 1_000, to: 16_000, steps: 5 };
    assert_eq!(ramp.steps(), [1_000, 2_000, 4_000, 8_000, 16_000]);
    assert_eq!(Rate::Fixed(7).steps(), [7]);
}
