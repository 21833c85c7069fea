//! Wakers of one core: something has happened, or has changed and is worth another look.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use foldhash::fast::FixedState;
use hashbrown::HashSet;

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
    wakers: RefCell<Wakers>,
}

/// Wakers, each once, in the order in which they came.
#[derive(Debug, Default)]
struct Wakers {
    list: Vec<Waker>,
    /// What each of them wakes; empty while there are few.
    known: HashSet<(usize, usize), FixedState>,
}

/// So many wakers are looked through faster than they are hashed.
const SCANNED_WAKERS_MAX: usize = 8;

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

impl Wakers {
    /// Adds a waker unless one that wakes the same is there. Thousands of readers of one connection wait for the same thing, so this must not
    /// look at all of them each time.
    fn add(&mut self, waker: &Waker) {
        if self.list.len() < SCANNED_WAKERS_MAX {
            if self.list.iter().any(|known| known.will_wake(waker)) {
                return;
            }
        } else {
            if self.known.is_empty() {
                self.known.extend(self.list.iter().map(identity));
            }
            if !self.known.insert(identity(waker)) {
                return;
            }
        }
        self.list.push(waker.clone());
    }

    fn take(&mut self) -> Vec<Waker> {
        self.known.clear();
        std::mem::take(&mut self.list)
    }
}

/// What `will_wake` compares. It names one task as long as the waker is held.
fn identity(waker: &Waker) -> (usize, usize) {
    (waker.data().addr(), std::ptr::from_ref(waker.vtable()).addr())
}

impl Signal {
    /// Wakes all who wait.
    pub fn notify(&self) {
        if self.wakers.borrow().list.is_empty() {
            return;
        }
        // A waker may run anything, also a registration, so nothing is borrowed while it does.
        let mut wakers = self.wakers.borrow_mut().take();
        wakers.drain(..).for_each(Waker::wake);
        let mut present = self.wakers.borrow_mut();
        if present.list.is_empty() {
            // Keeps the memory for the next time.
            present.list = wakers;
        }
    }

    /// Has the task woken by the next change. A task that looks often registers once.
    pub fn register(&self, context: &Context<'_>) {
        self.wakers.borrow_mut().add(context.waker());
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
