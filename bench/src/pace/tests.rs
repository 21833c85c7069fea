//! Times against the plain definition, and nothing lost to a stall.

use std::time::Duration;

use proptest::prelude::*;

use super::Pace;

proptest! {
    #[test]
    fn all_connections_together_keep_the_rate(
        per_second in 1..10_000_000_u64,
        units in 1..2_000_u32,
        connections in 1..20_u32,
        requests in 1..200_usize,
    ) {
        let mut times = Vec::new();
        for connection in 0..connections {
            let mut pace = Pace::new(per_second, units, None, connection, connections);
            for _ in 0..requests {
                times.push(pace.peek().intended_ns);
                prop_assert_eq!(pace.peek().due_ns, pace.peek().intended_ns);
                pace.advance();
            }
        }
        times.sort_unstable();
        for (number, time) in times.iter().enumerate() {
            let exact = number as f64 * f64::from(units) / per_second as f64 * 1e9;
            // No drift: the error does not grow with the number, apart from the f64's own.
            prop_assert!((*time as f64 - exact).abs() <= 1.0 + exact * 1e-12, "{} is not {}", time, exact);
        }
    }

    #[test]
    fn what_is_left_is_what_would_still_come(
        per_second in 1..1_000_000_u64,
        units in 1..500_u32,
        connections in 1..5_u32,
        taken in 0..50_usize,
        end_ns in 0..3_000_000_000_u64,
    ) {
        let mut pace = Pace::new(per_second, units, None, connections - 1, connections);
        for _ in 0..taken {
            pace.advance();
        }
        let left = pace.left_before(end_ns);
        prop_assume!(left < 100_000);
        let mut counted = 0;
        while pace.peek().intended_ns < end_ns {
            pace.advance();
            counted += 1;
        }
        // Times are rounded down to a nanosecond, so one at the very end may fall on either side.
        prop_assert!(left.abs_diff(counted) <= 1, "{} is not {}", left, counted);
    }

    #[test]
    fn a_batch_leaves_when_it_is_full_or_its_first_record_has_waited(
        per_second in 1..1_000_000_u64,
        units in 1..1_000_u32,
        linger_us in 0..100_000_u64,
        connections in 1..5_u32,
    ) {
        let linger = Duration::from_micros(linger_us);
        let pace = Pace::new(per_second, units, Some(linger), 0, connections);
        let gap_ns = f64::from(connections) * 1e9 / per_second as f64;
        let arrival = pace.peek();
        let held = (arrival.due_ns - arrival.intended_ns) as f64;
        prop_assert!(held <= linger.as_nanos() as f64);
        prop_assert!((1..=units).contains(&pace.per_request()));
        let last_arrives = f64::from(pace.per_request() - 1) * gap_ns;
        prop_assert!(last_arrives <= held + 1.0 + f64::from(units), "the batch leaves with its last record at the earliest");
        if pace.per_request() < units {
            prop_assert!(last_arrives + gap_ns > held - 1.0, "one more record would have come in time");
        }
    }
}
