//! Processor time and memory of a process, and which process serves a port: all from `/proc`.
//!
//! The kernel counts time in ticks of 10 ms, so a figure over some seconds is good to a percent. Leaves out processes of other
//! machines and what the kernel does for a process outside of it (interrupts, loopback's softirq).

mod listener;
mod memory;
mod stat;

use std::path::PathBuf;
use std::time::Duration;

pub(crate) use listener::listener_of;
pub(crate) use memory::anonymous_memory;
pub(crate) use stat::process_cpu;

/// Processor time that a process has used since it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CpuTime {
    /// In its own code.
    pub(crate) user: Duration,
    /// In the kernel for it.
    pub(crate) system: Duration,
}

impl CpuTime {
    /// All of it.
    pub(crate) fn total(self) -> Duration {
        self.user + self.system
    }
}

/// Why processor time or memory is not known.
#[derive(Debug, thiserror::Error)]
pub enum CpuError {
    /// The kernel's file cannot be read: the process has ended, or belongs to somebody else.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The kernel's file is not laid out as `proc(5)` says.
    #[error("{} is not understood: {text:?}", path.display())]
    Layout {
        /// The file.
        path: PathBuf,
        /// What it holds.
        text: String,
    },
}

fn read(path: PathBuf) -> Result<(PathBuf, String), CpuError> {
    match std::fs::read(&path) {
        // A process may have any bytes in its name.
        Ok(bytes) => Ok((path, String::from_utf8_lossy(&bytes).into_owned())),
        Err(source) => Err(CpuError::Unreadable { path, source }),
    }
}

#[cfg(test)]
mod tests;
