//! Shares of streams.

use super::{AGE, plan};

#[test]
fn what_is_kept_and_what_is_written_add_up() {
    let streams = plan(2_000_000_000, 100_000_000).expect("a plan");
    let written: f64 = streams.iter().flat_map(|stream| &stream.rates).sum();
    assert!((written - 100e6).abs() < 1.0, "{written}");
    let kept: f64 = streams
        .iter()
        .flat_map(|stream| stream.rates.iter().map(move |rate| (stream, rate)))
        .map(|(stream, rate)| {
            let by_age = stream.age.map_or(f64::MAX, |age| rate * age.as_secs_f64());
            stream.bytes.map_or(by_age, |bytes| by_age.min(bytes as f64))
        })
        .sum();
    assert!((kept - 2e9).abs() < 1e3, "{kept}");
    assert!(streams.iter().all(|stream| stream.age.is_none_or(|age| age == AGE)));
}

#[test]
fn a_rate_that_could_not_flow_is_refused() {
    let error = plan(2_000_000_000, 14_000_000).expect_err("nearly all of it would be kept for a minute");
    assert!(error.to_string().contains("16666667"), "{error}");
}
