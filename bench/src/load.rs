//! Load on a server: connections with their roles, dealt out to threads, from the gate to the last answer.
//!
//! Owns everything between the first request and the counters. Leaves out which connections a scenario needs and what is made of the figures.

mod asker;
mod consume;
mod entries;
mod http;
mod language;
mod line;
mod produce;
mod progress;
mod queue;
mod role;
mod subscriber;
mod tally;
mod target;
mod template;
mod window;
mod worker;

use std::thread;
use std::time::Duration;

use tidemill_wire::message::{Position, ShardDescription};

use self::asker::{Asker, Throttled};
use self::consume::Consumer;
use self::line::Line;
use self::produce::Producer;
use self::progress::Progress;
use self::subscriber::Subscriber;
use self::tally::Tally;
use self::window::{End, Plan, measure};
use self::worker::{Patience, Worker};
use crate::error::BenchError;
use crate::http::STAMP_CHARS;
use crate::options::{Options, Until};
use crate::pace::Pace;
use crate::watch::Watch;
use crate::workload::Workload;

use produce::STAMP_BYTES;
pub(crate) use progress::{Flow, Gain};
pub(crate) use subscriber::Goal;
pub(crate) use tally::Series;
pub(crate) use target::{Target, with_server, with_stream};
pub(crate) use window::{End as PartEnd, Measured};

/// Lengths of intervals that a timeline may have.
const INTERVALS_MS: [u64; 12] = [10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000];
/// Points of a timeline, at most, while that is possible with one of these lengths.
const TIMELINE_POINTS: u128 = 120;

/// One measured part of a scenario, with the connections it needs.
pub(crate) struct Part {
    pub(crate) name: String,
    /// What its figures are about.
    pub(crate) flow: Flow,
    pub(crate) warm_up: Duration,
    pub(crate) end: End,
    /// How long what was begun may take after the end.
    pub(crate) drain: Duration,
    /// Requests that an open loop offers each second.
    pub(crate) offered_per_second: Option<f64>,
    lines: Vec<Line>,
    /// Where calls over HTTP go instead of to the server.
    instead: Option<String>,
    /// The answer to the first call that was prepared, if it is wanted.
    sample: Option<Vec<u8>>,
    is_sampled: bool,
}

/// What a part has found.
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) flow: Flow,
    pub(crate) offered_per_second: Option<f64>,
    pub(crate) measured: Measured,
    pub(crate) interval: Duration,
    pub(crate) requests: Series,
    pub(crate) deliveries: Series,
    pub(crate) lateness: Series,
    /// Of a queue's messages: sends, receives and deletions.
    pub(crate) steps: [Series; 3],
    pub(crate) timeline: [Vec<Gain>; 2],
    pub(crate) throttled: u64,
    pub(crate) wait_ms: u64,
    pub(crate) unfinished: u64,
}

impl Part {
    pub(crate) fn new(name: impl Into<String>, flow: Flow, options: &Options) -> Self {
        let end = match options.until {
            Until::Elapsed(time) => End::Elapsed(time),
            Until::Bytes(bytes) => End::Bytes(bytes),
        };
        Self {
            name: name.into(),
            flow,
            warm_up: options.warm_up,
            end,
            drain: options.answer_timeout,
            offered_per_second: None,
            lines: Vec::new(),
            instead: None,
            sample: None,
            is_sampled: false,
        }
    }

    /// Adds connections that append. With `rate`, so many records each second over all of them. Those that are `stamped` tell subscribers when
    /// they were meant to leave; those of a `limited` scenario drop what a quota refuses.
    pub(crate) fn appenders(
        &mut self,
        options: &Options,
        target: &Target,
        rate: Option<u64>,
        is_stamped: bool,
        is_limited: bool,
    ) -> Result<(), BenchError> {
        if is_stamped {
            check_stamp(options)?;
        }
        let pace = |connection| {
            rate.map(|rate| {
                Pace::new(rate, options.batch_records, options.linger, connection, options.connections)
            })
        };
        let batch_records = pace(0).map_or(options.batch_records, |pace| pace.per_request());
        if let Some(rate) = rate {
            self.offered_per_second = Some(rate as f64 / f64::from(batch_records));
        }
        let throttled = if is_limited { Throttled::Drop } else { Throttled::Retry };
        if let Some(http) = &options.http {
            return self.senders(options, http, target, batch_records, &pace, is_stamped);
        }
        let shards = target.open_shards()?;
        let mut workload = Workload::new(options, batch_records, &shards);
        for (connection, place) in (0..).zip(target.places(options.connections, &shards)) {
            let pool = workload.pool(&place.shard)?;
            let first = place.ordinal as usize;
            let load = Producer::new(&target.stream, options.ack, pool, first, options.in_flight, is_stamped);
            let role = Asker::new(load, options.in_flight, pace(connection), throttled);
            let control = target.connect(options, place.shard.lane)?;
            self.lines.push(Line::new(control, Box::new(role), true));
        }
        Ok(())
    }

    /// Adds connections that fetch. With `rate`, so many requests each second over all of them. Those of a `limited` scenario wait for the quota.
    pub(crate) fn fetchers(
        &mut self,
        options: &Options,
        target: &Target,
        shards: &[ShardDescription],
        rate: Option<u64>,
        is_limited: bool,
    ) -> Result<(), BenchError> {
        self.offered_per_second = rate.map(|rate| rate as f64);
        if let Some(http) = &options.http {
            let pace =
                |connection| rate.map(|rate| Pace::new(rate, 1, None, connection, options.connections));
            return self.readers(options, http, target, shards, &pace);
        }
        for (connection, place) in (0..).zip(target.places(options.connections, shards)) {
            let load = Consumer::new(&target.stream, place, options.in_flight, options.fetch_bytes);
            let load = if is_limited { load.patient() } else { load };
            let pace = rate.map(|rate| Pace::new(rate, 1, None, connection, options.connections));
            let role = Asker::new(load, options.in_flight, pace, Throttled::Retry);
            let control = target.connect(options, place.shard.lane)?;
            self.lines.push(Line::new(control, Box::new(role), true));
        }
        Ok(())
    }

