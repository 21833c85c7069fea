//! How connections are dealt out.

use tidemill_wire::message::{Quota, ShardDescription, ShardState, StreamDescription, Welcome};
use tidemill_wire::routing::HashKeyRange;
use tidemill_wire::{LaneId, SequenceNumber, ShardIndex, StreamId, Timestamp};

use super::Target;
use crate::error::BenchError;

fn target(states: &[(ShardState, u64)]) -> Target {
    let shard = |(index, (state, next)): (u32, &(ShardState, u64))| ShardDescription {
        index: ShardIndex(index),
        lane: LaneId(index % 2),
        range: HashKeyRange::split_evenly(1)[0],
        state: *state,
        oldest_sequence: SequenceNumber(0),
        next_sequence: SequenceNumber(*next),
        bytes: 0,
        parent: None,
        adjacent_parent: None,
    };
    Target {
        welcome: Welcome {
            version: 1,
            server: String::new(),
            node: 0,
            core: 0,
            frame_bytes_max: 0,
            in_flight_max: 0,
            lanes: vec![(LaneId(0), 7_601)],
        },
        address: "127.0.0.1:7600".parse().unwrap(),
        process: Err(String::new()),
        queue: None,
        stream: StreamDescription {
            id: StreamId(1),
            name: "bench".parse().unwrap(),
            created: Timestamp(0),
            retention_ms: 0,
            retention_bytes: 0,
            quota: Quota::OFF,
            map_version: 1,
            read_calls_per_second: 0,
            key_compaction: Default::default(),
            shards: (0..).zip(states).map(shard).collect(),
        },
    }
}

#[test]
fn connections_are_dealt_out_in_turn_and_know_their_siblings() {
    let target = target(&[(ShardState::Open, 0); 3]);
    let shards = target.open_shards().unwrap();
    let places: Vec<_> = target
        .places(7, &shards)
        .iter()
        .map(|place| (place.shard.index.0, place.ordinal, place.siblings))
        .collect();
    assert_eq!(places, [(0, 0, 3), (1, 0, 2), (2, 0, 2), (0, 1, 3), (1, 1, 2), (2, 1, 2), (0, 2, 3)]);
    assert_eq!(target.places(2, &shards).len(), 2);
}

#[test]
fn appends_go_to_open_shards_and_fetches_to_filled_ones() {
    let mixed = target(&[(ShardState::Closed, 5), (ShardState::Open, 0), (ShardState::Open, 9)]);
    let indexes =
        |shards: Vec<ShardDescription>| shards.iter().map(|shard| shard.index.0).collect::<Vec<_>>();
    assert_eq!(indexes(mixed.open_shards().unwrap()), [1, 2]);
    assert_eq!(indexes(mixed.filled_shards().unwrap()), [0, 2]);
    let closed = target(&[(ShardState::Closed, 0)]);
    assert!(matches!(closed.open_shards(), Err(BenchError::NoOpenShard { .. })));
    assert!(matches!(closed.filled_shards(), Err(BenchError::Empty { .. })));
}

#[test]
fn a_lane_without_a_port_of_its_own_is_reached_by_the_shared_one() {
    let target = target(&[]);
    assert_eq!(target.address_of(LaneId(0)).port(), 7_601);
    assert_eq!(target.address_of(LaneId(1)).port(), 7_600);
}
