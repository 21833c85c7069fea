//! The measured part: all counters are read at its two ends, so what a connection notices late changes nothing.

use std::sync::RwLockWriteGuard;
use std::thread;
use std::time::{Duration, Instant};

use super::progress::{Gain, Phase, Progress};
use crate::cpu::process_cpu;
use crate::error::BenchError;
use crate::options::{Options, Until};
use crate::report::Measured;

/// How often the end is looked for: rarely enough to leave the cores to the load.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// The readings at both ends.
pub(super) struct Window {
    before: Reading,
    after: Reading,
}

struct Reading {
    at: Instant,
    total: Gain,
    server_cpu: Result<Duration, String>,
    generator_cpu: Duration,
}

/// Opens the gate and waits for warm-up and measured part; returns early when a connection has ended the run.
pub(super) fn measure(
    options: &Options,
    server: Result<u32, String>,
    progress: &Progress,
    gate: RwLockWriteGuard<'_, ()>,
) -> Result<Window, BenchError> {
    let before = if options.warm_up.is_zero() {
        // The very first request counts.
        let before = Reading::take(server.clone(), progress)?;
        progress.begin();
        drop(gate);
        before
    } else {
        drop(gate);
        wait_until(progress, Instant::now() + options.warm_up, || false);
        let before = Reading::take(server.clone(), progress)?;
        progress.begin();
        before
    };
    match options.until {
        Until::Elapsed(time) => wait_until(progress, before.at + time, || false),
        Until::Bytes(bytes) => {
            let is_over = || progress.total().bytes - before.total.bytes >= bytes;
            while !is_over() && progress.phase() != Phase::Stopping {
                wait_until(progress, Instant::now() + Duration::from_secs(60), is_over);
            }
        }
    }
    let after = Reading::take(server, progress)?;
    Ok(Window { before, after })
}

fn wait_until(progress: &Progress, end: Instant, is_over: impl Fn() -> bool) {
    loop {
        let rest = end.saturating_duration_since(Instant::now());
        if rest.is_zero() || is_over() || progress.phase() == Phase::Stopping {
            return;
        }
        thread::sleep(rest.min(LOOK_INTERVAL));
    }
}

impl Reading {
    fn take(server: Result<u32, String>, progress: &Progress) -> Result<Self, BenchError> {
        let server_cpu = match server {
            Ok(pid) => Ok(process_cpu(pid)?.total()),
            Err(reason) => Err(reason),
        };
        let generator_cpu = process_cpu(std::process::id())?.total();
        Ok(Self { at: Instant::now(), total: progress.total(), server_cpu, generator_cpu })
    }
}

impl Window {
    pub(super) fn into_measured(self) -> Measured {
        let Self { before, after } = self;
        let server_cpu = match (before.server_cpu, after.server_cpu) {
            (Ok(before), Ok(after)) => Ok(after.saturating_sub(before)),
            (Err(reason), _) | (_, Err(reason)) => Err(reason),
        };
        Measured {
            elapsed: after.at - before.at,
            bytes: after.total.bytes - before.total.bytes,
            records: after.total.records - before.total.records,
            requests: after.total.requests - before.total.requests,
            server_cpu,
            generator_cpu: after.generator_cpu.saturating_sub(before.generator_cpu),
        }
    }
}
