//! When an owner's spans are expected to be over.

use std::time::Duration;

use super::*;

/// An owner with a span of 1,000 bytes for each of these seconds.
fn owner(seconds: std::ops::Range<u64>, retention: Option<Retention>) -> Owner {
    let mut owner = Owner { retention, ..Owner::default() };
    for second in seconds {
        owner.spans.push_back(&Span {
            segment: second + 1,
            first: SequenceNumber(second),
            next: SequenceNumber(second + 1),
            first_time: Timestamp(second * 1000),
            last_time: Timestamp(second * 1000 + 999),
            payload_bytes: 1_000,
            first_point: 0,
            point_count: 1,
        });
        owner.payload_bytes += 1_000;
    }
    owner
}

#[track_caller]
fn check(owner: &Owner, now_ms: u64, expected: &[(SegmentId, u64)]) {
    let found: Vec<_> = owner.expected_ends(Timestamp(now_ms)).map(|(id, over)| (id, over.0)).collect();
    assert_eq!(found, expected);
}

#[test]
fn by_age_a_span_is_over_after_its_last_record() {
    let minute = Retention { age: Duration::from_secs(60), bytes: None };
    check(&owner(0..3, Some(minute)), 3_000, &[(3, 62_999), (2, 61_999), (1, 60_999)]);
}

#[test]
fn by_bytes_a_span_is_over_when_enough_will_have_come() {
    let bytes = Retention { bytes: Some(4_000), ..Retention::FOREVER };
    // A byte each millisecond: behind the newest span 4,000 are missing, behind the oldest 2,000.
    check(&owner(0..3, Some(bytes)), 3_000, &[(3, 7_000), (2, 6_000), (1, 5_000)]);
    // The shorter of both counts.
    let both = Retention { age: Duration::from_secs(4), bytes: Some(4_000) };
    check(&owner(0..3, Some(both)), 3_000, &[(3, 6_999), (2, 5_999), (1, 4_999)]);
}

#[test]
fn without_a_retention_nothing_is_ever_over() {
    check(&owner(0..1, None), 1_000, &[(1, u64::MAX)]);
    check(&owner(0..1, Some(Retention::FOREVER)), 1_000, &[(1, u64::MAX)]);
    check(&owner(0..0, Some(Retention::FOREVER)), 1_000, &[]);
}
