//! What is going on beside calls, known to all cores: when queues were purged last, and the tasks that move messages.
//!
//! It is behind a lock, for calls about it come rarely and to any core; the calls that carry messages never come here. It is in memory alone: a
//! restart forgets it. Bounded by the constants here, and by the number of queues.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidemill_wire::limits::QUEUE_MOVES_MAX;

use super::definition::QueueId;
use super::move_task::{Status, Task};

/// Least time between two purges of a queue, as SQS has it.
pub const PURGE_PERIOD: Duration = Duration::from_secs(60);
/// Tasks that run at a time in all.
const MOVE_TASKS_RUNNING_MAX: usize = 100;

/// What is going on. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Chores(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    purges: BTreeMap<QueueId, Duration>,
    /// Of each queue the last ones, the newest last.
    tasks: BTreeMap<QueueId, Vec<Task>>,
    next_number: u64,
}

/// Why a task was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The queue has one.
    Running,
    /// There are as many as may be.
    TooMany,
}

/// Why a task was not told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelError {
    /// There is no such task.
    Unknown,
    /// It does not run any more, or was told before.
    Over,
}

impl Chores {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing here is left half done: a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a queue is purged now, unless it was a short time ago.
    pub fn begin_purge(&self, queue: QueueId, now: Duration) -> bool {
        let mut inner = self.lock();
        inner.purges.retain(|_, at| now.saturating_sub(*at) < PURGE_PERIOD);
        match inner.purges.entry(queue) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(now);
                true
            }
        }
    }

    /// Forgets that a queue was purged.
    pub fn forget_purge(&self, queue: QueueId) {
        self.lock().purges.remove(&queue);
    }

    /// Begins a task, and returns its number. Tasks of queues that are not there any more are forgotten.
    pub fn begin_task(
        &self,
        source: QueueId,
        task: Task,
        is_known: impl Fn(QueueId) -> bool,
    ) -> Result<u64, Refused> {
        let mut inner = self.lock();
        inner
            .tasks
            .retain(|queue, tasks| is_known(*queue) || tasks.iter().any(|task| task.status.is_active()));
        if inner.tasks.values().flatten().filter(|task| task.status.is_active()).count()
            >= MOVE_TASKS_RUNNING_MAX
        {
            return Err(Refused::TooMany);
        }
        let number = inner.next_number;
        let tasks = inner.tasks.entry(source).or_default();
        if tasks.iter().any(|task| task.status.is_active()) {
            return Err(Refused::Running);
        }
        if tasks.len() >= QUEUE_MOVES_MAX {
            tasks.remove(0);
        }
        tasks.push(Task { number, ..task });
        inner.next_number += 1;
        Ok(number)
    }

    /// The tasks of a queue, the newest first.
    pub fn tasks(&self, source: QueueId) -> Vec<Task> {
        self.lock().tasks.get(&source).into_iter().flatten().rev().cloned().collect()
    }

    /// Lets a task of a queue end, and returns it as it is then: only one that runs can be.
    pub fn cancel_task(&self, source: QueueId, number: u64) -> Result<Task, CancelError> {
        let cancelled = self.with_task(source, number, |task| {
            if task.status != Status::Running {
                return Err(CancelError::Over);
            }
            task.status = Status::Cancelling;
            Ok(task.clone())
        });
        cancelled.unwrap_or(Err(CancelError::Unknown))
    }

    /// Looks at a task, and changes it.
    pub fn with_task<T>(
        &self,
        source: QueueId,
        number: u64,
        change: impl FnOnce(&mut Task) -> T,
    ) -> Option<T> {
        let mut inner = self.lock();
        inner.tasks.get_mut(&source)?.iter_mut().find(|task| task.number == number).map(change)
    }
}

#[cfg(test)]
mod tests {
    use super::super::move_task::Target;
    use super::*;

    fn task() -> Task {
        Task::new(Target::Sources, None, 10, tidemill_wire::Timestamp(1))
    }

    #[test]
    fn a_queue_is_purged_once_a_minute() {
        let (chores, queue) = (Chores::default(), QueueId(1));
        assert!(chores.begin_purge(queue, Duration::from_secs(1)));
        assert!(!chores.begin_purge(queue, Duration::from_millis(60_999)));
        assert!(chores.begin_purge(QueueId(2), Duration::from_millis(60_999)));
        assert!(chores.begin_purge(queue, Duration::from_secs(61)));
        chores.forget_purge(queue);
        assert!(chores.begin_purge(queue, Duration::from_millis(61_001)));
        assert_eq!(chores.lock().purges.len(), 2);
    }

    #[test]
    fn a_queue_has_one_task_at_a_time_and_its_last_ten_are_known() {
        let (chores, queue) = (Chores::default(), QueueId(1));
        for round in 0..12 {
            let number = chores.begin_task(queue, task(), |_| true).expect("none is active");
            assert_eq!(chores.begin_task(queue, task(), |_| true), Err(Refused::Running), "round {round}");
            chores.with_task(queue, number, |task| task.status = Status::Completed).expect("it is known");
        }
        let tasks = chores.tasks(queue);
        let numbers: Vec<u64> = tasks.iter().map(|task| task.number).collect();
        assert_eq!(numbers, (2..12).rev().collect::<Vec<_>>());
        assert_eq!(chores.with_task(queue, 0, |_| ()), None);
        // Those of a queue that is gone go with the next one.
        chores.begin_task(QueueId(2), task(), |queue| queue == QueueId(2)).expect("none is active");
        assert_eq!(chores.tasks(queue), Vec::new());
    }

    #[test]
    fn tasks_that_run_are_bounded() {
        let chores = Chores::default();
        for queue in 0..MOVE_TASKS_RUNNING_MAX as u64 {
            chores.begin_task(QueueId(queue), task(), |_| false).expect("there is room");
        }
        assert_eq!(chores.begin_task(QueueId(999), task(), |_| true), Err(Refused::TooMany));
        chores.with_task(QueueId(3), 3, |task| task.status = Status::Cancelled).expect("it is known");
        assert_eq!(chores.begin_task(QueueId(999), task(), |_| true), Ok(MOVE_TASKS_RUNNING_MAX as u64));
    }
}
