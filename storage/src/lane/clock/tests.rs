//! The clock against a wall clock that jumps.

use proptest::prelude::*;

use super::*;

/// What the clock shows, for each look: the wall clock and the seconds that went by.
fn check(last: u64, looks: &[(u64, u64)], expected: &[u64]) {
    let clock = Clock::new(Timestamp(last), Duration::ZERO);
    let mut monotonic = Duration::ZERO;
    for ((wall, seconds), expected) in looks.iter().zip(expected) {
        monotonic += Duration::from_secs(*seconds);
        assert_eq!(clock.show(Timestamp(*wall), monotonic), Timestamp(*expected), "{looks:?}");
    }
}

#[test]
fn it_follows_the_wall_clock_forward_and_runs_slower_until_it_has_caught_up() {
    check(0, &[(1_000_000, 0), (1_008_000, 8)], &[1_000_000, 1_008_000]);
    check(0, &[(1_000_000, 0), (9_000_000, 8)], &[1_000_000, 9_000_000]);
    check(0, &[(1_000_000, 0), (900_000, 8)], &[1_000_000, 1_007_000]);
    check(
        0,
        &[(1_000_000, 0), (999_000, 0), (1_007_500, 8), (1_015_500, 8)],
        &[1_000_000, 1_000_000, 1_007_500, 1_015_500],
    );
    check(5_000_000, &[(1_000_000, 0), (1_080_000, 80)], &[5_000_000, 5_070_000]);
    check(u64::MAX, &[(1_000_000, 0), (1_080_000, 80)], &[u64::MAX, u64::MAX]);
}

proptest! {
    #[test]
    fn it_never_falls_and_is_never_behind_the_wall_clock(last: u32, looks: Vec<(u64, u32)>) {
        let clock = Clock::new(Timestamp(u64::from(last)), Duration::ZERO);
        let (mut shown, mut monotonic) = (u64::from(last), Duration::ZERO);
        for (wall, micros) in looks {
            let passed = Duration::from_micros(u64::from(micros));
            monotonic += passed;
            let time = clock.show(Timestamp(wall), monotonic).0;
            prop_assert!(time >= wall && time >= shown);
            let most = shown.saturating_add(passed.as_millis() as u64 + 1);
            prop_assert!(time <= wall.max(most));
            shown = time;
        }
    }
}
