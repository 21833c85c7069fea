//! The heartbeat of a core: a timer that never lets it oversleep.
//!
//! glommio 0.9 can park with a runnable task when a preemption request is pending, but it never oversleeps a timer.
//! So each core keeps one: short while there is work, longer when there is none. How late it fires is how long the core was away; the
//! watchdog reads when it last beat.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use super::clock::Clock;
use super::event::{Event, Signal};
use super::executor::sleep;
use super::limits::HEARTBEAT_IDLE_MS;
use crate::metrics::CoreMetrics;

/// When a core last beat, for other threads to read.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<AtomicU64>);

/// How much a core has to do.
#[derive(Debug, Default)]
pub struct Busy {
    tasks: Cell<u64>,
    begun: Signal,
}

/// A piece of work; dropped, it is done.
#[derive(Debug)]
pub struct Work(Rc<Busy>);

/// A pause within a piece of work; dropped, the work goes on.
#[derive(Debug)]
pub struct Rest {
    busy: Rc<Busy>,
    /// There was work to pause.
    is_pause: bool,
}

impl Pulse {
    /// When the core last beat, on the clock that all cores share. Zero before the first beat.
    #[must_use]
    pub fn last(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    fn beat(&self, now: Duration) {
        self.0.store(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Busy {
    /// Counts a piece of work until it is dropped.
    pub fn begin(self: &Rc<Self>) -> Work {
        self.count();
        Work(Rc::clone(self))
    }

    /// Pauses the work of whoever asks, who waits for something that may take long, until it is dropped.
    pub fn rest(self: &Rc<Self>) -> Rest {
        let is_pause = self.is_busy();
        self.tasks.set(self.tasks.get() - u64::from(is_pause));
        Rest { busy: Rc::clone(self), is_pause }
    }

    fn count(&self) {
        let tasks = self.tasks.get();
        self.tasks.set(tasks + 1);
        if tasks == 0 {
            self.begun.notify();
        }
    }

    /// Whether there is work.
    pub fn is_busy(&self) -> bool {
        self.tasks.get() > 0
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        if self.is_pause {
            self.busy.count();
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.tasks.set(self.0.tasks.get() - 1);
    }
}

/// Beats until `stop` has happened.
pub(super) async fn beat(
    clock: Clock,
    period: Duration,
    stall: Duration,
    busy: Rc<Busy>,
    metrics: Rc<CoreMetrics>,
    pulse: Pulse,
    stop: Rc<Event>,
) {
    let idle = period.max(Duration::from_millis(HEARTBEAT_IDLE_MS));
    while !stop.has_happened() {
        let begun = clock.monotonic();
        pulse.beat(begun);
        let expected = if busy.is_busy() { period } else { idle };
        let mut timer = pin!(sleep(expected));
        let mut stopped = pin!(stop.wait());
        // An idle core that gets work takes up the short beat at once.
        let on_time = poll_fn(|context| {
            if timer.as_mut().poll(context).is_ready() {
                return Poll::Ready(true);
            }
            if expected == idle && busy.is_busy() || stopped.as_mut().poll(context).is_ready() {
                return Poll::Ready(false);
            }
            busy.begun.register(context);
            Poll::Pending
        });
        if on_time.await {
            let late = clock.monotonic().saturating_sub(begun + expected);
            metrics.heartbeat_delay.observe_us(u64::try_from(late.as_micros()).unwrap_or(u64::MAX));
            if late > stall {
                metrics.stalls.increment();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_pauses_one_piece_of_work() {
        let busy = Rc::<Busy>::default();
        let (work, other) = (busy.begin(), busy.begin());
        let rest = busy.rest();
        assert!(busy.is_busy(), "the other piece goes on");
        drop(other);
        assert!(!busy.is_busy());
        drop(rest);
        assert!(busy.is_busy());
        drop(work);
        // Where there is nothing to pause, nothing goes on afterwards.
        drop(busy.rest());
        assert!(!busy.is_busy());
    }
}
