//! The server and the stream of a run, and who works where.
//!
//! Promises that a stream this run created is gone afterwards unless it was to be kept, also when the run failed, and that a stream that was
//! there before stays.

use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use tidemill_wire::message::{
    KeyCompaction, Quota, ShardDescription, ShardState, StreamDescription, Welcome,
};
use tidemill_wire::{LaneId, StreamId, Timestamp};

use super::http::Queue;
use crate::connection::{Control, connect};
use crate::cpu::listener_of;
use crate::error::BenchError;
use crate::options::Options;

/// Connections end before the process does that held them.
const END_TIME_MAX: Duration = Duration::from_millis(500);

/// The server and the stream of a run.
pub(crate) struct Target {
    pub(crate) welcome: Welcome,
    pub(crate) address: SocketAddr,
    /// The server's process, or why it is not known.
    pub(crate) process: Result<u32, String>,
    pub(crate) stream: StreamDescription,
    /// The queue, where the load is about messages. There is no stream then, and what describes it has no shards.
    pub(crate) queue: Option<Queue>,
}

/// Where one connection works.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) shard: ShardDescription,
    /// This connection among those of the same shard.
    pub(crate) ordinal: u32,
    /// Connections of the same shard.
    pub(crate) siblings: u32,
}

impl Target {
    /// The queue's URL.
    pub(crate) fn queue(&self) -> Result<&str, BenchError> {
        let none = || BenchError::NoEffect { option: "sqs", needs: "a scenario about a queue" };
        self.queue.as_ref().map(Queue::url).ok_or_else(none)
    }

    /// Shards that take appends.
    pub(crate) fn open_shards(&self) -> Result<Vec<ShardDescription>, BenchError> {
        let open = |shard: &&ShardDescription| shard.state == ShardState::Open;
        let shards: Vec<_> = self.stream.shards.iter().filter(open).copied().collect();
        let refusal = || BenchError::NoOpenShard { stream: self.stream.name.to_string() };
        if shards.is_empty() { Err(refusal()) } else { Ok(shards) }
    }

    /// Shards that have something to read.
    pub(crate) fn filled_shards(&self) -> Result<Vec<ShardDescription>, BenchError> {
        let filled = |shard: &&ShardDescription| shard.next_sequence > shard.oldest_sequence;
        let shards: Vec<_> = self.stream.shards.iter().filter(filled).copied().collect();
        let refusal = || BenchError::Empty { stream: self.stream.name.to_string() };
        if shards.is_empty() { Err(refusal()) } else { Ok(shards) }
    }

    /// Deals the connections out to shards.
    pub(crate) fn places(&self, connections: u32, shards: &[ShardDescription]) -> Vec<Place> {
        let count = u32::try_from(shards.len()).unwrap_or(u32::MAX);
        let place = |(index, shard): (u32, &ShardDescription)| Place {
            shard: *shard,
            ordinal: index / count,
            siblings: connections / count + u32::from(index % count < connections % count),
        };
        (0..connections).zip(shards.iter().cycle()).map(place).collect()
    }

    /// The port of the lane's owner; any port leads to every lane, so the shared one does where none is named.
    pub(crate) fn address_of(&self, lane: LaneId) -> SocketAddr {
        let port = self.welcome.lanes.iter().find(|(listed, _)| *listed == lane).map(|(_, port)| *port);
        SocketAddr::new(self.address.ip(), port.unwrap_or(self.address.port()))
    }

    /// A connection to the owner of the lane.
    pub(crate) fn connect(&self, options: &Options, lane: LaneId) -> Result<Control, BenchError> {
        let address = self.address_of(lane);
        Ok(Control::shake_hands(connect(address)?, address, options.answer_timeout)?.0)
    }

    /// The server's process.
    pub(crate) fn pid(&self) -> Result<u32, BenchError> {
        self.process.clone().map_err(|reason| BenchError::NoProcess { reason })
    }

