//! Levels of a core: bytes and requests in flight, each with a bound.
//!
//! Whoever wants room takes a [`Permit`], which gives it back when dropped. Where there is no room the caller
//! is refused, or waits in line: a connection that waits stops reading its socket, and so slows its peer.
//!
//! Invariant: what is given out never exceeds the limit, and a waiter gets its room as soon as all who came
//! before it have theirs and it fits (`tests::a_budget_is_never_exceeded_and_nobody_is_forgotten`). Newcomers do not
//! pass those who wait, so a large request is not starved by small ones.
//!
//! Single-threaded: a budget belongs to one core.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use thiserror::Error;

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// It would not fit even if nothing else were in flight.
    #[error("{value} is more than the whole budget of {limit}")]
    NeverFits {
        /// What was wanted.
        value: u64,
        /// The budget's limit.
        limit: u64,
    },
    /// It does not fit beside what is in flight, or others wait already.
    #[error("{value} does not fit into the budget of {limit} with {used} in use")]
    NoRoom {
        /// What was wanted.
        value: u64,
        /// What is given out.
        used: u64,
        /// The budget's limit.
        limit: u64,
    },
    /// The line of those who wait is full.
    #[error("{value} waiters are the most that a budget holds ({limit})")]
    TooManyWaiters {
        /// How many wait.
        value: u64,
        /// How many may.
        limit: u64,
    },
}

/// A bounded amount that is given out and comes back. Clones share it.
#[derive(Debug, Clone)]
pub struct Budget {
    shared: Rc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limit: u64,
    used: Cell<u64>,
    waiters_max: usize,
    next_ticket: Cell<u64>,
    /// Those who wait, in the order in which they came.
    line: RefCell<BTreeMap<u64, Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    amount: u64,
    waker: Option<Waker>,
}

impl Budget {
    /// A budget of `limit`, for whose room at most `waiters_max` callers may wait.
    pub fn new(limit: u64, waiters_max: usize) -> Self {
        let line = RefCell::new(BTreeMap::new());
        Self {
            shared: Rc::new(Shared {
                limit,
                used: Cell::new(0),
                waiters_max,
                next_ticket: Cell::new(0),
                line,
            }),
        }
    }

    /// Takes `amount` at once.
    ///
    /// # Errors
    /// When it does not fit now, or never will.
    pub fn try_take(&self, amount: u64) -> Result<Permit, Refused> {
        let shared = &self.shared;
        self.could_ever_fit(amount)?;
        if shared.line.borrow().is_empty() && shared.reserve(amount) {
            return Ok(self.permit(amount));
        }
        Err(Refused::NoRoom { value: amount, used: self.used(), limit: shared.limit })
    }

    /// Takes `amount` as soon as it is this caller's turn and there is room. The place in line is taken by the
    /// call, and given up when the future is dropped.
    ///
    /// # Errors
    /// When it can never fit, or too many wait already.
    pub fn take(&self, amount: u64) -> Result<Take, Refused> {
        self.could_ever_fit(amount)?;
        let shared = &self.shared;
        let mut line = shared.line.borrow_mut();
        if line.is_empty() && shared.reserve(amount) {
            return Ok(Take { budget: self.clone(), amount, place: Place::Granted });
        }
        if line.len() >= shared.waiters_max {
            let (value, limit) = (line.len() as u64, shared.waiters_max as u64);
            return Err(Refused::TooManyWaiters { value, limit });
        }
        let ticket = shared.next_ticket.get();
        shared.next_ticket.set(ticket + 1);
        line.insert(ticket, Waiter { amount, waker: None });
        drop(line);
        Ok(Take { budget: self.clone(), amount, place: Place::InLine(ticket) })
    }

    /// The bound.
    pub fn limit(&self) -> u64 {
        self.shared.limit
    }

    /// What is given out.
    pub fn used(&self) -> u64 {
        self.shared.used.get()
    }

    /// How many wait for room.
    pub fn waiting(&self) -> usize {
        self.shared.line.borrow().len()
    }

    fn could_ever_fit(&self, amount: u64) -> Result<(), Refused> {
        if amount > self.shared.limit {
            return Err(Refused::NeverFits { value: amount, limit: self.shared.limit });
        }
        Ok(())
    }

    /// The permit for an amount that is reserved.
    fn permit(&self, amount: u64) -> Permit {
        Permit { budget: self.clone(), amount }
    }
}

impl Shared {
    /// Reserves the amount if there is room for it.
    fn reserve(&self, amount: u64) -> bool {
        let fits = amount <= self.limit - self.used.get();
        if fits {
            self.used.set(self.used.get() + amount);
        }
        fits
    }

    /// Gives an amount back and lets in whoever is next in line.
    fn give_back(&self, amount: u64) {
        let used = self.used.get();
        assert!(amount <= used, "a permit of {amount} came back to a budget with {used} given out");
        self.used.set(used - amount);
        self.admit_waiters();
    }

    /// Reserves room for waiters from the front of the line while it lasts. The room is theirs from here on,
    /// polled or not, so no wake-up can be lost to a newcomer.
    fn admit_waiters(&self) {
        loop {
            let mut line = self.line.borrow_mut();
            let Some(first) = line.first_entry() else { return };
            if !self.reserve(first.get().amount) {
                return;
            }
            let waiter = first.remove();
            // A waker may run anything, also this budget's own methods, so nothing is borrowed while it does.
            drop(line);
            if let Some(waker) = waiter.waker {
                waker.wake();
            }
        }
    }
}

/// Room that was given out; dropping it gives it back.
#[derive(Debug)]
pub struct Permit {
    budget: Budget,
    amount: u64,
}

impl Permit {
    /// How much.
    pub fn amount(&self) -> u64 {
        self.amount
    }

    /// Gives back what is over this amount.
    pub fn shrink_to(&mut self, amount: u64) {
        let surplus = self.amount.saturating_sub(amount);
        self.amount -= surplus;
        self.budget.shared.give_back(surplus);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.shared.give_back(self.amount);
    }
}

/// A place in line for room, which becomes a [`Permit`].
#[derive(Debug)]
#[must_use = "a place in line is given up when dropped"]
pub struct Take {
    budget: Budget,
    amount: u64,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    InLine(u64),
    Granted,
    Taken,
}

impl Take {
    /// Whether room was given since: a waiter that is no longer in line has its amount reserved.
    fn settle(&mut self) {
        if let Place::InLine(ticket) = self.place
            && !self.budget.shared.line.borrow().contains_key(&ticket)
        {
            self.place = Place::Granted;
        }
    }
}

impl Future for Take {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Permit> {
        self.settle();
        match self.place {
            Place::InLine(ticket) => {
                if let Some(waiter) = self.budget.shared.line.borrow_mut().get_mut(&ticket) {
                    waiter.waker = Some(context.waker().clone());
                }
                Poll::Pending
            }
            Place::Granted => {
                self.place = Place::Taken;
                Poll::Ready(self.budget.permit(self.amount))
            }
            Place::Taken => panic!("a place in line was polled after it became a permit"),
        }
    }
}

impl Drop for Take {
    fn drop(&mut self) {
        self.settle();
        match self.place {
            Place::InLine(ticket) => {
                self.budget.shared.line.borrow_mut().remove(&ticket);
                // The one who left may have been too large for the room that the next one fits into.
                self.budget.shared.admit_waiters();
            }
            Place::Granted => self.budget.shared.give_back(self.amount),
            Place::Taken => {}
        }
    }
}

#[cfg(test)]
mod tests;
