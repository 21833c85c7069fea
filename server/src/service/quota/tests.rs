//! Buckets against an exact model with rational numbers, and the bound over every window.

use proptest::prelude::*;

use super::*;

fn positive(number: u64) -> NonZeroU64 {
    NonZeroU64::new(number).expect("tests use positive rates")
}

const SECOND_NS: u64 = 1_000_000_000;

/// The bucket as a rational number `numerator / 1e9` recomputed from the whole history: the level is the
/// least, over all moments that it may have been full at, of a second's flow + flow since − costs since.
struct Model {
    rate: i128,
    admitted: Vec<(i128, i128)>,
}

impl Model {
    /// Level at `now` times 1e9, from the history alone: replays every admission from the start.
    fn level(&self, now: i128) -> i128 {
        let (mut level, mut at) = (self.rate * 1_000_000_000, 0);
        for (time, cost) in &self.admitted {
            level = (level + (time - at) * self.rate).min(self.rate * 1_000_000_000) - cost * 1_000_000_000;
            at = *time;
        }
        (level + (now - at) * self.rate).min(self.rate * 1_000_000_000)
    }

    fn admits(&self, now: i128, cost: i128) -> bool {
        self.level(now) >= cost.min(self.rate) * 1_000_000_000
    }

    /// The first nanosecond from `now` at which the cost is admitted, by bisection.
    fn admitted_at(&self, now: i128, cost: i128) -> i128 {
        let (mut refused, mut admitted) = (now, now + 1);
        while !self.admits(admitted, cost) {
            admitted = now + (admitted - now) * 2;
        }
        while admitted - refused > 1 {
            let middle = refused + (admitted - refused) / 2;
            if self.admits(middle, cost) { admitted = middle } else { refused = middle }
        }
        admitted
    }
}

/// Steps of time and costs: mostly near the rate, sometimes far off.
fn schedule(rate: u64) -> impl Strategy<Value = Vec<(u64, u64)>> {
    let step = prop_oneof![0..1_000_u64, 0..SECOND_NS, Just(3 * SECOND_NS)];
    let cost =
        prop_oneof![0..4_u64, 0..rate.saturating_add(1), rate..rate.saturating_mul(4).saturating_add(1)];
    prop::collection::vec((step, cost), 1..60)
}

fn case() -> impl Strategy<Value = (u64, Vec<(u64, u64)>)> {
    (1..3_000_000_u64).prop_flat_map(|rate| (Just(rate), schedule(rate)))
}

proptest! {
    #[test]
    fn admissions_match_the_exact_model((rate, steps) in case()) {
        let mut bucket = Bucket::new(positive(rate));
        let mut model = Model { rate: rate.into(), admitted: vec![] };
        let mut now = 0;
        for (step, cost) in steps {
            now += step;
            match bucket.admit(now, cost) {
                Ok(()) => {
                    prop_assert!(model.admits(now.into(), cost.into()));
                    model.admitted.push((now.into(), cost.into()));
                }
                Err(wait) => {
                    prop_assert!(!model.admits(now.into(), cost.into()));
                    prop_assert_eq!(i128::from(now + wait.ns), model.admitted_at(now.into(), cost.into()));
                }
            }
        }
    }

    #[test]
    fn no_window_exceeds_its_bound((rate, steps) in case()) {
        let mut bucket = Bucket::new(positive(rate));
        let (mut now, mut admitted) = (0_u64, Vec::<(u64, u64)>::new());
        for (step, cost) in steps {
            now += step;
            if bucket.admit(now, cost).is_ok() {
                admitted.push((now, cost));
            }
        }
        for (first, (from, _)) in admitted.iter().enumerate() {
            let (mut sum, mut largest) = (0_u128, u128::from(rate));
            for (until, cost) in &admitted[first..] {
                sum += u128::from(*cost);
                largest = largest.max(u128::from(*cost));
                let flow = u128::from(until - from) * u128::from(rate);
                prop_assert!(sum * 1_000_000_000 <= flow + largest * 1_000_000_000);
            }
        }
    }

    #[test]
    fn a_clock_that_goes_back_mints_nothing((rate, steps) in case(), back: u64) {
        let (mut straight, mut jumping) =
            (Bucket::new(positive(rate)), Bucket::new(positive(rate)));
        let mut now = 0_u64;
        for (step, cost) in steps {
            now += step;
            let admitted = straight.admit(now, cost);
            prop_assert_eq!(jumping.admit(now, cost), admitted);
            let past = now.saturating_sub(back % SECOND_NS);
            // Between two equal moments another request comes with an earlier clock: both see the same bucket.
            let (here, there) = (straight.admit(now, 1), jumping.admit(past, 1));
            prop_assert_eq!(here.is_ok(), there.is_ok());
            if let (Err(here), Err(there)) = (here, there) {
                prop_assert_eq!(there.ns, here.ns + (now - past));
            }
        }
    }

    #[test]
    fn no_number_overflows(rate: u64, steps: Vec<(u64, u64)>) {
        let mut bucket = Bucket::new(positive(rate.max(1)));
        for (now, cost) in steps {
            let _ = bucket.admit(now, cost);
            let _ = bucket.available(now);
        }
    }

    #[test]
    fn a_write_takes_both_or_none(steps in prop::collection::vec((0..SECOND_NS, 0..3_000_u64, 0..30_u64), 1..60)) {
        let mut quota = ShardQuota::new(rates(1_000, 10));
        let (mut bytes_only, mut records_only) = (Bucket::new(positive(1_000)), Bucket::new(positive(10)));
        let mut now = 0;
        for (step, bytes, records) in steps {
            now += step;
            let parts = [bytes_only.affords(now, bytes), records_only.affords(now, records)];
            let wait = parts.into_iter().filter_map(Result::err).max();
            prop_assert_eq!(quota.admit_write(now, bytes, records).err(), wait);
            if wait.is_none() {
                bytes_only.admit(now, bytes).expect("it affords them");
                records_only.admit(now, records).expect("it affords them");
            }
        }
    }
}

