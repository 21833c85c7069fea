//! What stored queues must satisfy to be taken.

use tidemill_wire::LaneId;

use super::super::super::tests::queues::{new_queue, queue_name};
use super::super::super::tests::{DEFAULTS, LIMITS, NODE, new};
use super::super::{Change, Stream};
use super::*;

/// A stream and two queues as they would be stored, and their counters.
fn sample() -> (Counters, Vec<Stream>, Vec<Definition>) {
    let mut state = State::new(NODE, LIMITS, DEFAULTS);
    let (stream, aside) = state.plan_create(new("s", 2), Timestamp(1)).expect("the name is free");
    state.apply(Change::Create(stream, aside));
    for text in ["a", "b.fifo"] {
        match state.plan_create_queue(new_queue(text), Timestamp(1)) {
            Ok(CreatedQueue::New(queue)) => state.apply(Change::Queue(queue)),
            other => panic!("{other:?}"),
        }
    }
    let queues = state.queues().map(|queue| Definition::clone(queue)).collect();
    (state.counters(), state.streams().cloned().collect(), queues)
}

/// The reason why a damaged sample is refused.
fn check(damage: impl FnOnce(&mut Vec<Definition>), expected: &str) {
    let (counters, streams, mut queues) = sample();
    damage(&mut queues);
    let state = State::new(NODE, LIMITS, DEFAULTS).restore(counters, streams).expect("it is sound");
    assert_eq!(state.with_queues(queues).expect_err(expected).to_string(), expected);
}

#[test]
fn what_was_stored_is_taken_and_counted() {
    let (counters, streams, queues) = sample();
    assert_eq!((counters.next_stream, counters.next_owner), (4, 11));
    let state = State::new(NODE, LIMITS, DEFAULTS).restore(counters, streams).expect("it is sound");
    let state = state.with_queues(queues.clone()).expect("it is sound");
    assert!(state.queues().map(|queue| Definition::clone(queue)).eq(queues));
    assert_eq!((state.counters(), state.load), (counters, vec![2, 2, 2]));
}

#[test]
fn queues_that_contradict_the_catalog_are_refused() {
    check(|queues| queues[1].id = QueueId(1), "queue b.fifo: its name or id is there twice");
    check(|queues| queues[1].id = QueueId(2), "queue b.fifo: its name or id is there twice");
    check(|queues| queues[1].name = queue_name("a"), "queue a: its name or id is there twice");
    check(|queues| queues[1].id = QueueId(4), "queue b.fifo: its id 4 has not been given out");
    let kind = "queue b: its name and its settings are not of the same kind";
    check(|queues| queues[1].name = queue_name("b"), kind);
    let range = "queue a: wait_s = 21 is out of range: expected 0 to 20";
    check(|queues| queues[0].settings.wait_s = 21, range);
    check(|queues| queues[0].partitions.clear(), "queue a: it has no partitions");
    let lane = "queue a: partition 1 is on lane 3 of 3, where it cannot be";
    check(|queues| queues[0].partitions[1].lane = LaneId(3), lane);
    let first = sample().2[0].partitions[0].lane;
    let lane = format!("queue a: partition 1 is on lane {first} of 3, where it cannot be");
    check(|queues| queues[0].partitions[1].lane = first, &lane);
    let shard = "queue a: partition 0 has the owner 1, which is not its own";
    check(|queues| queues[0].partitions[0].journal = OwnerId(1), shard);
    let same = "queue a: partition 0 has the owner 3, which is not its own";
    check(|queues| queues[0].partitions[0].journal = OwnerId(3), same);
    let other = "queue b.fifo: partition 0 has the owner 4, which is not its own";
    check(|queues| queues[1].partitions[0].messages = OwnerId(4), other);
    let beyond = "queue b.fifo: partition 0 has the owner 11, which is not its own";
    check(|queues| queues[1].partitions[0].journal = OwnerId(11), beyond);
}
