//! Intervals that suit their part.

use std::time::Duration;

use super::interval_of;
use super::window::End;

#[test]
fn a_timeline_has_some_dozen_points_whatever_its_length() {
    for (seconds, interval_ms) in [(1, 10), (10, 100), (60, 500), (600, 5_000), (36_000, 60_000)] {
        let found = interval_of(End::Elapsed(Duration::from_secs(seconds)));
        assert_eq!(found, Duration::from_millis(interval_ms), "{seconds} s");
    }
}
