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
    let mut known = Deduplication::default();
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
    let mut known = Deduplication::default();
    assert!(matches!(known.look(key("a"), Timestamp(0)), Verdict::New(_)));
    let Verdict::UnderWay(mut answer) = known.look(key("a"), Timestamp(1)) else {
        panic!("it is being sent")
    };
    known.settle(&key("a"), Timestamp(2), &Err(SendError::Closing));
    assert_eq!(answer.try_recv(), Ok(Some(Err(SendError::Closing))));
    assert!(matches!(known.look(key("a"), Timestamp(3)), Verdict::New(_)));
}
