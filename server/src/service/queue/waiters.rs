//! Receives that wait for a message: state, told in the order in which they came that it is worth another try.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use futures_channel::oneshot;
use tidemill_storage::Signal;

/// Those who wait at a partition.
#[derive(Default)]
pub(super) struct Waiters {
    /// By when they came, of the whole queue; one that was told and got nothing keeps its place.
    waiting: RefCell<BTreeMap<(Duration, u64), oneshot::Sender<()>>>,
    next: Cell<u64>,
    /// Told when there may be something for them.
    pub(super) changed: Signal,
    generation: Cell<u64>,
    /// A task looks after them.
    tended: Cell<bool>,
}

impl Waiters {
    /// Waits from now on, in the place of one that came at `arrival`. Told by a message, or by an end of the partition.
    pub(super) fn wait(&self, arrival: Duration) -> oneshot::Receiver<()> {
        let (told, answer) = oneshot::channel();
        self.next.set(self.next.get() + 1);
        self.waiting.borrow_mut().insert((arrival, self.next.get()), told);
        answer
    }

    /// Begins to look after them; `false` if somebody does.
    pub(super) fn begin(&self) -> bool {
        !self.tended.replace(true)
    }

    /// Ends looking after them if nobody waits. Those who have gone are forgotten when they are the first: who came first most often goes first.
    pub(super) fn end_if_empty(&self) -> bool {
        let mut waiting = self.waiting.borrow_mut();
        while let Some(first) = waiting.first_entry() {
            if !first.get().is_canceled() {
                return false;
            }
            first.remove();
        }
        self.tended.set(false);
        true
    }

    /// Tells so many of them.
    pub(super) fn tell(&self, mut count: u64) {
        while count > 0 {
            let Some((_, told)) = self.waiting.borrow_mut().pop_first() else { return };
            if told.send(()).is_ok() {
                count -= 1;
            }
        }
    }

    /// Lets whoever looks after them look again.
    pub(super) fn poke(&self) {
        self.generation.set(self.generation.get() + 1);
        self.changed.notify();
    }

    /// How often somebody said that there may be something.
    pub(super) fn generation(&self) -> u64 {
        self.generation.get()
    }

    /// Ends all waiting.
    pub(super) fn clear(&self) {
        self.waiting.borrow_mut().clear();
        self.poke();
    }
}
