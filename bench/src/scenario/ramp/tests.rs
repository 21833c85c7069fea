//! Which steps count as kept up, and which of them is the knee.

use super::{is_kept_up, knee};
use crate::report::{PartReport, tests};

/// A step of 2,000 requests a second for 2.5 s, of which so many were answered, with this 99th percentile.
fn step(requests: u64, p99_us: f64) -> PartReport {
    let mut part = tests::report(|_| ()).parts.remove(0);
    part.offered_per_second = Some(2_000.0);
    part.answered.requests = requests;
    part.latency_us[0].p99 = p99_us;
    part
}

#[test]
fn a_step_is_kept_up_when_all_but_a_hundredth_is_answered_in_time() {
    let first = step(5_000, 500.0);
    assert!(is_kept_up(&first, &first));
    assert!(is_kept_up(&first, &step(4_948, 500.0)));
    assert!(!is_kept_up(&first, &step(4_947, 500.0)));
    let unfinished = PartReport { unfinished: 1, ..step(5_000, 500.0) };
    assert!(!is_kept_up(&first, &unfinished));
}

#[test]
fn a_step_is_kept_up_while_its_p99_is_near_the_first_ones_or_small() {
    let (quick, slow) = (step(5_000, 500.0), step(5_000, 2_000.0));
    assert!(is_kept_up(&quick, &step(5_000, 10_000.0)), "10 ms are no knee");
    assert!(!is_kept_up(&quick, &step(5_000, 10_001.0)));
    assert!(is_kept_up(&slow, &step(5_000, 20_000.0)));
    assert!(!is_kept_up(&slow, &step(5_000, 20_001.0)));
}

#[test]
fn the_knee_is_the_step_before_the_first_that_was_too_much() {
    assert_eq!(knee(&[true, true, false, true, false, false]), Some(1));
    assert_eq!(knee(&[true, true]), Some(1));
    assert_eq!(knee(&[false, true]), None);
}
