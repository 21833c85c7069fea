//! The file that lets an ingest go on where it stopped: for each input file, where the last acknowledged line ends.
//!
//! A file is known by device and inode, not by name, so a rotated file goes on under its new name. As inodes are
//! used again, a fingerprint of the file's first bytes tells a file from its successor. The checkpoint is written to a
//! temporary file, made durable and renamed, so there is always a whole one.
//!
//! Promises that no line is passed over. A line may be sent twice only if the process was killed between its
//! acknowledgement and the next checkpoint, which is [`CHECKPOINT_INTERVAL`] away at most.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidemill_wire::routing::HashKey;
use tidemill_wire::{StreamId, StreamName};

use crate::failure::{CommandError, Exit, Outcome};

/// Longest time between an acknowledgement and the checkpoint that knows of it.
pub(crate) const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(200);

/// Bytes at the start of a file that tell it from another one of the same inode.
const HEAD_BYTES_MAX: usize = 1_024;

const VERSION: u32 = 1;

/// What a file is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

/// Fingerprint of a file's first bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// How many bytes it covers.
    bytes: usize,
    /// Their MD5, as a number in hexadecimal.
    digest: String,
}

/// How far a file is ingested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Where it was last seen.
    pub(crate) path: PathBuf,
    #[serde(flatten)]
    pub(crate) identity: Identity,
    pub(crate) head: Head,
    /// Everything before it is acknowledged.
    pub(crate) offset: u64,
}

/// The content of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    version: u32,
    /// The stream's name, for people.
    stream: String,
    /// A stream of the same name that was created anew has none of these records.
    stream_id: u64,
    files: Vec<Mark>,
}

impl Head {
    /// The fingerprint of a file that begins with `start`.
    pub(crate) fn of(start: &[u8]) -> Self {
        let covered = &start[..start.len().min(HEAD_BYTES_MAX)];
        Self { bytes: covered.len(), digest: format!("{:032x}", HashKey::of(covered).0) }
    }

    /// Whether a file begins with the bytes that the fingerprint was taken of.
    pub(crate) fn is_of(&self, file: &File) -> io::Result<bool> {
        use std::os::unix::fs::FileExt;
        let mut start = vec![0; self.bytes.min(HEAD_BYTES_MAX)];
        match file.read_exact_at(&mut start, 0) {
            Ok(()) => Ok(*self == Self::of(&start)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Checkpoint {
    /// A checkpoint before anything was acknowledged.
    pub(crate) fn new(stream: &StreamName, id: StreamId) -> Self {
        Self { version: VERSION, stream: stream.to_string(), stream_id: id.get(), files: Vec::new() }
    }

    /// Reads a checkpoint of this stream, or begins one where there is no file.
    pub(crate) fn load(path: &Path, stream: &StreamName, id: StreamId) -> Outcome<Self> {
        let mut text = String::new();
        match File::open(path).and_then(|mut file| file.read_to_string(&mut text)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::new(stream, id)),
            Err(error) => return Err(CommandError::at_path(path, &error)),
        }
        let refuse =
            |reason: String| Err(CommandError::new(Exit::Usage, format!("{}: {reason}", path.display())));
        match serde_json::from_str::<Self>(&text) {
            Err(error) => refuse(format!("is not a checkpoint: {error}")),
            Ok(found) if found.version != VERSION => {
                refuse(format!("has checkpoint version {}, expected {VERSION}", found.version))
            }
            Ok(found) if found.stream != stream.as_str() => {
                refuse(format!("is the checkpoint of stream {}, not of {stream}", found.stream))
            }
            Ok(found) if found.stream_id != id.get() => refuse(format!(
                "is of an earlier stream named {stream}; remove it to ingest everything into the new one"
            )),
            Ok(found) => Ok(found),
        }
    }

    /// How far each file is.
    pub(crate) fn marks(&self) -> &[Mark] {
        &self.files
    }

    /// Sets how far a file is.
    pub(crate) fn set(&mut self, mark: Mark) {
        match self.files.iter_mut().find(|known| known.identity == mark.identity) {
            Some(known) => *known = mark,
            None => self.files.push(mark),
        }
    }

    /// Leaves a file out that cannot come back.
    pub(crate) fn forget(&mut self, identity: Identity) {
        self.files.retain(|mark| mark.identity != identity);
    }

    /// Replaces the file at `path`.
    pub(crate) fn save(&self, path: &Path) -> io::Result<()> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".new");
        let mut file = File::create(&temporary)?;
        let mut text = serde_json::to_vec_pretty(self).map_err(io::Error::from)?;
        text.push(b'\n');
        file.write_all(&text)?;
        file.sync_data()?;
        fs::rename(&temporary, path)?;
        let directory =
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()
    }
}
