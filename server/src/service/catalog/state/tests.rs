//! What a stored catalog must satisfy to be taken, and that ids are used once.

use tidemill_wire::routing::HashKey;
use tidemill_wire::{LaneId, SequenceNumber, ShardIndex};

use super::super::tests::{DEFAULTS, LIMITS, NODE, new};
use super::super::{Shard, ShardEnd};
use super::*;

/// Two streams as they would be stored, and their counters.
fn sample() -> (Counters, Vec<Stream>) {
    let mut state = State::new(NODE, LIMITS, DEFAULTS);
    for text in ["a", "b"] {
        let (stream, aside) = state.plan_create(new(text, 2), Timestamp(1)).expect("the name is free");
        state.apply(Change::Create(stream, aside));
    }
    (state.counters(), state.streams().cloned().collect())
}

/// The shards of a stream, to be damaged.
fn shards_of(streams: &mut [Stream], stream: usize) -> &mut [Shard] {
    Arc::make_mut(&mut streams[stream].shards)
}

/// The reason why a damaged sample is refused.
fn check(damage: impl FnOnce(&mut Counters, &mut Vec<Stream>), expected: &str) {
    let (mut counters, mut streams) = sample();
    damage(&mut counters, &mut streams);
    let restored = State::new(NODE, LIMITS, DEFAULTS).restore(counters, streams);
    assert_eq!(restored.expect_err(expected).to_string(), expected);
}

#[test]
fn ids_are_never_given_twice() {
    let (counters, streams) = sample();
    assert_eq!((counters.next_stream, counters.next_owner), (3, 5));
    let mut state = State::new(NODE, LIMITS, DEFAULTS).restore(counters, streams).expect("it is sound");
    let last = state
        .plan_delete(&StreamName::new("b").expect("a valid name"), OnConsumers::Refuse)
        .expect("it is there");
    state.apply(Change::Delete(last));
    assert_eq!(state.counters(), counters);
    let (next, _) = state.plan_create(new("c", 1), Timestamp(1)).expect("the name is free");
    assert_eq!((next.id.get(), next.shards[0].owner.get()), (3, 5));
}

#[test]
fn a_catalog_that_contradicts_itself_is_refused() {
    let closing = ShardEnd { at: Timestamp(1), next: SequenceNumber(0) };
    let old = "stream a: shard 1 is older than its parents";
    check(|_, streams| shards_of(streams, 0)[1].adjacent_parent = Some(ShardIndex(1)), old);
    check(|_, streams| streams[1].name = streams[0].name.clone(), "stream a: its name or id is there twice");
    check(|_, streams| streams[1].id = streams[0].id, "stream b: its name or id is there twice");
    check(|counters, _| counters.next_stream = 2, "stream b: its id 2 has not been given out");
    check(|_, streams| shards_of(streams, 0)[1].lane = LaneId(3), "stream a: shard 1 is on lane 3 of 3");
    let twice = "stream b: shard 0 has the owner 1, which is not its own";
    check(|_, streams| shards_of(streams, 1)[0].owner = OwnerId(1), twice);
    let not_given = "stream b: shard 1 has the owner 4, which is not its own";
    check(|counters, _| counters.next_owner = 4, not_given);
    check(
        |_, streams| shards_of(streams, 0)[1].index = ShardIndex(0),
        "stream a: its shards are out of order",
    );
    check(
        |_, streams| shards_of(streams, 0)[1].range.start = HashKey(u128::MAX),
        "stream a: hash key 170141183460469231731687303715884105728 belongs to no open shard",
    );
    check(
        |_, streams| shards_of(streams, 0).iter_mut().for_each(|shard| shard.closed = Some(closing)),
        "stream a: hash key 0 belongs to no open shard",
    );
    let beyond = "counters Counters { next_stream: 18446744073709551615, next_owner: 5 } are beyond 4611686018427387904";
    check(|counters, _| counters.next_stream = u64::MAX, beyond);
}

#[test]
fn ids_that_something_else_has_are_skipped() {
    let (counters, streams) = sample();
    let state = State::new(NODE, LIMITS, DEFAULTS).restore(counters, streams).expect("it is sound");
    let after = |owner| {
        let Counters { next_stream, next_owner } = state.counters_after(&Change::Skip(OwnerId(owner)));
        (next_stream, next_owner)
    };
    assert_eq!(after(4), (3, 5));
    assert_eq!(after(5), (4, 6));
    assert_eq!(after(9), (8, 10));
    assert_eq!(after(u64::MAX), (3, 5), "an id that is never reached");
    assert_eq!(after(COUNTER_MAX - 1), (COUNTER_MAX - 2, COUNTER_MAX));
}
