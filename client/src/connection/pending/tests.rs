//! Answers reach their waiters in any order, and only theirs.

use bytes::Bytes;
use tidemill_wire::SequenceNumber;
use tidemill_wire::message::{ErrorCode, Failure, Fetched};

use super::*;

fn answer(body: ResponseBody, bytes: usize) -> Answer {
    Answer { body, payload: Bytes::from(vec![0; bytes]) }
}

fn pushed(bytes: usize) -> Answer {
    let at = SequenceNumber(0);
    let fetched = Fetched {
        from_sequence: at,
        next_sequence: at,
        oldest_sequence: at,
        end_sequence: at,
        closed: false,
    };
    answer(ResponseBody::Fetched(fetched), bytes)
}

fn once(pending: &Pending) -> (RequestId, oneshot::Receiver<Outcome>) {
    let (sender, receiver) = oneshot::channel();
    (pending.open(Waiter::Once { answer: sender, permits: Vec::new() }).expect("open"), receiver)
}

#[test]
fn answers_out_of_order_reach_their_requests() {
    let pending = Pending::default();
    let (first, mut first_answer) = once(&pending);
    let (second, mut second_answer) = once(&pending);
    pending.answer(second, answer(ResponseBody::Done, 2)).expect("open");
    assert!(first_answer.try_recv().is_err());
    pending.answer(first, answer(ResponseBody::Done, 1)).expect("open");
    let bytes = |outcome: Outcome| outcome.expect("answered").payload.len();
    assert_eq!(bytes(first_answer.try_recv().expect("there")), 1);
    assert_eq!(bytes(second_answer.try_recv().expect("there")), 2);
}

#[test]
fn an_answer_to_nobody_breaks_the_protocol_unless_it_refuses() {
    let pending = Pending::default();
    let stray = pending.answer(RequestId(9), answer(ResponseBody::Done, 0));
    assert!(matches!(stray, Err(ProtocolError::UnknownRequest { id: 9 })));
    let late = Failure::new(ErrorCode::UnknownSubscription, "gone");
    pending.answer(RequestId(9), answer(ResponseBody::Failed(late), 0)).expect("tolerated");
}

#[test]
fn a_subscription_gets_push_after_push_until_it_ends() {
    let pending = Pending::default();
    let (pushes, mut receiver) = mpsc::channel(2);
    let id = pending.open(Waiter::Many { pushes }).expect("open");
    pending.answer(id, pushed(60)).expect("room");
    pending.answer(id, pushed(70)).expect("room");
    assert!(matches!(pending.answer(id, pushed(1)), Err(ProtocolError::Flood { .. })));
    let mut next = || receiver.try_recv().expect("there").expect("a push").payload.len();
    assert_eq!((next(), next()), (60, 70));
    assert!(pending.is_open(id));
    let end = Failure::new(ErrorCode::UnknownStream, "gone");
    pending.answer(id, answer(ResponseBody::Failed(end), 0)).expect("room");
    assert!(!pending.is_open(id));
    assert!(matches!(receiver.try_recv(), Ok(Ok(_))));
    assert!(matches!(receiver.try_recv(), Err(mpsc::error::TryRecvError::Disconnected)));
}

#[test]
fn closing_tells_what_may_have_left() {
    let pending = Pending::default();
    let (first, _first_answer) = once(&pending);
    let (_second, _second_answer) = once(&pending);
    pending.written(std::iter::once(first));
    let error = ClientError::Refused(Failure::new(ErrorCode::Internal, "test"));
    let written: Vec<bool> = pending.close(&error).expect("open").iter().map(|entry| entry.written).collect();
    assert_eq!(written, [true, false]);
    assert!(pending.close(&error).is_none());
    assert!(pending.is_closed());
}
