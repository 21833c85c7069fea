//! `/proc/<pid>/status`: the memory that belongs to a process alone.

use std::path::PathBuf;

use super::{CpuError, read};

/// Bytes of anonymous memory that are in use. Maps of files and what the kernel keeps for its sockets are not among them.
pub(crate) fn anonymous_memory(pid: u32) -> Result<u64, CpuError> {
    let (path, text) = read(PathBuf::from(format!("/proc/{pid}/status")))?;
    parse(&text).ok_or(CpuError::Layout { path, text })
}

pub(super) fn parse(text: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1 << 10)
}
