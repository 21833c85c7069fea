//! `/proc/<pid>/stat`, as [proc_pid_stat(5)](https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html) lays it out.

use std::path::PathBuf;
use std::time::Duration;

use super::{CpuError, CpuTime, read};

/// Where the user's ticks are, counted from the field behind the name.
const USER_TICKS_FIELD: usize = 11;

/// What a process and the threads it has had used.
pub(crate) fn process_cpu(pid: u32) -> Result<CpuTime, CpuError> {
    let (path, text) = read(PathBuf::from(format!("/proc/{pid}/stat")))?;
    parse(&text, rustix::param::clock_ticks_per_second()).ok_or(CpuError::Layout { path, text })
}

pub(super) fn parse(text: &str, ticks_per_second: u64) -> Option<CpuTime> {
    // The name stands in parentheses and may itself hold any character.
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(USER_TICKS_FIELD);
    let mut time = || {
        let ticks: u64 = fields.next()?.parse().ok()?;
        let part = ticks.checked_rem(ticks_per_second)?.checked_mul(1_000_000_000)? / ticks_per_second;
        Some(Duration::from_secs(ticks / ticks_per_second) + Duration::from_nanos(part))
    };
    Some(CpuTime { user: time()?, system: time()? })
}
