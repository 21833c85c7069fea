//! The measured part: all counters are read at its two ends, so what a connection notices late changes nothing.

use std::sync::RwLockWriteGuard;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::progress::{Flow, Gain, Phase, Progress, Span};
use crate::clock::nanoseconds;
use crate::cpu::process_cpu;
use crate::error::BenchError;
use crate::watch::{Sighting, Watch};

/// How often the end is looked for: rarely enough to leave the cores to the load.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// How often progress is shown.
const SHOW_INTERVAL: Duration = Duration::from_secs(1);

/// When the measured part ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Elapsed(Duration),
    /// After so many bytes of the flow that is measured.
    Bytes(u64),
    /// When every connection has come to its end.
    Done,
}

/// What the one who measures needs to know.
pub(super) struct Plan<'p> {
    /// What this part is called.
    pub(super) name: &'p str,
    pub(super) flow: Flow,
    pub(super) warm_up: Duration,
    pub(super) end: End,
    pub(super) server: &'p Result<u32, String>,
    pub(super) interrupt: &'p AtomicBool,
}

/// The measured part as it was read off.
pub(crate) struct Measured {
    pub(crate) elapsed: Duration,
    pub(crate) flows: [Gain; 2],
    pub(crate) server_cpu: Result<Duration, String>,
    pub(crate) generator_cpu: Duration,
}

struct Reading {
    at_ns: u64,
    flows: [Gain; 2],
    server_cpu: Result<Duration, String>,
    generator_cpu: Duration,
}

/// Opens the gate and waits for warm-up and measured part; returns early when a connection has ended the run.
pub(super) fn measure(
    plan: &Plan<'_>,
    progress: &Progress,
    gate: RwLockWriteGuard<'_, ()>,
    watch: &mut dyn Watch,
) -> Result<Measured, BenchError> {
    let start_ns = progress.clock.now_ns();
    let begin_ns = start_ns + nanoseconds(plan.warm_up);
    let end_ns = match plan.end {
        End::Elapsed(time) => begin_ns.saturating_add(nanoseconds(time)),
        End::Bytes(_) | End::Done => u64::MAX,
    };
    progress.schedule(Span { start_ns, begin_ns, end_ns });
    let mut show =
        Show { plan, progress, begin_ns, next_ns: start_ns, last: (start_ns, Gain::default()), watch };
    let before = if plan.warm_up.is_zero() {
        // The very first request counts.
        let before = Reading::take(plan, progress)?;
        drop(gate);
        before
    } else {
        drop(gate);
        wait_until(plan, progress, &mut show, |now_ns| now_ns >= begin_ns)?;
        Reading::take(plan, progress)?
    };
    wait_until(plan, progress, &mut show, |now_ns| match plan.end {
        End::Elapsed(_) => now_ns >= end_ns,
        End::Bytes(bytes) => progress.total(plan.flow).since(before.flows[plan.flow as usize]).bytes >= bytes,
        End::Done => progress.all_done_ns().is_some(),
    })?;
    let mut after = Reading::take(plan, progress)?;
    if let (End::Done, Some(done_ns)) = (plan.end, progress.all_done_ns()) {
        after.at_ns = done_ns;
    }
    progress.end_at(after.at_ns);
    Ok(after.since(before))
}

fn wait_until(
    plan: &Plan<'_>,
    progress: &Progress,
    show: &mut Show<'_>,
    is_over: impl Fn(u64) -> bool,
) -> Result<(), BenchError> {
    loop {
        let now_ns = progress.clock.now_ns();
        if is_over(now_ns) || progress.phase() != Phase::Running {
            return Ok(());
        }
        if plan.interrupt.load(Ordering::Relaxed) {
            return Err(BenchError::Interrupted);
        }
        show.look(now_ns);
        thread::sleep(LOOK_INTERVAL);
    }
}

/// Progress for whoever watches.
struct Show<'s> {
    plan: &'s Plan<'s>,
    progress: &'s Progress,
    begin_ns: u64,
    next_ns: u64,
    last: (u64, Gain),
    watch: &'s mut dyn Watch,
}

impl Show<'_> {
    fn look(&mut self, now_ns: u64) {
        if now_ns < self.next_ns {
            return;
        }
        self.next_ns = now_ns + nanoseconds(SHOW_INTERVAL);
        let total = self.progress.total(self.plan.flow);
        let (last_ns, last) = std::mem::replace(&mut self.last, (now_ns, total));
        let seconds = (now_ns - last_ns) as f64 / 1e9;
        let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let gain = total.since(last);
        self.watch.see(&Sighting {
            part: self.plan.name,
            is_warm_up: now_ns < self.begin_ns,
            elapsed: Duration::from_nanos(now_ns.saturating_sub(self.begin_ns)),
            of: match self.plan.end {
                End::Elapsed(time) => Some(time),
                End::Bytes(_) | End::Done => None,
            },
            megabytes_per_second: per_second(gain.bytes) / 1e6,
            requests_per_second: per_second(gain.requests),
            p99_us: self.progress.p99_ns() as f64 / 1e3,
        });
    }
}

impl Reading {
    fn take(plan: &Plan<'_>, progress: &Progress) -> Result<Self, BenchError> {
        let server_cpu = match plan.server {
            Ok(pid) => Ok(process_cpu(*pid)?.total()),
            Err(reason) => Err(reason.clone()),
        };
        let generator_cpu = process_cpu(std::process::id())?.total();
        let flows = [progress.total(Flow::In), progress.total(Flow::Out)];
        Ok(Self { at_ns: progress.clock.now_ns(), flows, server_cpu, generator_cpu })
    }

    fn since(self, before: Self) -> Measured {
        let server_cpu = match (before.server_cpu, self.server_cpu) {
            (Ok(before), Ok(after)) => Ok(after.saturating_sub(before)),
            (Err(reason), _) | (_, Err(reason)) => Err(reason),
        };
        let [first, second] = self.flows;
        Measured {
            elapsed: Duration::from_nanos(self.at_ns.saturating_sub(before.at_ns)),
            flows: [first.since(before.flows[0]), second.since(before.flows[1])],
            server_cpu,
            generator_cpu: self.generator_cpu.saturating_sub(before.generator_cpu),
        }
    }
}
