//! Wakers of one core: something has happened, or has changed and is worth another look.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Something that happens once. Any number may wait for it, on the core that it lives on.
#[derive(Debug, Default)]
pub struct Event {
    happened: Cell<bool>,
    slots: RefCell<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

/// Waits for an event.
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub struct Wait<'a> {
    event: &'a Event,
    slot: Option<usize>,
}

/// Tells those few who look at some state that it has changed. They look again and, if need be, wait again.
#[derive(Debug, Default)]
pub struct Signal {
    wakers: RefCell<Vec<Waker>>,
}

impl Event {
    /// Makes it happen, and wakes all who wait.
    pub fn happen(&self) {
        if self.happened.replace(true) {
            return;
        }
        // A waker may run anything, also a registration, so nothing is borrowed while it does.
        let mut wakers = std::mem::take(&mut self.slots.borrow_mut().wakers);
        wakers.drain(..).flatten().for_each(Waker::wake);
    }

    /// Whether it has happened.
    pub fn has_happened(&self) -> bool {
        self.happened.get()
    }

    /// How many places for wakers there are, taken or free.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.slots.borrow().wakers.len()
    }

    /// Resolves when it has happened.
    pub fn wait(&self) -> Wait<'_> {
        Wait { event: self, slot: None }
    }
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.event.happened.get() {
            return Poll::Ready(());
        }
        let slots = &mut *self.event.slots.borrow_mut();
        let slot = match self.slot.or_else(|| slots.free.pop()) {
            Some(slot) => slot,
            None => {
                slots.wakers.push(None);
                slots.wakers.len() - 1
            }
        };
        self.slot = Some(slot);
        let waker = &mut slots.wakers[slot];
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let slots = &mut *self.event.slots.borrow_mut();
        // After the event there are no slots any more.
        if let Some(slot) = self.slot.filter(|slot| *slot < slots.wakers.len()) {
            slots.wakers[slot] = None;
            slots.free.push(slot);
        }
    }
}

impl Signal {
    /// Wakes all who wait.
    pub fn notify(&self) {
        if self.wakers.borrow().is_empty() {
            return;
        }
        // A waker may run anything, also a registration, so nothing is borrowed while it does.
        let mut wakers = std::mem::take(&mut *self.wakers.borrow_mut());
        wakers.drain(..).for_each(Waker::wake);
        let mut present = self.wakers.borrow_mut();
        if present.is_empty() {
            // Keeps the memory for the next time.
            *present = wakers;
        }
    }

    /// Has the task woken by the next change.
    pub fn register(&self, context: &Context<'_>) {
        let mut wakers = self.wakers.borrow_mut();
        // A task that looks often registers once.
        if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            wakers.push(context.waker().clone());
        }
    }

    /// Resolves when `look` gives a value; it looks now and after each change.
    pub fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> impl Future<Output = T> {
        poll_fn(move |context| match look() {
            Some(value) => Poll::Ready(value),
            None => {
                self.register(context);
                Poll::Pending
            }
        })
    }
}
