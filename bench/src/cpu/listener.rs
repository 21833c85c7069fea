//! Which process listens on a TCP port: `/proc/net/tcp` names the socket, `/proc/<pid>/fd` who holds it.

use std::path::{Path, PathBuf};

use super::{CpuError, read};

/// State of a listening socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// The process that listens on `port` on this machine, or `None` when there is none or it belongs to somebody else.
pub(crate) fn listener_of(port: u16) -> Result<Option<u32>, CpuError> {
    let mut sockets = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        match read(PathBuf::from(table)) {
            Ok((_, text)) => sockets.extend(listening_inodes(&text, port)),
            // A kernel without IPv6 has no such table.
            Err(CpuError::Unreadable { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let names: Vec<PathBuf> =
        sockets.iter().map(|inode| PathBuf::from(format!("socket:[{inode}]"))).collect();
    Ok(entries(Path::new("/proc"))
        .filter_map(|process| Some((process.file_name()?.to_str()?.parse().ok()?, process)))
        .find(|(_, process): &(u32, PathBuf)| {
            entries(&process.join("fd")).any(|fd| std::fs::read_link(fd).is_ok_and(|to| names.contains(&to)))
        })
        .map(|(pid, _)| pid))
}

/// Inodes of the sockets in a table that listen on `port`.
pub(super) fn listening_inodes(table: &str, port: u16) -> impl Iterator<Item = u64> {
    table.lines().skip(1).filter_map(move |line| {
        let mut fields = line.split_ascii_whitespace();
        let (_, local_port) = fields.nth(1)?.rsplit_once(':')?;
        let state = fields.nth(1)?;
        let is_wanted = state == LISTENING && u16::from_str_radix(local_port, 16) == Ok(port);
        let inode = fields.nth(5)?.parse().ok()?;
        is_wanted.then_some(inode)
    })
}

/// What is in a directory; nothing when it may not be read or is gone, as processes come and go.
fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(directory).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}
