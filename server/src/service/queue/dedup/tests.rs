//! Ids over time, and those who wait for a message that is under way.

use super::*;
use crate::service::queue::message::MessageId;

fn sent(sequence: u64) -> Sent {
    Sent { id: MessageId([u8::try_from(sequence).expect("few"); 16]), sequence }
}

fn key(id: &str) -> Key {
    hash(b"deduplication", id.as_bytes(), b"")
}

#[test]
fn an_id_tells_the_same_for_five_minutes_since_it_was_sent_first() {
    let mut known = Deduplication::new(Room::new(10));
    assert!(matches!(known.look(key("a"), Timestamp(0)), Verdict::New(_)));
    let Verdict::UnderWay(mut answer) = known.look(key("a"), Timestamp(1)) else {
        panic!("it is being sent")
    };
    known.settle(&key("a"), Timestamp(2), &Ok(sent(7)));
    assert_eq!(answer.try_recv(), Ok(Some(Ok(sent(7)))));
    assert!(matches!(known.look(key("a"), Timestamp(300_001)), Verdict::Known(known) if known == sent(7)));
    assert_eq!(known.oldest(), Some(7));
    assert!(matches!(known.look(key("a"), Timestamp(300_002)), Verdict::New(_)));
    assert_eq!(known.oldest(), None);
}

#[test]
fn what_was_not_sent_can_be_sent_again_and_those_who_waited_are_told() {
    let mut known = Deduplication::new(Room::new(10));
    assert!(matches!(known.look(key("a"), Timestamp(0)), Verdict::New(_)));
    let Verdict::UnderWay(mut answer) = known.look(key("a"), Timestamp(1)) else {
        panic!("it is being sent")
    };
    known.settle(&key("a"), Timestamp(2), &Err(SendError::Closing));
    assert_eq!(answer.try_recv(), Ok(Some(Err(SendError::Closing))));
    assert!(matches!(known.look(key("a"), Timestamp(3)), Verdict::New(_)));
}

#[test]
fn what_is_new_is_refused_while_as_many_are_remembered_as_may_be_and_what_is_known_is_not() {
    let room = Room::new(2);
    let (mut one, mut other) = (Deduplication::new(Rc::clone(&room)), Deduplication::new(Rc::clone(&room)));
    for id in ["a", "b"] {
        assert!(matches!(one.look(key(id), Timestamp(0)), Verdict::New(_)));
    }
    assert!(matches!(one.look(key("a"), Timestamp(0)), Verdict::UnderWay(_)));
    assert!(matches!(other.look(key("c"), Timestamp(0)), Verdict::Full), "all queues share the room");
    one.settle(&key("a"), Timestamp(0), &Err(SendError::Closing));
    assert!(matches!(other.look(key("c"), Timestamp(0)), Verdict::New(_)), "what was not sent needs none");
    one.settle(&key("b"), Timestamp(5), &Ok(sent(1)));
    assert!(matches!(one.look(key("d"), Timestamp(6)), Verdict::Full));
    assert!(matches!(one.look(key("b"), Timestamp(300_004)), Verdict::Known(known) if known == sent(1)));
    assert!(matches!(one.look(key("d"), Timestamp(300_005)), Verdict::New(_)), "its time is over");
    // What is in the log is remembered all the same.
    one.remember(key("e"), Timestamp(300_005), sent(2));
    assert_eq!(room.taken.get(), 3);
    drop(one);
    assert_eq!(room.taken.get(), 1);
    drop(other);
    assert_eq!(room.taken.get(), 0);
}

#[test]
fn memory_of_a_busy_time_is_given_back() {
    let mut known = Deduplication::new(Room::new(u64::MAX));
    for number in 0..100_000_u64 {
        known.remember(hash(b"deduplication", &number.to_le_bytes(), b""), Timestamp(number), sent(1));
    }
    known.forget(Timestamp(100_000 + 300_000 - 10));
    assert_eq!(known.order.len(), 9);
    assert!(known.order.capacity() < 2_000 && known.known.capacity() < 2_000);
}
