//! Turns are taken in order, and whoever goes away while waiting keeps nobody waiting.

use std::{future::Future, pin::pin, task::Poll};

use super::*;

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

#[test]
fn turns_are_given_in_the_order_of_the_asking() {
    let turns = Turns::new(1);
    let (mut first, mut second, mut third) = (pin!(turns.next()), pin!(turns.next()), pin!(turns.next()));
    let Poll::Ready(turn) = poll(first.as_mut()) else { panic!("it is free") };
    assert!(poll(second.as_mut()).is_pending() && poll(third.as_mut()).is_pending());
    drop(turn);
    assert!(poll(third.as_mut()).is_pending());
    let Poll::Ready(turn) = poll(second.as_mut()) else { panic!("it is next") };
    drop(turn);
    assert!(poll(third.as_mut()).is_ready());
    assert_eq!(turns.0.borrow().free, 1);
}

#[test]
fn a_turn_passes_over_those_who_have_gone_before_and_after_it_was_given() {
    let turns = Turns::new(1);
    let Poll::Ready(turn) = poll(pin!(turns.next())) else { panic!("it is free") };
    {
        let mut gone = Box::pin(turns.next());
        assert!(poll(gone.as_mut()).is_pending());
    }
    let mut given = Box::pin(turns.next());
    let mut last = pin!(turns.next());
    assert!(poll(given.as_mut()).is_pending() && poll(last.as_mut()).is_pending());
    drop(turn);
    drop(given);
    assert!(poll(last.as_mut()).is_ready());
}
