//! Budgets: bounds, order, and that nobody who waits is forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Wake;

use proptest::prelude::*;

use super::*;

/// Counts how often it was woken.
#[derive(Default)]
struct Bell(AtomicU64);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Bell {
    fn rung(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn poll(take: &mut Take, bell: &Arc<Bell>) -> Option<Permit> {
    let waker = Waker::from(Arc::clone(bell));
    match Pin::new(take).poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(permit) => Some(permit),
        Poll::Pending => None,
    }
}

#[test]
fn a_permit_gives_back_what_it_took() {
    let budget = Budget::new(10, 1);
    let permit = budget.try_take(7).expect("there is room");
    assert_eq!((permit.amount(), budget.used(), budget.limit()), (7, 7, 10));
    assert_eq!(budget.try_take(4).unwrap_err(), Refused::NoRoom { value: 4, used: 7, limit: 10 });
    let rest = budget.try_take(3).expect("there is room for three more");
    drop(permit);
    assert_eq!(budget.used(), 3);
    drop(rest);
    assert_eq!(budget.used(), 0);
}

#[test]
fn what_can_never_fit_is_refused_at_once() {
    let budget = Budget::new(10, 1);
    assert_eq!(budget.try_take(11).unwrap_err(), Refused::NeverFits { value: 11, limit: 10 });
    assert_eq!(budget.take(u64::MAX).unwrap_err(), Refused::NeverFits { value: u64::MAX, limit: 10 });
}

#[test]
fn waiters_are_served_in_order_and_not_passed() {
    let (budget, bell) = (Budget::new(10, 4), Arc::new(Bell::default()));
    let first = budget.try_take(6).expect("there is room");
    let mut large = budget.take(10).expect("there is a place in line");
    let mut small = budget.take(1).expect("there is a place in line");
    assert!(poll(&mut large, &bell).is_none() && poll(&mut small, &bell).is_none());
    assert!(budget.try_take(1).is_err(), "a newcomer does not pass those who wait");
    assert_eq!(budget.waiting(), 2);
    drop(first);
    assert_eq!(bell.rung(), 1);
    let large = poll(&mut large, &bell).expect("the first in line has its room");
    assert!(poll(&mut small, &bell).is_none());
    drop(large);
    assert_eq!(bell.rung(), 2);
    assert_eq!(poll(&mut small, &bell).expect("the second has its room").amount(), 1);
    assert_eq!(budget.used(), 0);
}

#[test]
fn room_that_was_given_and_not_fetched_goes_to_the_next() {
    let (budget, bell) = (Budget::new(10, 4), Arc::new(Bell::default()));
    let all = budget.try_take(10).expect("there is room");
    let given = budget.take(10).expect("there is a place in line");
    let mut next = budget.take(10).expect("there is a place in line");
    assert!(poll(&mut next, &bell).is_none());
    drop(all);
    assert_eq!(budget.used(), 10, "the room belongs to the first in line");
    drop(given);
    assert_eq!(bell.rung(), 1);
    assert!(poll(&mut next, &bell).is_some());
}

#[test]
fn one_who_leaves_the_line_lets_the_next_in() {
    let (budget, bell) = (Budget::new(10, 4), Arc::new(Bell::default()));
    let _half = budget.try_take(5).expect("there is room");
    let large = budget.take(6).expect("there is a place in line");
    let mut small = budget.take(5).expect("there is a place in line");
    assert!(poll(&mut small, &bell).is_none());
    drop(large);
    assert_eq!(bell.rung(), 1);
    assert!(poll(&mut small, &bell).is_some());
}

#[test]
fn the_line_has_an_end() {
    let budget = Budget::new(1, 2);
    let _all = budget.try_take(1).expect("there is room");
    let _line = [budget.take(1).expect("a place"), budget.take(1).expect("a place")];
    assert_eq!(budget.take(1).unwrap_err(), Refused::TooManyWaiters { value: 2, limit: 2 });
}

#[derive(Debug, Clone)]
enum Step {
    Try(u64),
    Wait(u64),
    Poll(usize),
    Leave(usize),
    Give(usize),
    Shrink(usize, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..12_u64).prop_map(Step::Try),
        (0..12_u64).prop_map(Step::Wait),
        any::<usize>().prop_map(Step::Poll),
        any::<usize>().prop_map(Step::Leave),
        any::<usize>().prop_map(Step::Give),
        (any::<usize>(), 0..12_u64).prop_map(|(at, amount)| Step::Shrink(at, amount)),
    ]
}

proptest! {
    #[test]
    fn a_budget_is_never_exceeded_and_nobody_is_forgotten(steps in prop::collection::vec(step(), 0..200)) {
        let (budget, bell) = (Budget::new(10, 8), Arc::new(Bell::default()));
        let (mut permits, mut line) = (Vec::<Permit>::new(), Vec::<Take>::new());
        for step in steps {
            match step {
                Step::Try(amount) => permits.extend(budget.try_take(amount)),
                Step::Wait(amount) => line.extend(budget.take(amount)),
                Step::Poll(at) if !line.is_empty() => {
                    let at = at % line.len();
                    if let Some(permit) = poll(&mut line[at], &bell) {
                        permits.push(permit);
                        drop(line.remove(at));
                    }
                }
                Step::Leave(at) if !line.is_empty() => drop(line.remove(at % line.len())),
                Step::Give(at) if !permits.is_empty() => drop(permits.swap_remove(at % permits.len())),
                Step::Shrink(at, amount) if !permits.is_empty() => {
                    let at = at % permits.len();
                    let before = permits[at].amount();
                    permits[at].shrink_to(amount);
                    prop_assert_eq!(permits[at].amount(), before.min(amount));
                }
                Step::Poll(_) | Step::Leave(_) | Step::Give(_) | Step::Shrink(..) => {}
            }
            let held: u64 = permits.iter().map(Permit::amount).sum();
            prop_assert!(held <= budget.used() && budget.used() <= 10);
            // Whoever is first in line does not fit, or it would not be in line.
            let first = budget.shared.line.borrow().values().next().map(|waiter| waiter.amount);
            prop_assert!(first.is_none_or(|amount| amount > 10 - budget.used()));
        }
        permits.clear();
        while !line.is_empty() {
            let permit = poll(&mut line[0], &bell);
            prop_assert!(permit.is_some(), "with all room given back the first in line has its own");
            drop(line.remove(0));
        }
        prop_assert_eq!(budget.used(), 0);
    }
}
