//! Buckets.

use proptest::prelude::*;

use super::*;

#[test]
fn bounds_belong_to_their_bucket() {
    for (at, bound) in BOUNDS_US.iter().enumerate() {
        assert_eq!(bucket_of(*bound), at, "{bound}");
        assert_eq!(bucket_of(*bound + 1), at + 1, "{bound} and one");
    }
    assert_eq!((bucket_of(0), bucket_of(1), bucket_of(u64::MAX)), (0, 0, BOUNDS));
}

proptest! {
    #[test]
    fn values_land_in_the_first_bucket_that_holds_them(values: Vec<u32>) {
        let histogram = Histogram::default();
        let mut expected = vec![0; BOUNDS + 1];
        for value in &values {
            histogram.observe_us(u64::from(*value));
            expected[BOUNDS_US.partition_point(|bound| *bound < u64::from(*value))] += 1;
        }
        let snapshot = histogram.snapshot();
        prop_assert_eq!(snapshot.counts, expected);
        prop_assert_eq!(snapshot.sum, values.iter().map(|value| u64::from(*value)).sum::<u64>());
    }
}
