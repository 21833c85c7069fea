//! Numbers that one core writes.

use std::cell::Cell;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(Cell<u64>);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `amount`. Wraps around at 2^64, as readers of counters expect of a restart.
    pub fn add(&self, amount: u64) {
        self.0.set(self.0.get().wrapping_add(amount));
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// A number that rises and falls.
#[derive(Debug, Default)]
pub struct Gauge(Cell<u64>);

impl Gauge {
    /// Adds one.
    pub fn rise(&self) {
        self.0.set(self.0.get().saturating_add(1));
    }

    /// Takes one off.
    pub fn fall(&self) {
        debug_assert!(self.0.get() > 0, "a gauge falls no more often than it rose");
        self.0.set(self.0.get().saturating_sub(1));
    }

    /// Replaces the number.
    pub fn set(&self, value: u64) {
        self.0.set(value);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}
