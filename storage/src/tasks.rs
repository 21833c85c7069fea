//! A set of tasks and timers on one thread.
//!
//! Owns what the local environment and the simulator have in common: who is ready, who sleeps until when. Leaves out which ready task runs next
//! and what the time is: its users decide.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Wakes a task by its number.
struct TaskWaker {
    number: u64,
    ready: Arc<Mutex<Vec<u64>>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if !ready.contains(&self.number) {
            ready.push(self.number);
        }
    }
}

/// Tasks and timers. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Tasks(Rc<Inner>);

#[derive(Default)]
struct Inner {
    tasks: RefCell<BTreeMap<u64, Task>>,
    ready: Arc<Mutex<Vec<u64>>>,
    timers: RefCell<BTreeMap<(Duration, u64), Waker>>,
    next: Cell<u64>,
}

impl Tasks {
    fn number(&self) -> u64 {
        self.0.next.set(self.0.next.get() + 1);
        self.0.next.get()
    }

    fn waker(&self, number: u64) -> Waker {
        Waker::from(Arc::new(TaskWaker { number, ready: Arc::clone(&self.0.ready) }))
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let number = self.number();
        self.0.tasks.borrow_mut().insert(number, Box::pin(task));
        self.waker(number).wake();
    }

    /// Runs tasks until `main` is done. `pick` chooses among that many ready tasks; `idle` is called when none is. Either may say stop.
    pub(crate) fn drive<T>(
        &self,
        main: impl Future<Output = T>,
        mut pick: impl FnMut(usize) -> Option<usize>,
        mut idle: impl FnMut() -> bool,
    ) -> Option<T> {
        let mut main = std::pin::pin!(main);
        let main_number = self.number();
        let main_waker = self.waker(main_number);
        main_waker.wake_by_ref();
        loop {
            let number = {
                let mut ready = self.0.ready.lock().unwrap_or_else(PoisonError::into_inner);
                let count = ready.len();
                match (count > 0).then(|| pick(count)) {
                    Some(Some(index)) => Some(ready.remove(index)),
                    Some(None) => return None,
                    None => None,
                }
            };
            match number {
                Some(number) if number == main_number => {
                    if let Poll::Ready(value) = main.as_mut().poll(&mut Context::from_waker(&main_waker)) {
                        return Some(value);
                    }
                }
                Some(number) => self.run(number),
                None if idle() => {}
                None => return None,
            }
        }
    }

    fn run(&self, number: u64) {
        // A task that ended may still be woken by what it waited for.
        let Some(mut task) = self.0.tasks.borrow_mut().remove(&number) else { return };
        let waker = self.waker(number);
        if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            self.0.tasks.borrow_mut().insert(number, task);
        }
    }

    /// Drops all tasks where they stand, as a crash does.
    pub(crate) fn clear(&self) {
        // Dropping a task may drop others' handles and spawn nothing; the map must not be borrowed meanwhile.
        let tasks = std::mem::take(&mut *self.0.tasks.borrow_mut());
        drop(tasks);
        self.0.timers.borrow_mut().clear();
        self.0.ready.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// When the next sleeper wakes.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.0.timers.borrow().first_key_value().map(|((deadline, _), _)| *deadline)
    }

    /// Wakes those whose time has come.
    pub(crate) fn fire(&self, now: Duration) {
        loop {
            let mut timers = self.0.timers.borrow_mut();
            let Some(timer) = timers.first_entry() else { return };
            if timer.key().0 > now {
                return;
            }
            let waker = timer.remove();
            drop(timers);
            waker.wake();
        }
    }

    pub(crate) fn sleep_until(&self, deadline: Duration) -> Sleep {
        Sleep { tasks: self.clone(), key: (deadline, self.number()), state: SleepState::New }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SleepState {
    New,
    Waiting,
    Over,
}

/// Resolves when the timers are fired at or after its deadline.
pub(crate) struct Sleep {
    tasks: Tasks,
    key: (Duration, u64),
    state: SleepState,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut timers = self.tasks.0.timers.borrow_mut();
        match self.state {
            SleepState::Waiting if !timers.contains_key(&self.key) => {
                drop(timers);
                self.state = SleepState::Over;
                Poll::Ready(())
            }
            SleepState::New | SleepState::Waiting => {
                timers.insert(self.key, context.waker().clone());
                drop(timers);
                self.state = SleepState::Waiting;
                Poll::Pending
            }
            SleepState::Over => Poll::Ready(()),
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if self.state == SleepState::Waiting {
            self.tasks.0.timers.borrow_mut().remove(&self.key);
        }
    }
}
