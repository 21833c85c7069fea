//! What this machine can do at this moment, without a server: throughput is believed as a share of it.
//!
//! Bytes over loopback between two threads, the server's side on the server's core; and sequential writes with a flush over extents that were written
//! before. No protocol, no log, no index.

mod disk;
mod http;
mod socket;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

pub(crate) use http::Sink;

use crate::error::BenchError;
use crate::report::LatencyReport;

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ceiling {
    /// Bytes to a sink that copies them into memory that is resident, with a CRC-32 over them.
    SocketWrite,
    /// Bytes from such memory to a reader.
    SocketRead,
    /// Writes and flushes of a file in this directory.
    Disk(PathBuf),
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CeilingReport {
    /// Of what.
    pub name: String,
    /// Bytes in the measured time.
    pub bytes: u64,
    /// Length of the measured time.
    pub seconds: f64,
    /// Millions of bytes in each second.
    pub megabytes_per_second: f64,
    /// One write of 4 KiB with its flush at a time, for the disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flush_us: Option<LatencyReport>,
}

/// Measures for so long. The server's side of a socket runs where the process `server` may, or on the first core that this one may use.
///
/// # Errors
/// The system refuses a socket, a thread or a file.
pub fn measure_ceiling(
    ceiling: &Ceiling,
    time: Duration,
    server: Option<u32>,
) -> Result<CeilingReport, BenchError> {
    match ceiling {
        Ceiling::SocketWrite => {
            socket::measure(socket::Direction::Write, time, server).map(|found| found.report(ceiling, None))
        }
        Ceiling::SocketRead => {
            socket::measure(socket::Direction::Read, time, server).map(|found| found.report(ceiling, None))
        }
        Ceiling::Disk(directory) => {
            disk::measure(directory, time).map(|(found, flush)| found.report(ceiling, Some(flush)))
        }
    }
    .map_err(|source| BenchError::Ceiling { what: ceiling.what(), source })
}

impl Ceiling {
    fn what(&self) -> &'static str {
        match self {
            Self::SocketWrite => "socket (writes)",
            Self::SocketRead => "socket (reads)",
            Self::Disk(_) => "disk",
        }
    }
}

impl fmt::Display for Ceiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what())
    }
}

/// Bytes in a time.
struct Amount {
    bytes: u64,
    time: Duration,
}

impl Amount {
    fn report(self, ceiling: &Ceiling, flush_us: Option<LatencyReport>) -> CeilingReport {
        let seconds = self.time.as_secs_f64();
        CeilingReport {
            name: ceiling.to_string(),
            bytes: self.bytes,
            seconds,
            megabytes_per_second: self.bytes as f64 / seconds / 1e6,
            flush_us,
        }
    }
}

impl fmt::Display for CeilingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::report::{rounded, time};
        write!(
            f,
            "{:<16} {} MB/s over {:.2} s",
            self.name,
            rounded(self.megabytes_per_second),
            self.seconds
        )?;
        if let Some(flush) = &self.flush_us {
            write!(f, "; 4 KiB with its flush: p50 {}, p99 {}", time(flush.p50), time(flush.p99))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
