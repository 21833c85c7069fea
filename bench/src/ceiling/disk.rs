//! Sequential writes with a flush, over extents that were written before, through io_uring.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::Amount;
use crate::report::LatencyReport;
use crate::ring::{Completion, Ring};

/// Bytes of one write.
const CHUNK_BYTES: usize = 1 << 20;
/// Bytes of the file that is written round and round: a segment's size.
const FILE_BYTES: u64 = 256 << 20;
/// Writes in flight: one on its way to the disk while the next is copied.
const IN_FLIGHT: u32 = 2;
/// A small write, to see what the flush alone takes.
const SMALL_BYTES: usize = 4 << 10;
/// Small writes, at most; they end with the time as well.
const SMALL_WRITES_MAX: u32 = 1_000;

/// The rate of large writes, and how long a small one takes by itself.
pub(super) fn measure(directory: &Path, time: Duration) -> io::Result<(Amount, LatencyReport)> {
    // Without a name, so that nothing is left whatever happens.
    let file = tempfile::tempfile_in(directory)?;
    let mut ring = Ring::new(IN_FLIGHT as usize)?;
    // Extents that were only allocated take a journalled change with their first write.
    write_through(&mut ring, &file, Duration::MAX, FILE_BYTES)?;
    file.sync_all()?;
    let amount = write_through(&mut ring, &file, time, u64::MAX)?;
    let flush = small_writes(&mut ring, &file, time)?;
    Ok((amount, flush))
}

/// Writes round and round for a time, or so many bytes.
fn write_through(
    ring: &mut Ring,
    file: &std::fs::File,
    time: Duration,
    bytes_max: u64,
) -> io::Result<Amount> {
    let began = Instant::now();
    let (mut position, mut begun, mut written) = (0, 0, 0);
    let is_filling = bytes_max != u64::MAX;
    for tag in 0..IN_FLIGHT {
        ring.write(tag, file, position, vec![9; CHUNK_BYTES], CHUNK_BYTES, !is_filling)?;
        position += CHUNK_BYTES as u64;
        begun += CHUNK_BYTES as u64;
    }
    while ring.in_kernel() > 0 {
        ring.wait(None)?;
        while let Some(completion) = ring.next() {
            let (tag, buffer, bytes) = whole(completion, CHUNK_BYTES)?;
            written += bytes;
            if began.elapsed() < time && begun < bytes_max {
                ring.write(tag, file, position % FILE_BYTES, buffer, CHUNK_BYTES, !is_filling)?;
                position += CHUNK_BYTES as u64;
                begun += CHUNK_BYTES as u64;
            }
        }
    }
    Ok(Amount { bytes: written, time: began.elapsed() })
}

fn small_writes(ring: &mut Ring, file: &std::fs::File, time: Duration) -> io::Result<LatencyReport> {
    let mut latency_ns = Histogram::<u64>::new(3).map_err(io::Error::other)?;
    let began = Instant::now();
    let mut buffer = vec![5; SMALL_BYTES];
    for number in 0..u64::from(SMALL_WRITES_MAX) {
        if began.elapsed() >= time {
            break;
        }
        let sent = Instant::now();
        ring.write(0, file, number * SMALL_BYTES as u64, buffer, SMALL_BYTES, true)?;
        let completion = loop {
            ring.wait(None)?;
            if let Some(completion) = ring.next() {
                break completion;
            }
        };
        (_, buffer, _) = whole(completion, SMALL_BYTES)?;
        // Not the saturating way, which stays within the bounds of an empty histogram.
        let taken_ns = u64::try_from(sent.elapsed().as_nanos()).unwrap_or(u64::MAX);
        latency_ns.record(taken_ns).map_err(io::Error::other)?;
    }
    Ok(LatencyReport::new("write and flush", "being handed over", &latency_ns))
}

/// A write that has written everything.
fn whole(completion: Completion, expected: usize) -> io::Result<(u32, Vec<u8>, u64)> {
    let Completion::Written { tag, buffer, result } = completion else {
        unreachable!("nothing but writes was asked for")
    };
    match result? {
        bytes if bytes == expected => Ok((tag, buffer, bytes as u64)),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}
