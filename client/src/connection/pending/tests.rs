//! Answers reach their waiters in any order, and only theirs.

use bytes::Bytes;
use tidemill_wire::SequenceNumber;
use tidemill_wire::message::{Failure, Fetched};

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
fn an_answer_to_nobody_breaks_the_protocol_unless_a_subscription_just_ended() {
    let pending = Pending::default();
    let stray = pending.answer(RequestId(9), answer(ResponseBody::Done, 0));
    assert!(matches!(stray, Err(ProtocolError::UnknownRequest { id: 9 })));
    let late = Failure::new(ErrorCode::UnknownSubscription, "gone");
    pending.answer(RequestId(9), answer(ResponseBody::Failed(late), 0)).expect("tolerated");
}

#[test]
fn a_subscription_gets_what_it_has_credit_for_and_one_entry_more() {
    let pending = Pending::default();
    let (pushes, mut receiver) = mpsc::channel(8);
    let id = pending.open(Waiter::Many { pushes, credit: 100 }).expect("open");
    pending.answer(id, pushed(60)).expect("within credit");
    pending.answer(id, pushed(60)).expect("one may be larger than what is left");
    assert!(matches!(pending.answer(id, pushed(1)), Err(ProtocolError::Credit { .. })));
    assert!(pending.grant(id, 10));
    pending.answer(id, pushed(10)).expect("within credit again");
    let mut got = 0;
    while let Ok(push) = receiver.try_recv() {
        got += push.expect("a push").payload.len();
    }
    assert_eq!(got, 130);
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