    /// Adds a connection that subscribes.
    pub(crate) fn subscriber(
        &mut self,
        options: &Options,
        target: &Target,
        shard: &ShardDescription,
        position: Position,
        goal: Goal,
        is_stamped: bool,
    ) -> Result<(), BenchError> {
        if let Some(http) = &options.http {
            let shards = std::slice::from_ref(shard);
            let options = Options { connections: 1, ..options.clone() };
            return self.pushed(&options, http, target, shards, goal, is_stamped);
        }
        let control = target.connect(options, shard.lane)?;
        let credit = options.fetch_bytes.saturating_mul(4);
        let role = Subscriber::new(target.stream.id, shard.index, position, credit, goal, is_stamped);
        self.lines.push(Line::new(control, Box::new(role), goal != Goal::Idle));
        Ok(())
    }

    /// Runs the part.
    pub(crate) fn run(
        self,
        options: &Options,
        target: &Target,
        watch: &mut dyn Watch,
    ) -> Result<Found, BenchError> {
        self.run_and_look(options, target, watch, &mut || {})
    }

    /// Runs the part, and calls `look` at the end of the measured time, while all connections are open.
    pub(crate) fn run_and_look(
        self,
        options: &Options,
        target: &Target,
        watch: &mut dyn Watch,
        look: &mut dyn FnMut(),
    ) -> Result<Found, BenchError> {
        let Self { name, flow, warm_up, end, drain, offered_per_second, lines, .. } = self;
        let interval = interval_of(end);
        let dealt = deal(lines, thread_count(options));
        let progress = Progress::new(dealt.len(), target.stream.shards.len());
        let patience = Patience { answer: options.answer_timeout, drain };
        let workers: Vec<_> = dealt
            .into_iter()
            .zip(progress.counters())
            .map(|(lines, counters)| Worker::new(lines, patience, interval, &progress, counters))
            .collect();
        let plan =
            Plan { name: &name, flow, warm_up, end, server: &target.process, interrupt: &options.interrupt };
        let (measured, tally) = run(&plan, &progress, workers, watch, look)?;
        let Tally { series, flows, throttled, wait_ms, unfinished, .. } = tally;
        let [requests, deliveries, lateness, send, receive, delete] = series;
        Ok(Found {
            name,
            flow,
            offered_per_second,
            measured,
            interval,
            requests,
            deliveries,
            lateness,
            steps: [send, receive, delete],
            timeline: flows,
            throttled,
            wait_ms,
            unfinished,
        })
    }
}

/// Refuses records that have no room for a time.
fn check_stamp(options: &Options) -> Result<(), BenchError> {
    let (smallest, largest) = options.record_bytes.range();
    let room = if options.http.is_some() { STAMP_CHARS } else { STAMP_BYTES };
    let (value, min) = (smallest.into(), room as u64);
    let refusal = BenchError::Option { option: "record-bytes", value, min, max: min.max(largest.into()) };
    if value < min { Err(refusal) } else { Ok(()) }
}

/// Threads that share the connections.
fn thread_count(options: &Options) -> usize {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    options.threads.map_or(cores, |threads| threads as usize)
}

/// Deals the connections out to at most so many threads.
fn deal(lines: Vec<Line>, threads: usize) -> Vec<Vec<Line>> {
    let threads = threads.min(lines.len()).max(1);
    let mut dealt: Vec<Vec<Line>> = (0..threads).map(|_| Vec::new()).collect();
    for (number, line) in lines.into_iter().enumerate() {
        dealt[number % threads].push(line);
    }
    dealt
}

/// Points that are close enough to see what happens, and few enough to be drawn.
fn interval_of(end: End) -> Duration {
    let interval = match end {
        End::Elapsed(time) => {
            INTERVALS_MS.into_iter().find(|ms| time.as_millis() / u128::from(*ms) <= TIMELINE_POINTS)
        }
        End::Bytes(_) => Some(1_000),
        End::Done => Some(50),
    };
    Duration::from_millis(interval.unwrap_or(INTERVALS_MS[INTERVALS_MS.len() - 1]))
}

/// Starts a thread for each worker, measures, and ends them all.
fn run(
    plan: &Plan<'_>,
    progress: &Progress,
    workers: Vec<Worker<'_>>,
    watch: &mut dyn Watch,
    look: &mut dyn FnMut(),
) -> Result<(Measured, Tally), BenchError> {
    thread::scope(|scope| {
        let gate = progress.close_gate();
        let mut threads = Vec::with_capacity(workers.len());
        for (number, worker) in (0..).zip(workers) {
            let thread = thread::Builder::new().name(format!("bench-{number}"));
            match thread.spawn_scoped(scope, move || worker.run()) {
                Ok(thread) => threads.push(thread),
                Err(source) => {
                    progress.fail();
                    return Err(BenchError::Thread { thread: number, source });
                }
            }
        }
        let measured = measure(plan, progress, gate, watch);
        look();
        if measured.is_ok() {
            progress.stop();
        } else {
            progress.fail();
        }
        let tallies: Result<Vec<_>, _> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect();
        // A broken connection explains an unreadable process, not the other way round.
        let tallies = tallies?;
        let measured = measured?;
        let all = tallies.into_iter().reduce(|mut all, tally| {
            all.merge(tally);
            all
        });
        Ok((measured, all.expect("connections are dealt out to at least one thread")))
    })
}

#[cfg(test)]
mod tests;
