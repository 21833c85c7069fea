//! Changes of capacities and commitments over time.

use tidemill_wire::routing::{HashKey, HashKeyRange};

use super::*;
use crate::service::commitment::{Commitment, CommitmentStatus};
use crate::service::governor;
use crate::service::meter::Meter;

const HOUR_MS: u64 = 3_600_000;

fn terms(hours: u64, is_committed: bool) -> Terms {
    Terms { now: Timestamp(1 + hours * HOUR_MS), is_committed, shards_max: 100 }
}

#[test]
fn a_mode_is_changed_twice_in_a_day() {
    let on_demand = CapacityChange::Mode(Mode::OnDemand, None);
    let provisioned = CapacityChange::Mode(Mode::Provisioned, None);
    let at = |capacity: Capacity, change, hours| capacity.changed(change, terms(hours, false));
    let first = at(Capacity::default(), on_demand, 0).expect("the first");
    assert_eq!(at(first, on_demand, 1), Ok(first), "what it is already is no change");
    let second = at(first, provisioned, 2).expect("the second");
    assert_eq!(at(second, on_demand, 3), Err(CapacityError::Switches));
    assert_eq!(at(second, on_demand, 23), Err(CapacityError::Switches));
    let third = at(second, on_demand, 24).expect("the first is a day ago");
    assert_eq!(at(third, provisioned, 25), Err(CapacityError::Switches));
    assert!(at(third, provisioned, 26).is_ok());
}

#[test]
fn what_streams_on_demand_have_goes_with_their_mode() {
    let even = CapacityChange::Distribution(Distribution::Even);
    let plain = Capacity::default();
    for change in [even, CapacityChange::Warm(1), CapacityChange::Mode(Mode::Provisioned, Some(1))] {
        assert_eq!(plain.changed(change, terms(0, true)), Err(CapacityError::Provisioned), "{change:?}");
    }
    let by_key = CapacityChange::Distribution(Distribution::ByKey);
    assert_eq!(plain.changed(by_key, terms(0, true)), Ok(plain));
    let warm = CapacityChange::Mode(Mode::OnDemand, Some(20));
    assert_eq!(plain.changed(warm, terms(0, false)), Err(CapacityError::NoCommitment));
    let warm = plain.changed(warm, terms(0, true)).and_then(|warm| warm.changed(even, terms(0, true)));
    let warm = warm.expect("it is on demand and committed");
    assert_eq!((warm.shards_min(), warm.distribution), (21, Distribution::Even));
    let too_warm = warm.changed(CapacityChange::Warm(96), terms(0, true));
    assert_eq!(too_warm, Err(CapacityError::TooWarm { found: 96, limit: 100 }));
    let cold = warm.changed(CapacityChange::Warm(0), terms(0, false)).expect("no commitment is needed");
    assert_eq!(cold.shards_min(), 4);
    let back =
        warm.changed(CapacityChange::Mode(Mode::Provisioned, None), terms(1, true)).expect("the second");
    assert_eq!((back.warm_mib_per_second, back.distribution), (0, Distribution::ByKey));
}

#[test]
fn metrics_are_a_set() {
    let of = |metrics: &[ShardMetric]| metrics.iter().copied().collect::<ShardMetrics>();
    let change = |capacity: Capacity, change| capacity.changed(change, terms(0, false)).expect("it may");
    let some = of(&[ShardMetric::IncomingBytes, ShardMetric::IteratorAge]);
    let watched = change(Capacity::default(), CapacityChange::Watch(some));
    let more = change(watched, CapacityChange::Watch(of(&[ShardMetric::ReadThrottled])));
    assert_eq!(more.metrics.iter().count(), 3);
    let less =
        change(more, CapacityChange::Unwatch(of(&[ShardMetric::IncomingBytes, ShardMetric::OutgoingBytes])));
    assert!(less.metrics.iter().eq([ShardMetric::ReadThrottled, ShardMetric::IteratorAge]));
    assert!(change(less, CapacityChange::Unwatch(of(&ShardMetric::ALL))).metrics.is_empty());
}

#[test]
fn a_commitment_lasts_a_day_at_least() {
    let at = |hours: u64| Timestamp(1 + hours * HOUR_MS);
    let none = Commitment::default();
    assert_eq!((none.status(at(0)), none.changed(false, at(0))), (CommitmentStatus::Disabled, none));
    let enabled = none.changed(true, at(0));
    assert_eq!((enabled.status(at(1)), enabled.changed(true, at(1))), (CommitmentStatus::Enabled, enabled));
    let ending = enabled.changed(false, at(1));
    assert_eq!((ending.status(at(23)), ending.ended), (CommitmentStatus::Ending, at(24)));
    assert_eq!(ending.changed(false, at(2)), ending);
    assert_eq!(ending.changed(true, at(2)), enabled);
    assert_eq!(ending.status(at(24)), CommitmentStatus::Disabled);
    assert_eq!(ending.changed(true, at(30)).started, at(30));
    assert_eq!(enabled.changed(false, at(48)).status(at(48)), CommitmentStatus::Disabled);
}

#[test]
fn heat_is_noted_where_it_comes_in() {
    let meter = Meter::new(HashKeyRange { start: HashKey(1_000), end: HashKey(1_159) });
    for key in [999, 1_000, 1_009, 1_010, 1_159, 1_160] {
        meter.sample(HashKey(key));
    }
    let mut expected = [0; governor::HEAT_PARTS];
    (expected[0], expected[1], expected[15]) = (1, 2, 1);
    let first = meter.read();
    assert_eq!(first.heat, expected, "others are none of the shard's");
    meter.count(|counts| counts.in_bytes += 7);
    let second = meter.read().since(&first);
    assert_eq!((second.counts.in_bytes, second.heat), (7, [0; governor::HEAT_PARTS]));
    assert!(!meter.wants_sample(16_383) && meter.wants_sample(1) && !meter.wants_sample(16_383));
}
