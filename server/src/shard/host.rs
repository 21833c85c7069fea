//! Whether this machine lets a core run, in plain words before it fails in others.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::sched_getaffinity;
use tidemill_storage::ring::Ring;

use super::limits::MEMLOCK_BYTES_MIN;

/// Why this machine cannot run an executor.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// An administrator has turned io_uring off.
    #[error(
        "io_uring is turned off on this machine (kernel.io_uring_disabled = {value}); ask for `sysctl -w kernel.io_uring_disabled=0`"
    )]
    Disabled {
        /// The setting.
        value: String,
    },
    /// A filter forbids the system call.
    #[error(
        "io_uring is forbidden by a seccomp filter or a security policy ({source}); in a container, allow io_uring_setup, io_uring_enter and io_uring_register"
    )]
    Forbidden {
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel has no io_uring.
    #[error("this kernel has no io_uring ({source}); Linux 5.15 or newer is needed")]
    Missing {
        /// What the kernel said.
        source: io::Error,
    },
    /// Too little memory may be locked.
    #[error(
        "only {limit} bytes of memory may be locked, each core needs {MEMLOCK_BYTES_MIN}; raise it with `ulimit -l` or LimitMEMLOCK="
    )]
    Memlock {
        /// The limit.
        limit: u64,
    },
    /// More cores are asked for than there are.
    #[error("the configuration asks for {wanted} cores, this process may run on {found}")]
    Cores {
        /// Cores asked for.
        wanted: u32,
        /// Cores that there are.
        found: usize,
    },
    /// The machine does not say on which cores the process may run.
    #[error("cannot read on which cores this process may run: {source}")]
    Affinity {
        /// What the kernel said.
        source: io::Error,
    },
    /// Any other failure of io_uring.
    #[error("io_uring cannot be set up: {source}")]
    Ring {
        /// What the kernel said.
        source: io::Error,
    },
}

/// The processors that this process may run on, in order.
pub fn online_cpus() -> Result<Vec<usize>, HostError> {
    let set = sched_getaffinity(None).map_err(|error| HostError::Affinity { source: error.into() })?;
    Ok((0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
}

/// Lets the process open as many files as the hard limit allows, for every segment and every connection holds one. Logs what came of it.
pub fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        tracing::info!(limit = ?maximum, "open files are limited");
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => tracing::info!(before = ?current, limit = ?maximum, "limit of open files raised"),
        Err(error) => tracing::warn!(limit = ?current, %error, "limit of open files cannot be raised"),
    }
}

/// Checks that an executor can be made: limits, settings, and a ring for a trial.
pub fn check_host() -> Result<(), HostError> {
    let limit = getrlimit(Resource::Memlock).current;
    if let Some(limit) = limit.filter(|limit| *limit < MEMLOCK_BYTES_MIN) {
        return Err(HostError::Memlock { limit });
    }
    // On a thread of its own: the kernel ends a ring some time later with an interruption of the thread that made it.
    let trial = std::thread::Builder::new().spawn(|| Ring::new().map(drop));
    let made =
        trial.map(|thread| thread.join().unwrap_or_else(|_| Err(io::Error::other("the trial panicked"))));
    made.and_then(|made| made).map_err(explain)
}

fn explain(source: io::Error) -> HostError {
    let disabled = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    let value = disabled.trim();
    if matches!(value, "1" | "2") {
        return HostError::Disabled { value: value.to_owned() };
    }
    match source.kind() {
        io::ErrorKind::PermissionDenied => HostError::Forbidden { source },
        io::ErrorKind::Unsupported => HostError::Missing { source },
        io::ErrorKind::OutOfMemory => {
            HostError::Memlock { limit: getrlimit(Resource::Memlock).current.unwrap_or(u64::MAX) }
        }
        _ => HostError::Ring { source },
    }
}
