//! The closed loop: prepares the stream, runs the connections, reads the counters off, cleans up.
//!
//! Promises that a stream this run created is gone afterwards unless it was to be kept, also when the run failed, and that
//! a stream that was there before stays.

mod consume;
mod produce;
mod progress;
mod window;
mod worker;

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use hdrhistogram::Histogram;
use tidemill_wire::LaneId;
use tidemill_wire::message::{ShardDescription, ShardState, StreamDescription, Welcome};

use self::consume::Consumer;
use self::produce::Producer;
use self::progress::Progress;
use self::window::{Window, measure};
use self::worker::{Load, Tally, Worker, empty_histogram};
use crate::connection::{Control, connect};
use crate::cpu::listener_of;
use crate::error::BenchError;
use crate::options::{Options, Until};
use crate::report::{Command, Report, SettingsReport, ThrottleReport};

/// Appends as fast as the server answers.
///
/// # Errors
/// The first thing that went wrong on any connection; what the other connections found is dropped with it.
pub fn produce(options: &Options) -> Result<Report, BenchError> {
    with_stream(options, |target| append(options, target))
}

/// Fetches what the stream holds as fast as the server answers, from the beginning again at the end. Each request in flight
/// is a reader of its own, and the readers of a shard start spread over it.
///
/// # Errors
/// As [`produce`], and when the stream is empty and was not to be filled.
pub fn consume(options: &Options) -> Result<Report, BenchError> {
    with_stream(options, |target| {
        fill(options, target)?;
        let shards = target.filled_shards()?;
        closed_loop(options, target, Command::Consume, &shards, |place| {
            Ok(Consumer::new(options, &target.stream, place))
        })
    })
}

fn append(options: &Options, target: &Target) -> Result<Report, BenchError> {
    produce::check_batch(options, &target.welcome)?;
    let shards = target.open_shards()?;
    closed_loop(options, target, Command::Produce, &shards, |place| {
        Producer::new(options, &target.stream, place)
    })
}

/// Appends what is missing of the bytes that a reader wants to find.
fn fill(options: &Options, target: &mut Target) -> Result<(), BenchError> {
    let held: u64 = target.stream.shards.iter().map(|shard| shard.bytes).sum();
    let missing = options.fill_bytes.saturating_sub(held);
    if missing == 0 {
        return Ok(());
    }
    let kept = target.stream.retention_bytes.saturating_mul(target.stream.shards.len() as u64);
    if kept > 0 && options.fill_bytes > kept {
        return Err(BenchError::Option {
            option: "fill-bytes",
            value: options.fill_bytes,
            min: 0,
            max: kept,
        });
    }
    append(&Options { until: Until::Bytes(missing), warm_up: Duration::ZERO, ..options.clone() }, target)?;
    let (mut control, _) = Control::open(&options.server, options.answer_timeout)?;
    let gone = || BenchError::Empty { stream: options.stream.to_string() };
    target.stream = control.describe(&options.stream)?.ok_or_else(gone)?;
    Ok(())
}

/// The server and the stream of a run.
struct Target {
    welcome: Welcome,
    address: SocketAddr,
    /// The server's process, or why it is not known.
    process: Result<u32, String>,
    stream: StreamDescription,
}

/// Where one connection works.
#[derive(Clone, Copy)]
struct Place {
    shard: ShardDescription,
    /// This connection among those of the same shard.
    ordinal: u32,
    /// Connections of the same shard.
    siblings: u32,
}

impl Target {
    /// Shards that take appends.
    fn open_shards(&self) -> Result<Vec<ShardDescription>, BenchError> {
        let open = |shard: &&ShardDescription| shard.state == ShardState::Open;
        let shards: Vec<_> = self.stream.shards.iter().filter(open).copied().collect();
        let refusal = || BenchError::NoOpenShard { stream: self.stream.name.to_string() };
        if shards.is_empty() { Err(refusal()) } else { Ok(shards) }
    }

    /// Shards that have something to read.
    fn filled_shards(&self) -> Result<Vec<ShardDescription>, BenchError> {
        let filled = |shard: &&ShardDescription| shard.next_sequence > shard.oldest_sequence;
        let shards: Vec<_> = self.stream.shards.iter().filter(filled).copied().collect();
        let refusal = || BenchError::Empty { stream: self.stream.name.to_string() };
        if shards.is_empty() { Err(refusal()) } else { Ok(shards) }
    }

    /// Deals the connections out to shards.
    fn places(&self, connections: u32, shards: &[ShardDescription]) -> Vec<Place> {
        let count = u32::try_from(shards.len()).unwrap_or(u32::MAX);
        let place = |(index, shard): (u32, &ShardDescription)| Place {
            shard: *shard,
            ordinal: index / count,
            siblings: connections / count + u32::from(index % count < connections % count),
        };
        (0..connections).zip(shards.iter().cycle()).map(place).collect()
    }

