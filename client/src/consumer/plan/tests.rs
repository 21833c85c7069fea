//! Shards begin where the caller says, and children after their parents.

use tidemill_wire::message::Quota;
use tidemill_wire::routing::{HashKey, HashKeyRange};
use tidemill_wire::{SequenceNumber, StreamId, StreamName, Timestamp};

use super::*;
use crate::Until;

/// Shards by state, parents and next sequence number.
fn stream(shards: &[(ShardState, Option<u32>, Option<u32>, u64)]) -> StreamDescription {
    let describe = |(index, (state, parent, adjacent, next)): (u32, &(_, Option<u32>, Option<u32>, u64))| {
        ShardDescription {
            index: ShardIndex(index),
            lane: LaneId(index),
            range: HashKeyRange { start: HashKey(0), end: HashKey::MAX },
            state: *state,
            oldest_sequence: SequenceNumber(0),
            next_sequence: SequenceNumber(*next),
            bytes: 0,
            parent: parent.map(ShardIndex),
            adjacent_parent: adjacent.map(ShardIndex),
        }
    };
    StreamDescription {
        id: StreamId(1),
        name: StreamName::new("s").expect("valid"),
        created: Timestamp(0),
        retention_ms: 0,
        retention_bytes: 0,
        quota: Quota::OFF,
        map_version: 0,
        key_compaction: Default::default(),
        read_calls_per_second: 0,
        shards: (0..).zip(shards).map(describe).collect(),
    }
}

fn show(assignments: &[Assignment]) -> Vec<String> {
    let position = |cursor: &Cursor| match cursor.position() {
        Position::Sequence(sequence) => sequence.to_string(),
        Position::Timestamp(time) => format!("time {time}"),
        Position::Oldest => "oldest".to_owned(),
        Position::Newest => "newest".to_owned(),
    };
    assignments.iter().map(|a| format!("{}@{}", a.cursor.shard(), position(&a.cursor))).collect()
}

fn plan(start: Start, description: &StreamDescription) -> Plan {
    Plan::new(ConsumerOptions { start, ..ConsumerOptions::default() }, description)
}

use ShardState::{Closed, Open};

#[test]
fn each_start_is_a_place_in_each_shard() {
    let stream = stream(&[(Open, None, None, 10), (Open, None, None, 20)]);
    let first = |start| show(&plan(start, &stream).first());
    assert_eq!(first(Start::Oldest), ["0@oldest", "1@oldest"]);
    assert_eq!(first(Start::Newest), ["0@10", "1@20"]);
    assert_eq!(first(Start::Timestamp(Timestamp(5))), ["0@time 5", "1@time 5"]);
    assert_eq!(first(Start::Sequence(SequenceNumber(3))), ["0@3", "1@3"]);
    let positions = [(ShardIndex(1), SequenceNumber(7))].into_iter().collect();
    assert_eq!(first(Start::Positions(positions)), ["0@oldest", "1@7"]);
}

#[test]
fn children_wait_for_both_parents_and_begin_once() {
    let before = stream(&[(Open, None, None, 10), (Open, None, None, 20), (Open, None, None, 1)]);
    let mut plan = plan(Start::Newest, &before);
    assert_eq!(show(&plan.first()), ["0@10", "1@20", "2@1"]);
    assert!(plan.grows());
    let merged = [
        (Closed, None, None, 10),
        (Closed, None, None, 20),
        (Open, None, None, 1),
        (Open, Some(0), Some(1), 4),
    ];
    let after = stream(&merged);
    assert!(show(&plan.ended(ShardIndex(0), Some(&after))).is_empty());
    assert_eq!(show(&plan.ended(ShardIndex(1), Some(&after))), ["3@oldest"]);
    assert!(show(&plan.ended(ShardIndex(2), Some(&after))).is_empty());
}

#[test]
fn a_history_of_splits_is_read_from_its_root_or_from_its_leaves() {
    let stream = stream(&[
        (Closed, None, None, 10),
        (Closed, Some(0), None, 20),
        (Open, Some(0), None, 5),
        (Open, Some(1), None, 6),
    ]);
    let mut oldest = plan(Start::Oldest, &stream);
    assert_eq!(show(&oldest.first()), ["0@oldest"]);
    assert_eq!(show(&oldest.ended(ShardIndex(0), None)), ["1@oldest", "2@oldest"]);
    assert_eq!(show(&oldest.ended(ShardIndex(1), None)), ["3@oldest"]);
    assert_eq!(show(&plan(Start::Newest, &stream).first()), ["2@5", "3@6"]);
}

#[test]
fn a_choice_of_shards_is_kept_and_a_bounded_one_does_not_grow() {
    let stream = stream(&[(Closed, None, None, 10), (Open, Some(0), None, 20)]);
    let shards = ShardChoice::Only(vec![ShardIndex(1)]);
    let mut chosen = Plan::new(ConsumerOptions { shards, ..ConsumerOptions::default() }, &stream);
    assert_eq!(show(&chosen.first()), ["1@oldest"], "a parent that is not read is not waited for");
    assert!(!chosen.grows());

    let until = Until { end: true, sequence: Some(SequenceNumber(10)), ..Until::default() };
    let mut bounded =
        Plan::new(ConsumerOptions { until, start: Start::Newest, ..ConsumerOptions::default() }, &stream);
    assert!(!bounded.grows());
    assert!(bounded.first()[0].cursor.end().is_some(), "the newest place is past the bound");
    let shards = ShardChoice::Only(vec![ShardIndex(2)]);
    assert_eq!(
        Plan::new(ConsumerOptions { shards, ..ConsumerOptions::default() }, &stream).missing(),
        Some(ShardIndex(2))
    );
}
