//! Percentiles by the nearest rank.

use std::time::Duration;

use super::Latencies;

#[test]
fn percentiles_are_samples() {
    let latencies = Latencies::default();
    assert_eq!(latencies.percentiles(), None);
    for micros in (1..=1_000).rev() {
        latencies.add(Duration::from_micros(micros));
    }
    let percentiles = latencies.percentiles().expect("there are samples");
    assert_eq!(
        (percentiles.samples, percentiles.p50_us, percentiles.p99_us, percentiles.p99_9_us),
        (1_000, 500, 990, 999)
    );
    assert_eq!(percentiles.text(), "p50 500 µs, p99 990 µs, p99.9 999 µs");
}