    /// The port of the lane's owner; any port leads to every lane, so the shared one does where none is named.
    fn address_of(&self, lane: LaneId) -> SocketAddr {
        let port = self.welcome.lanes.iter().find(|(listed, _)| *listed == lane).map(|(_, port)| *port);
        SocketAddr::new(self.address.ip(), port.unwrap_or(self.address.port()))
    }
}

/// Opens the stream, runs `work` on it and deletes it if it is this run's own.
fn with_stream<T>(
    options: &Options,
    work: impl FnOnce(&mut Target) -> Result<T, BenchError>,
) -> Result<T, BenchError> {
    options.check()?;
    let (mut control, welcome) = Control::open(&options.server, options.answer_timeout)?;
    if options.in_flight > welcome.in_flight_max {
        return Err(BenchError::InFlight { asked: options.in_flight, allowed: welcome.in_flight_max });
    }
    let process = server_process(options, &control)?;
    let (stream, is_own) = match control.describe(&options.stream)? {
        Some(stream) => (stream, false),
        None => {
            (control.create(&options.stream, options.shards, options.retention_bytes)?, !options.keep_stream)
        }
    };
    let address = control.address();
    drop(control);
    let result = work(&mut Target { welcome, address, process, stream });
    if !is_own {
        return result;
    }
    // A connection of its own: the first may have been idle for longer than the server allows.
    let deleted = Control::open(&options.server, options.answer_timeout)
        .and_then(|(mut control, _)| control.delete(&options.stream));
    result.and_then(|result| deleted.map(|()| result))
}

fn server_process(options: &Options, control: &Control) -> Result<Result<u32, String>, BenchError> {
    let pid = match options.server_pid {
        Some(pid) => pid,
        None if !control.is_local() => return Ok(Err("the server is on another machine".to_owned())),
        None => match listener_of(control.address().port())? {
            Some(pid) => pid,
            None => return Ok(Err("the server's process is not visible to this user".to_owned())),
        },
    };
    if pid == std::process::id() {
        return Ok(Err("server and generator are one process".to_owned()));
    }
    Ok(Ok(pid))
}

/// Runs one load on every connection and reports the measured part.
fn closed_loop<L: Load + Send>(
    options: &Options,
    target: &Target,
    command: Command,
    shards: &[ShardDescription],
    load: impl Fn(Place) -> Result<L, BenchError>,
) -> Result<Report, BenchError> {
    let places = target.places(options.connections, shards);
    let progress = Progress::new(places.len());
    let mut workers = Vec::with_capacity(places.len());
    for (place, counters) in places.into_iter().zip(progress.counters()) {
        let address = target.address_of(place.shard.lane);
        let (control, _) = Control::shake_hands(connect(address)?, address, options.answer_timeout)?;
        workers.push(Worker::new(control, load(place)?, options, &progress, counters)?);
    }
    let (window, tallies) = run(options, target, &progress, workers)?;
    let mut latency_us: Histogram<u64> = empty_histogram();
    let mut throttled = ThrottleReport::default();
    for tally in tallies {
        latency_us.add(&tally.latency_us).expect("all histograms have the same range");
        throttled.answers += tally.throttled;
        throttled.wait_ms += tally.wait_ms;
    }
    let settings = SettingsReport::new(options, u32::try_from(shards.len()).unwrap_or(u32::MAX));
    Ok(Report::new(command, settings, &target.welcome, window.into_measured(), &latency_us, throttled))
}

/// Starts a thread for each worker, measures, and ends them all.
fn run<L: Load + Send>(
    options: &Options,
    target: &Target,
    progress: &Progress,
    workers: Vec<Worker<'_, L>>,
) -> Result<(Window, Vec<Tally>), BenchError> {
    thread::scope(|scope| {
        let gate = progress.close_gate();
        let mut threads = Vec::with_capacity(workers.len());
        for (connection, worker) in (0..).zip(workers) {
            let thread = thread::Builder::new().name(format!("bench-{connection}"));
            match thread.spawn_scoped(scope, move || worker.run()) {
                Ok(thread) => threads.push(thread),
                Err(source) => {
                    progress.stop();
                    return Err(BenchError::Thread { connection, source });
                }
            }
        }
        let window = measure(options, target.process.clone(), progress, gate);
        progress.stop();
        let tallies: Result<Vec<_>, _> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect();
        // A broken connection explains an unreadable process, not the other way round.
        let tallies = tallies?;
        Ok((window?, tallies))
    })
}

#[cfg(test)]
mod tests;
