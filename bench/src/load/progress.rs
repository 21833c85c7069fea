//! What the connections and the one who measures tell each other.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

/// The part of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Load, without recording latencies.
    WarmUp = 0,
    /// Load that counts.
    Measured = 1,
    /// No further requests; answers that are owed are awaited.
    Stopping = 2,
}

/// Phase and counters of a run.
pub(super) struct Progress {
    /// Held closed until every connection has its thread, so that all begin together.
    gate: RwLock<()>,
    phase: AtomicU8,
    counters: Vec<Counters>,
}

/// What one connection has had answered since it began. A cache line of its own, so that connections do not slow each other.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Counters {
    bytes: AtomicU64,
    records: AtomicU64,
    requests: AtomicU64,
}

/// Answered work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Gain {
    /// Of keys and data, as stored.
    pub(super) bytes: u64,
    pub(super) records: u64,
    pub(super) requests: u64,
}

impl Progress {
    pub(super) fn new(connections: usize) -> Self {
        Self {
            gate: RwLock::new(()),
            phase: AtomicU8::new(Phase::WarmUp as u8),
            counters: (0..connections).map(|_| Counters::default()).collect(),
        }
    }

    /// Holds the connections back until the guard is dropped.
    pub(super) fn close_gate(&self) -> RwLockWriteGuard<'_, ()> {
        self.gate.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all may begin.
    pub(super) fn pass_gate(&self) {
        drop(self.gate.read().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn counters(&self) -> &[Counters] {
        &self.counters
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::WarmUp,
            1 => Phase::Measured,
            _ => Phase::Stopping,
        }
    }

    /// Begins the measured part, unless the run is already ending.
    pub(super) fn begin(&self) {
        let (from, to) = (Phase::WarmUp as u8, Phase::Measured as u8);
        // A failure means that a connection has ended the run, and that stands.
        let _ = self.phase.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Ends the run: for the one who measures, and for a connection that failed.
    pub(super) fn stop(&self) {
        self.phase.store(Phase::Stopping as u8, Ordering::Relaxed);
    }

    /// All connections together.
    pub(super) fn total(&self) -> Gain {
        let mut total = Gain::default();
        for counters in &self.counters {
            total.bytes += counters.bytes.load(Ordering::Relaxed);
            total.records += counters.records.load(Ordering::Relaxed);
            total.requests += counters.requests.load(Ordering::Relaxed);
        }
        total
    }
}

impl Counters {
    pub(super) fn add(&self, gain: Gain) {
        self.bytes.fetch_add(gain.bytes, Ordering::Relaxed);
        self.records.fetch_add(gain.records, Ordering::Relaxed);
        self.requests.fetch_add(gain.requests, Ordering::Relaxed);
    }
}
