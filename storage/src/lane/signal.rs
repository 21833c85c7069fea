//! Waiting for a condition on one thread.
//!
//! Owns the wakers of those who wait, and forgets them when they go away. Promises no lost wake-up: the condition is looked at after the waker
//! is in place. Leaves out what the condition is.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    ops::Deref,
    pin::Pin,
    task::{Context, Poll, Waker},
};

/// Told when something that others wait for may have changed.
#[derive(Default)]
pub struct Signal {
    waiters: RefCell<BTreeMap<u64, Waker>>,
    next: Cell<u64>,
}

impl Signal {
    /// Lets everybody who waits look again.
    pub fn notify(&self) {
        if self.waiters.borrow().is_empty() {
            return;
        }
        let waiters = std::mem::take(&mut *self.waiters.borrow_mut());
        waiters.into_values().for_each(Waker::wake);
    }
}

/// Resolves with what the condition returns once it returns something.
pub fn until<T, S, C>(signal: S, condition: C) -> Until<S, C>
where
    S: Deref<Target = Signal> + Unpin,
    C: FnMut() -> Option<T> + Unpin,
{
    Until { signal, condition, key: None }
}

/// Waits for a condition; made by [`until`].
pub struct Until<S: Deref<Target = Signal>, C> {
    signal: S,
    condition: C,
    key: Option<u64>,
}

impl<T, S, C> Future for Until<S, C>
where
    S: Deref<Target = Signal> + Unpin,
    C: FnMut() -> Option<T> + Unpin,
{
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        if let Some(value) = (self.condition)() {
            return Poll::Ready(value);
        }
        let key = self.key.unwrap_or_else(|| {
            self.signal.next.set(self.signal.next.get() + 1);
            self.signal.next.get()
        });
        self.key = Some(key);
        self.signal.waiters.borrow_mut().insert(key, context.waker().clone());
        Poll::Pending
    }
}

impl<S: Deref<Target = Signal>, C> Drop for Until<S, C> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.signal.waiters.borrow_mut().remove(&key);
        }
    }
}

/// Lets other tasks run before this one goes on.
pub(crate) async fn give_way() {
    let mut given = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut given, true) {
            Poll::Ready(())
        } else {
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}
