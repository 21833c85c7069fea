//! What the threads and the one who measures tell each other.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

use tidemill_wire::{SequenceNumber, ShardIndex};

use crate::clock::Clock;

/// The part of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Load.
    Running = 0,
    /// What was begun is finished, and nothing new is.
    Stopping = 1,
    /// Something went wrong: leave at once.
    Failed = 2,
}

/// Phase, times and counters of a run.
pub(super) struct Progress {
    /// Held closed until every thread is there, so that all begin together.
    gate: RwLock<()>,
    phase: AtomicU8,
    pub(super) clock: Clock,
    start_ns: AtomicU64,
    begin_ns: AtomicU64,
    end_ns: AtomicU64,
    counters: Vec<Counters>,
    /// Threads that have nothing more to do.
    done: AtomicUsize,
    /// When the last of them was.
    done_ns: AtomicU64,
    /// Connections that still append.
    appending: AtomicU64,
    /// The end of what was acknowledged in each shard.
    tails: Vec<AtomicU64>,
}

/// The measured part on the run's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// When the load begins.
    pub(super) start_ns: u64,
    pub(super) begin_ns: u64,
    /// The latest moment while it is not known.
    pub(super) end_ns: u64,
}

/// What one thread has had answered since it began. Cache lines of its own, so that threads do not slow each other.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Counters {
    flows: [FlowCounters; 2],
    /// The 99th percentile of the latest interval.
    p99_ns: AtomicU64,
}

#[derive(Default)]
struct FlowCounters {
    bytes: AtomicU64,
    records: AtomicU64,
    requests: AtomicU64,
}

/// Which way records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// To the server.
    In = 0,
    /// From the server.
    Out = 1,
}

/// Answered work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gain {
    /// Of keys and data, as stored.
    pub(crate) bytes: u64,
    pub(crate) records: u64,
    pub(crate) requests: u64,
}

impl Gain {
    pub(crate) fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.records += other.records;
        self.requests += other.requests;
    }

    /// What came after `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            bytes: self.bytes - before.bytes,
            records: self.records - before.records,
            requests: self.requests - before.requests,
        }
    }
}

impl Progress {
    pub(super) fn new(threads: usize, shards: usize) -> Self {
        let unknown = || AtomicU64::new(u64::MAX);
        Self {
            gate: RwLock::new(()),
            phase: AtomicU8::new(Phase::Running as u8),
            clock: Clock::start(),
            start_ns: unknown(),
            begin_ns: unknown(),
            end_ns: unknown(),
            counters: (0..threads).map(|_| Counters::default()).collect(),
            done: AtomicUsize::new(0),
            done_ns: AtomicU64::new(0),
            appending: AtomicU64::new(0),
            tails: (0..shards).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Holds the threads back until the guard is dropped.
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
            0 => Phase::Running,
            1 => Phase::Stopping,
            _ => Phase::Failed,
        }
    }

    /// Ends the run.
    pub(super) fn stop(&self) {
        // A failure that came before stands.
        _ = self.phase.fetch_max(Phase::Stopping as u8, Ordering::Relaxed);
    }

    /// Ends the run at once.
    pub(super) fn fail(&self) {
        self.phase.store(Phase::Failed as u8, Ordering::Relaxed);
    }

    /// Says when the load begins and what is measured.
    pub(super) fn schedule(&self, span: Span) {
        self.start_ns.store(span.start_ns, Ordering::Relaxed);
        self.begin_ns.store(span.begin_ns, Ordering::Relaxed);
        self.end_ns.store(span.end_ns, Ordering::Relaxed);
    }

    /// Ends a measured part whose length was not known.
    pub(super) fn end_at(&self, now_ns: u64) {
        _ = self.end_ns.fetch_min(now_ns, Ordering::Relaxed);
    }

    pub(super) fn span(&self) -> Span {
        Span {
            start_ns: self.start_ns.load(Ordering::Relaxed),
            begin_ns: self.begin_ns.load(Ordering::Relaxed),
            end_ns: self.end_ns.load(Ordering::Relaxed),
        }
    }

    /// All threads together.
    pub(super) fn total(&self, flow: Flow) -> Gain {
        let mut total = Gain::default();
        for counters in &self.counters {
            let flow = &counters.flows[flow as usize];
            total.add(Gain {
                bytes: flow.bytes.load(Ordering::Relaxed),
                records: flow.records.load(Ordering::Relaxed),
                requests: flow.requests.load(Ordering::Relaxed),
            });
        }
        total
    }

    /// The worst thread's 99th percentile in its latest interval.
    pub(super) fn p99_ns(&self) -> u64 {
        self.counters.iter().map(|counters| counters.p99_ns.load(Ordering::Relaxed)).max().unwrap_or(0)
    }

    /// A thread has nothing more to do.
    pub(super) fn done(&self, now_ns: u64) {
        self.done_ns.fetch_max(now_ns, Ordering::Relaxed);
        self.done.fetch_add(1, Ordering::Release);
    }

    /// When the last thread was done, once all are.
    pub(super) fn all_done_ns(&self) -> Option<u64> {
        let is_over = self.done.load(Ordering::Acquire) == self.counters.len();
        is_over.then(|| self.done_ns.load(Ordering::Relaxed))
    }

    /// A connection appends from now on.
    pub(super) fn append_begins(&self) {
        self.appending.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection has had all its appends answered.
    pub(super) fn append_ends(&self) {
        self.appending.fetch_sub(1, Ordering::Release);
    }

    /// Notes the end of what a shard has acknowledged.
    pub(super) fn acknowledged(&self, shard: ShardIndex, end: SequenceNumber) {
        if let Some(tail) = self.tails.get(shard.0 as usize) {
            tail.fetch_max(end.0, Ordering::Relaxed);
        }
    }

    /// All threads together, once nobody appends any more.
    pub(super) fn final_total(&self, flow: Flow) -> Option<Gain> {
        (self.appending.load(Ordering::Acquire) == 0).then(|| self.total(flow))
    }

    /// The end of all that was acknowledged in the shard, once nobody appends any more.
    pub(super) fn final_tail(&self, shard: ShardIndex) -> Option<SequenceNumber> {
        if self.appending.load(Ordering::Acquire) > 0 {
            return None;
        }
        self.tails.get(shard.0 as usize).map(|tail| SequenceNumber(tail.load(Ordering::Relaxed)))
    }
}

impl Span {
    /// Whether a moment counts.
    pub(super) fn contains(self, at_ns: u64) -> bool {
        (self.begin_ns..self.end_ns).contains(&at_ns)
    }
}

impl Counters {
    pub(super) fn add(&self, flow: Flow, gain: Gain) {
        let flow = &self.flows[flow as usize];
        flow.bytes.fetch_add(gain.bytes, Ordering::Relaxed);
        flow.records.fetch_add(gain.records, Ordering::Relaxed);
        flow.requests.fetch_add(gain.requests, Ordering::Relaxed);
    }

    pub(super) fn show_p99(&self, p99_ns: u64) {
        self.p99_ns.store(p99_ns, Ordering::Relaxed);
    }
}
