//! Names of queues that were deleted a moment ago and are not given again yet.
//!
//! A client of the deleted queue that has not heard of its end would be a client of the next one of that name. Kept in memory only: a restart takes
//! longer to come back than most clients take to hear. Time comes in, so nothing here reads a clock.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::service::queue_definition::QueueName;

/// The names.
#[derive(Debug)]
pub struct HeldNames {
    hold: Duration,
    names_max: usize,
    /// When each was deleted, last.
    deleted: BTreeMap<QueueName, Duration>,
    /// In the order of their deletion.
    order: VecDeque<(Duration, QueueName)>,
}

impl HeldNames {
    /// Holds each name for so long; of more than so many names those that were deleted first are let go.
    #[must_use]
    pub fn new(hold: Duration, names_max: usize) -> Self {
        Self { hold, names_max, deleted: BTreeMap::new(), order: VecDeque::new() }
    }

    /// Holds the name of a queue that was deleted now, by a clock that never falls.
    pub fn hold(&mut self, name: QueueName, now: Duration) {
        self.let_go(now);
        if self.hold.is_zero() || self.names_max == 0 {
            return;
        }
        self.deleted.insert(name.clone(), now);
        self.order.push_back((now, name));
        while self.order.len() > self.names_max {
            self.let_first_go();
        }
    }

    /// Seconds until a name is free, rounded up; `None` if it is.
    pub fn seconds_left(&mut self, name: &QueueName, now: Duration) -> Option<u64> {
        self.let_go(now);
        let left = self.hold.checked_sub(now.saturating_sub(*self.deleted.get(name)?))?;
        Some(left.as_millis().div_ceil(1_000)).and_then(|seconds| u64::try_from(seconds).ok())
    }

    fn let_go(&mut self, now: Duration) {
        while self.order.front().is_some_and(|(deleted, _)| now.saturating_sub(*deleted) >= self.hold) {
            self.let_first_go();
        }
    }

    fn let_first_go(&mut self) {
        let Some((at, name)) = self.order.pop_front() else { return };
        // It may have been given again and deleted again since.
        if self.deleted.get(&name) == Some(&at) {
            self.deleted.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> QueueName {
        QueueName::new(text).expect("a name")
    }

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_name_is_free_again_when_its_time_is_over() {
        let mut held = HeldNames::new(at(60_000), 10);
        assert_eq!(held.seconds_left(&name("a"), at(5_000)), None, "it was never deleted");
        held.hold(name("a"), at(5_000));
        assert_eq!(held.seconds_left(&name("b"), at(5_000)), None);
        let left = [5_000, 5_001, 6_000, 64_000, 64_001, 64_999]
            .map(|now| held.seconds_left(&name("a"), at(now)).expect("it is held"));
        assert_eq!(left, [60, 60, 59, 1, 1, 1]);
        assert_eq!(held.seconds_left(&name("a"), at(65_000)), None);
        assert!(held.deleted.is_empty() && held.order.is_empty(), "nothing is left of it");
    }

    #[test]
    fn a_name_that_is_deleted_again_is_held_from_then_on() {
        let mut held = HeldNames::new(at(10_000), 10);
        held.hold(name("a"), at(0));
        held.hold(name("a"), at(4_000));
        assert_eq!(held.seconds_left(&name("a"), at(10_000)), Some(4));
        assert_eq!(held.seconds_left(&name("a"), at(14_000)), None);
    }

    #[test]
    fn names_are_bounded_and_the_first_goes() {
        let mut held = HeldNames::new(at(10_000), 2);
        for text in ["a", "b", "c"] {
            held.hold(name(text), at(0));
        }
        let left = ["a", "b", "c"].map(|text| held.seconds_left(&name(text), at(0)));
        assert_eq!(left, [None, Some(10), Some(10)]);
    }

    #[test]
    fn no_time_holds_no_name() {
        let mut held = HeldNames::new(Duration::ZERO, 2);
        held.hold(name("a"), at(0));
        assert_eq!(held.seconds_left(&name("a"), at(0)), None);
        assert!(held.order.is_empty());
    }
}