    /// Looks at a server and the stream anew, after a restart.
    pub(crate) fn reopen(&mut self, options: &Options) -> Result<(), BenchError> {
        let (control, welcome) = Control::open(&options.server, options.answer_timeout)?;
        self.process = server_process(options, &control)?;
        (self.address, self.welcome) = (control.address(), welcome);
        self.stream = self.describe(options)?;
        Ok(())
    }

    /// The stream as it is now.
    pub(crate) fn describe(&self, options: &Options) -> Result<StreamDescription, BenchError> {
        let (mut control, _) = Control::open(&options.server, options.answer_timeout)?;
        let gone = || BenchError::Empty { stream: options.stream.to_string() };
        control.describe(&options.stream)?.ok_or_else(gone)
    }
}

/// Opens the stream, runs `work` on it and deletes it if it is this run's own. A stream that is created has this quota, or the server's default.
pub(crate) fn with_stream<T>(
    options: &Options,
    quota: Option<Quota>,
    work: impl FnOnce(&mut Target) -> Result<T, BenchError>,
) -> Result<T, BenchError> {
    let (mut control, welcome) = Control::open(&options.server, options.answer_timeout)?;
    if options.in_flight > welcome.in_flight_max {
        return Err(BenchError::InFlight { asked: options.in_flight, allowed: welcome.in_flight_max });
    }
    let process = server_process(options, &control)?;
    let queue = Queue::open(options)?;
    let (stream, is_own) = match (&queue, control.describe(&options.stream)?) {
        (Some(_), _) => (Queue::no_stream(options), false),
        (None, Some(stream)) => (stream, false),
        (None, None) => {
            let stream = control.create(&options.stream, options.shards, options.retention_bytes, quota)?;
            (stream, !options.keep_stream)
        }
    };
    let address = control.address();
    drop(control);
    let watched = process.clone().ok();
    let mut target = Target { welcome, address, process, stream, queue };
    let mut result = work(&mut target);
    if let Some(queue) = target.queue.take() {
        let closed = queue.close(options);
        result = result.and_then(|result| closed.map(|()| result));
    }
    if is_own {
        // A connection of its own: the first may have been idle for longer than the server allows.
        let deleted = Control::open(&options.server, options.answer_timeout)
            .and_then(|(mut control, _)| control.delete(&options.stream));
        result = result.and_then(|result| deleted.map(|()| result));
    }
    result.map_err(|failure| explained(failure, watched))
}

/// Runs `work` on a server without a stream.
pub(crate) fn with_server<T>(
    options: &Options,
    work: impl FnOnce(&mut Target) -> Result<T, BenchError>,
) -> Result<T, BenchError> {
    let (control, welcome) = Control::open(&options.server, options.answer_timeout)?;
    if options.in_flight > welcome.in_flight_max {
        return Err(BenchError::InFlight { asked: options.in_flight, allowed: welcome.in_flight_max });
    }
    let process = server_process(options, &control)?;
    let address = control.address();
    drop(control);
    let stream = StreamDescription {
        id: StreamId(0),
        name: options.stream.clone(),
        created: Timestamp(0),
        retention_ms: 0,
        retention_bytes: 0,
        quota: Quota::OFF,
        map_version: 0,
        shards: Vec::new(),
        key_compaction: KeyCompaction::Off,
        read_calls_per_second: 0,
    };
    let watched = process.clone().ok();
    work(&mut Target { welcome, address, process, stream, queue: None })
        .map_err(|failure| explained(failure, watched))
}

/// A failure of a run whose server was this process, which may be gone.
fn explained(failure: BenchError, process: Option<u32>) -> BenchError {
    let Some(process) = process.filter(|_| !matches!(failure, BenchError::Interrupted)) else {
        return failure;
    };
    let deadline = Instant::now() + END_TIME_MAX;
    while is_running(process) {
        if Instant::now() >= deadline {
            return failure;
        }
        thread::sleep(Duration::from_millis(5));
    }
    BenchError::ServerGone { process, failure: Box::new(failure) }
}

/// Whether a process runs. One that has ended, and whose parent has not asked how, does not.
fn is_running(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
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

#[cfg(test)]
mod tests;