fn rates(bytes: u64, records: u64) -> Quota {
    Quota {
        write_bytes_per_second: bytes,
        write_records_per_second: records,
        read_bytes_per_second: 2 * bytes,
    }
}

#[test]
fn a_greedy_writer_gets_the_rate_and_one_second_more() {
    let mut quota = ShardQuota::new(rates(1_000_000, 1_000));
    let (mut now, mut admitted) = (0, 0);
    while now <= 30 * SECOND_NS {
        match quota.admit_write(now, 1_000, 1) {
            Ok(()) => admitted += 1_000,
            Err(wait) => now += wait.ns,
        }
    }
    assert_eq!(admitted, 31 * 1_000_000);
}

#[test]
fn a_record_above_the_rate_passes_a_full_bucket_and_is_paid_back() {
    let mut bucket = Bucket::new(positive(1_000));
    assert_eq!(bucket.admit(0, 5_000), Ok(()));
    assert_eq!(bucket.admit(0, 1), Err(Wait { ns: 4_001 * SECOND_NS / 1_000 }));
    assert_eq!(bucket.admit(0, 5_000), Err(Wait { ns: 5 * SECOND_NS }));
    assert_eq!(bucket.admit(5 * SECOND_NS - 1, 5_000), Err(Wait { ns: 1 }));
    assert_eq!(bucket.admit(5 * SECOND_NS, 5_000), Ok(()));
}

#[test]
fn what_is_readable_is_admitted() {
    let mut quota = ShardQuota::new(rates(1_000, 10));
    assert_eq!(quota.readable(0), Ok(positive(2_000)));
    assert_eq!(quota.admit_read(0, 2_000), Ok(()));
    assert_eq!(quota.readable(0), Err(Wait { ns: SECOND_NS / 2_000 }));
    assert_eq!(quota.readable(SECOND_NS / 4), Ok(positive(500)));
    assert_eq!(quota.admit_read(SECOND_NS / 4, 501), Err(Wait { ns: SECOND_NS / 2_000 }));
    assert_eq!(quota.admit_read(SECOND_NS / 4, 500), Ok(()));
}

#[test]
fn without_quota_everything_passes() {
    let mut quota = ShardQuota::new(Quota::OFF);
    assert_eq!(quota.admit_write(0, u64::MAX, u64::MAX), Ok(()));
    assert_eq!(quota.admit_read(0, u64::MAX), Ok(()));
    assert_eq!(quota.readable(0), Ok(NonZeroU64::MAX));
}

#[test]
fn one_rate_may_be_off_alone() {
    let mut quota = ShardQuota::new(Quota { write_records_per_second: 0, ..rates(1_000, 1) });
    assert_eq!(quota.admit_write(0, 1_000, 1 << 40), Ok(()));
    assert_eq!(quota.admit_write(0, 1, 1), Err(Wait { ns: SECOND_NS / 1_000 }));
}

#[test]
fn a_changed_rate_mints_nothing() {
    let mut quota = ShardQuota::new(rates(1_000, 1_000));
    assert_eq!(quota.admit_write(0, 1_000, 1), Ok(()));
    quota.change(0, rates(10_000, 1_000));
    assert_eq!(quota.admit_write(0, 1, 1), Err(Wait { ns: SECOND_NS / 10_000 }));
    quota.change(SECOND_NS, rates(10, 1_000));
    assert_eq!(quota.admit_write(SECOND_NS, 10, 1), Ok(()));
    assert!(quota.admit_write(SECOND_NS, 1, 1).is_err(), "tokens beyond what it holds now are lost");
    quota.change(SECOND_NS, Quota::OFF);
    assert_eq!(quota.admit_write(SECOND_NS, 1 << 40, 1 << 20), Ok(()));
}
