//! The data directory: who holds it, and what it was created with.
//!
//! ```text
//! LOCK          held by flock while a server runs; its text is the process that holds it
//! META          format version, node id, number of lanes; written once
//! SECRET        32 bytes that authenticate what clients bring back; drawn once
//! catalog.redb  the streams
//! lane-000/     one directory for each lane's segments
//! ```
//!
//! Promises that two servers never share a directory and that the number of lanes never changes. The lock goes with
//! the process, however that ends.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tidemill_wire::LaneId;

/// The format of data directories that this build reads and writes.
const FORMAT: u32 = 1;
/// A lock file holds a process number, a META file three short lines.
const FILE_BYTES_MAX: u64 = 4_096;

/// What a data directory keeps to itself.
type Secret = [u8; 32];

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another server runs on it.
    #[error("data directory {} is in use by process {process}", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process that holds it, as far as it is known.
        process: String,
    },
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The META file is not one that this build wrote.
    #[error("{} is damaged: expected {expected}, found {found:?}", path.display())]
    Damaged {
        /// The META file.
        path: PathBuf,
        /// What must be there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// The directory is of another format.
    #[error("{} has format {found}, this version of tidemill reads format {FORMAT}", path.display())]
    Format {
        /// The META file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The configuration asks for another number of lanes than the directory was created with.
    #[error("data directory {} has {found} lanes, the configuration asks for {wanted}: a directory keeps its lanes, so set data.lanes to {found} or to auto", path.display())]
    Lanes {
        /// The directory.
        path: PathBuf,
        /// Lanes that it has.
        found: u32,
        /// Lanes that were asked for.
        wanted: u32,
    },
}

/// A data directory that this process holds. Dropping it lets go.
pub struct DataDirectory {
    path: PathBuf,
    /// Drawn when the directory was created.
    pub node: u64,
    /// How many lanes it has.
    pub lanes: u32,
    /// Authenticates what clients are given and bring back. Drawn when it is not there.
    pub secret: Secret,
    _lock: File,
}

impl fmt::Debug for DataDirectory {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "DataDirectory({}, node {}, {} lanes)", self.path.display(), self.node, self.lanes)
    }
}

impl DataDirectory {
    /// Makes the directory if it is not there, takes its lock, and reads or writes what it was created with.
    pub fn open(path: &Path, lanes_wanted: Option<u32>, lanes_default: u32) -> Result<Self, DirectoryError> {
        fs::create_dir_all(path).map_err(|source| io_error("create directory", path, source))?;
        let lock = lock(path)?;
        let meta = path.join("META");
        let (node, lanes) = match fs::metadata(&meta) {
            Ok(_) => read_meta(&meta)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let lanes = lanes_wanted.unwrap_or(lanes_default);
                (write_meta(path, &meta, lanes)?, lanes)
            }
            Err(source) => return Err(io_error("look at", &meta, source)),
        };
        if let Some(wanted) = lanes_wanted.filter(|wanted| *wanted != lanes) {
            return Err(DirectoryError::Lanes { path: path.to_owned(), found: lanes, wanted });
        }
        let secret = open_secret(path)?;
        Ok(Self { path: path.to_owned(), node, lanes, secret, _lock: lock })
    }

    /// Where the streams are recorded.
    #[must_use]
    pub fn catalog(&self) -> PathBuf {
        self.path.join("catalog.redb")
    }

    /// Where a lane's segments are.
    #[must_use]
    pub fn lane(&self, lane: LaneId) -> PathBuf {
        self.path.join(format!("lane-{:03}", lane.0))
    }
}

fn lock(directory: &Path) -> Result<File, DirectoryError> {
    let path = directory.join("LOCK");
    let fail = |action| move |source| io_error(action, &directory.join("LOCK"), source);
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = options.map_err(fail("open"))?;
    if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if error != rustix::io::Errno::WOULDBLOCK {
            return Err(fail("lock")(error.into()));
        }
        let mut process = String::new();
        let read = (&mut file).take(FILE_BYTES_MAX).read_to_string(&mut process);
        let known = read.is_ok() && !process.trim().is_empty();
        let process = if known { process.trim().to_owned() } else { "unknown".to_owned() };
        return Err(DirectoryError::InUse { path: directory.to_owned(), process });
    }
    file.set_len(0).and_then(|()| file.rewind()).map_err(fail("write"))?;
    writeln!(file, "{}", std::process::id()).map_err(fail("write"))?;
    Ok(file)
}

fn read_meta(path: &Path) -> Result<(u64, u32), DirectoryError> {
    let mut text = String::new();
    let file = File::open(path).map_err(|source| io_error("open", path, source))?;
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(|source| io_error("read", path, source))?;
    let field = |name: &'static str, expected: &'static str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
        line.and_then(|value| value.parse::<u64>().ok()).ok_or_else(|| DirectoryError::Damaged {
            path: path.to_owned(),
            expected,
            found: text.clone(),
        })
    };
    let format = field("format", "a line `format = NUMBER`")?;
    if format != u64::from(FORMAT) {
        return Err(DirectoryError::Format {
            path: path.to_owned(),
            found: u32::try_from(format).unwrap_or(u32::MAX),
        });
    }
    let node = field("node", "a line `node = NUMBER`")?;
    let lanes = field("lanes", "a line `lanes = NUMBER`")?;
    match u32::try_from(lanes) {
        Ok(lanes) if lanes > 0 => Ok((node, lanes)),
        _ => Err(DirectoryError::Damaged {
            path: path.to_owned(),
            expected: "at least one lane",
            found: text.clone(),
        }),
    }
}

/// Writes META, with a node id drawn.
fn write_meta(directory: &Path, path: &Path, lanes: u32) -> Result<u64, DirectoryError> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| io_error("draw a node id for", path, error.into()))?;
    let node = u64::from_le_bytes(bytes);
    let text = format!("format = {FORMAT}\nnode = {node}\nlanes = {lanes}\n");
    write_once(directory, path, text.as_bytes(), 0o644)?;
    Ok(node)
}

/// Reads the secret of a directory, or draws one.
fn open_secret(directory: &Path) -> Result<Secret, DirectoryError> {
    let path = directory.join("SECRET");
    let found = match fs::read(&path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut secret = Secret::default();
            rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty())
                .map_err(|error| io_error("draw a secret for", &path, error.into()))?;
            write_once(directory, &path, &secret, 0o600)?;
            return Ok(secret);
        }
        Err(source) => return Err(io_error("read", &path, source)),
    };
    Secret::try_from(found.as_slice()).map_err(|_| DirectoryError::Damaged {
        path,
        expected: "32 bytes",
        found: format!("{} bytes", found.len()),
    })
}

/// Writes a file so that after a power cut it is whole or not there: under another name, synced, renamed.
fn write_once(directory: &Path, path: &Path, bytes: &[u8], mode: u32) -> Result<(), DirectoryError> {
    let staged = path.with_extension("new");
    let fail = |source| io_error("write", path, source);
    let options = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&staged);
    let file = options.map_err(fail)?;
    file.write_all_at(bytes, 0).and_then(|()| file.sync_all()).map_err(fail)?;
    fs::rename(&staged, path).map_err(fail)?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(fail)
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> DirectoryError {
    DirectoryError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
