//! Cold reads wait for durable writes and are woken, and no write waits for them.

use std::{cell::Cell, future::Future, pin::pin, task::Poll};

use super::*;
use crate::{env::Env, limits::COLD_BYTES_PER_SECOND_MIN, local::LocalEnv};

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

/// A gate whose clock is set by hand, and whose floor is not due for a while.
fn gate() -> (Gate, Rc<Cell<Duration>>) {
    let (time, ring) = (Rc::new(Cell::new(Duration::ZERO)), Ring::new().expect("a ring"));
    let clock = Rc::clone(&time);
    let gate = Gate::with_clock(ring, COLD_BYTES_PER_SECOND_MIN, Box::new(move || clock.get()));
    assert!(poll(pin!(gate.pass(1 << 30))).is_ready());
    (gate, time)
}

#[test]
fn a_read_waits_until_the_write_in_flight_has_ended() {
    let (gate, time) = gate();
    let write = gate.durable();
    let mut read = pin!(gate.pass(4096));
    assert!(poll(read.as_mut()).is_pending());
    time.set(Duration::from_micros(300));
    drop(write);
    let Poll::Ready(passage) = poll(read.as_mut()) else { panic!("nothing is in flight") };
    let mut next = pin!(gate.pass(4096));
    assert!(poll(next.as_mut()).is_pending(), "one at a time");
    // A write that begins meanwhile waits for nothing.
    drop(gate.durable());
    drop(passage);
    assert!(poll(next.as_mut()).is_ready());
}

#[test]
fn a_read_that_went_away_keeps_nobody_waiting() {
    let (gate, _) = gate();
    let write = gate.durable();
    {
        let mut gone = Box::pin(gate.pass(4096));
        assert!(poll(gone.as_mut()).is_pending());
    }
    let mut read = pin!(gate.pass(4096));
    assert!(poll(read.as_mut()).is_pending());
    drop(write);
    assert!(poll(read.as_mut()).is_ready());
}

#[test]
fn whoever_pauses_for_a_time_goes_on_by_itself() {
    let env = LocalEnv::new().expect("a ring");
    let (time, ring) = (Rc::new(Cell::new(Duration::ZERO)), env.disk().ring().clone());
    let clock = Rc::clone(&time);
    // The clock stands while nobody looks at it, and each look takes a while.
    let clock = move || {
        clock.set(clock.get() + Duration::from_micros(10));
        clock.get()
    };
    let gate = Gate::with_clock(ring, COLD_BYTES_PER_SECOND_MIN, Box::new(clock));
    env.block_on(async {
        let mut looks = 0;
        for _ in 0..1000 {
            let passage = gate.pass(64 << 10).await;
            let write = gate.durable();
            drop(passage);
            time.set(time.get() + Duration::from_micros(400));
            drop(write);
            let asked = gate.0.pace.borrow().asks();
            let verdict = gate.0.pace.borrow().verdict(asked, gate.now());
            looks += usize::from(matches!(verdict, Verdict::Until(_)));
        }
        assert!(looks > 0, "reads paused for a write now and then");
    });
}
