//! Bytes over loopback, between a thread on the server's core and one on the others.

use std::hint::black_box;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tidemill_wire::entry::{ENTRY_HEADER_BYTES, EntryHeader, EntryKind};
use tidemill_wire::{OwnerId, SequenceNumber, Timestamp};

use super::Amount;

/// Bytes of a write and of the buffer that is read into: what is fastest here.
const CHUNK_BYTES: usize = 1 << 20;
/// Memory that is copied into or sent from: more than the processor's caches hold.
const RESIDENT_BYTES: usize = 128 << 20;
/// Not measured: what the connection needs to get up to speed.
const WARM_UP: Duration = Duration::from_millis(200);

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// To the server's side.
    Write,
    /// From it.
    Read,
}

pub(super) fn measure(direction: Direction, time: Duration, server: Option<u32>) -> io::Result<Amount> {
    let (server_cores, own_cores) = cores(server)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::scope(|scope| {
        let far = scope.spawn(move || -> io::Result<Option<Amount>> {
            sched_setaffinity(None, &server_cores)?;
            // Touched here, so that it is resident before anything is measured.
            let mut resident = vec![1_u8; RESIDENT_BYTES];
            let (socket, _) = listener.accept()?;
            match direction {
                Direction::Write => sink(socket, &mut resident, time).map(Some),
                Direction::Read => source(socket, &resident).map(|()| None),
            }
        });
        let near = scope.spawn(move || -> io::Result<Option<Amount>> {
            sched_setaffinity(None, &own_cores)?;
            let socket = TcpStream::connect(address)?;
            match direction {
                Direction::Write => source(socket, &vec![7; CHUNK_BYTES]).map(|()| None),
                Direction::Read => drain(socket, time).map(Some),
            }
        });
        let outcome = |joined: thread::Result<io::Result<Option<Amount>>>| {
            joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        let (far, near) = (outcome(far.join())?, outcome(near.join())?);
        // Who receives knows what has come.
        far.or(near).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    })
}

/// The first core that the process `server` may use, or this one.
pub(super) fn first_core(server: Option<u32>) -> io::Result<usize> {
    let (far, _) = cores(server)?;
    Ok((0..CpuSet::MAX_CPU).find(|core| far.is_set(*core)).unwrap_or(0))
}

/// Cores of the server's side and of the other; the same if there is one only.
fn cores(server: Option<u32>) -> io::Result<(CpuSet, CpuSet)> {
    let own = sched_getaffinity(None)?;
    let pid = server.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    let named = pid.map(|pid| sched_getaffinity(Some(pid))).transpose()?;
    let first = |set: &CpuSet| (0..CpuSet::MAX_CPU).find(|core| set.is_set(*core)).unwrap_or(0);
    let mut far = CpuSet::new();
    far.set(first(&named.unwrap_or(own)));
    let mut near = own;
    if own.count() > 1 {
        near.unset(first(&far));
    }
    Ok((far, near))
}

/// Sends round and round until the other side closes, which knows when the time is over.
fn source(mut socket: TcpStream, bytes: &[u8]) -> io::Result<()> {
    for chunk in bytes.chunks(CHUNK_BYTES).cycle() {
        match socket.write_all(chunk) {
            Ok(()) => {}
            Err(error)
                if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) =>
            {
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Receives, copies and checks as a log has to: an entry's header with its checksum for what each read has brought.
fn sink(socket: TcpStream, resident: &mut [u8], time: Duration) -> io::Result<Amount> {
    let mut at = 0;
    receive(socket, time, |bytes| {
        let header = EntryHeader {
            length: u32::try_from(ENTRY_HEADER_BYTES + bytes.len()).unwrap_or(u32::MAX),
            kind: EntryKind::Batch,
            key_id: 0,
            record_count: 1,
            owner: OwnerId(1),
            base_sequence: SequenceNumber(0),
            append_time: Timestamp(0),
            segment_epoch: 1,
            durable_before: 0,
        };
        black_box(header.encode(bytes));
        if at + bytes.len() > resident.len() {
            at = 0;
        }
        resident[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    })
}

fn drain(socket: TcpStream, time: Duration) -> io::Result<Amount> {
    receive(socket, time, |bytes| {
        black_box(bytes.len());
    })
}

/// Receives for a time after the warm-up.
fn receive(mut socket: TcpStream, time: Duration, mut take: impl FnMut(&[u8])) -> io::Result<Amount> {
    let mut buffer = vec![0; CHUNK_BYTES];
    let began = Instant::now();
    let mut counted: Option<(Instant, u64)> = None;
    loop {
        let bytes = socket.read(&mut buffer)?;
        if bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        take(&buffer[..bytes]);
        let now = Instant::now();
        match &mut counted {
            None if now - began >= WARM_UP => counted = Some((now, 0)),
            None => {}
            Some((since, sum)) => {
                *sum += bytes as u64;
                if now - *since >= time {
                    return Ok(Amount { bytes: *sum, time: now - *since });
                }
            }
        }
    }
}
