//! A set of tasks and timers on one thread.
//!
//! Owns what the local environment and the simulator have in common: who is ready, who sleeps until when. Leaves out which ready task runs next
//! and what the time is: its users decide, and may tell tasks that can wait by their numbers.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Set in the numbers of tasks that can wait.
const BACKGROUND: u64 = 1 << 63;

/// Whether the task with a number can wait.
pub(crate) fn is_background(number: u64) -> bool {
    number & BACKGROUND != 0
}

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

    fn ready(&self) -> MutexGuard<'_, Vec<u64>> {
        self.0.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.begin(self.number(), task);
    }

    /// Spawns a task that can wait.
    pub(crate) fn spawn_background(&self, task: impl Future<Output = ()> + 'static) {
        self.begin(self.number() | BACKGROUND, task);
    }

    fn begin(&self, number: u64, task: impl Future<Output = ()> + 'static) {
        self.0.tasks.borrow_mut().insert(number, Box::pin(task));
        self.waker(number).wake();
    }

    /// Runs tasks until `main` is done. `pick` chooses among the ready tasks, whose numbers it is told; `idle` is called when none is. Either may say stop.
    /// `round` is called when those have had their turn that were ready when it was called last.
    pub(crate) fn drive<T>(
        &self,
        main: impl Future<Output = T>,
        mut pick: impl FnMut(&[u64]) -> Option<usize>,
        mut round: impl FnMut(),
        mut idle: impl FnMut() -> bool,
    ) -> Option<T> {
        let mut main = std::pin::pin!(main);
        let main_number = self.number();
        let main_waker = self.waker(main_number);
        main_waker.wake_by_ref();
        let mut left = 0_usize;
        loop {
            if left == 0 {
                round();
                left = self.ready().len();
            }
            left = left.saturating_sub(1);
            let number = {
                let mut ready = self.ready();
                match (!ready.is_empty()).then(|| pick(&ready)) {
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
        self.ready().clear();
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
