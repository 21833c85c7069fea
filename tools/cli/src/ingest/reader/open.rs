//! An open file: where it is known to be, how far it is read, whether its name still leads to it.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{BLOCK_BYTES, ReadError, ReaderOptions, read_some};
use crate::failure::{CommandError, Exit, Outcome};
use crate::ingest::checkpoint::{Head, Identity, Mark};
use crate::ingest::lines::{Chunk, Splitter};

/// A file that is being read.
pub(super) struct OpenFile {
    pub(super) source: usize,
    path: PathBuf,
    file: File,
    identity: Identity,
    splitter: Splitter,
    /// Pipes and the like have no place to go on from.
    is_regular: bool,
    is_rotated: bool,
    head: Option<Head>,
    /// When there was last something to read.
    active: Instant,
}

/// Device and inode.
pub(super) fn identity_of(metadata: &Metadata) -> Identity {
    Identity { device: metadata.dev(), inode: metadata.ino() }
}

/// Where to begin in a file: after what was ingested before, if it is still that file.
pub(super) fn resume(
    known: Option<&Mark>,
    path: &Path,
    identity: Identity,
    file: &File,
    bytes: u64,
) -> io::Result<Mark> {
    let fresh = Mark { path: path.to_owned(), identity, head: Head::default(), offset: 0 };
    match known {
        Some(known) if known.offset > 0 && known.offset <= bytes && known.head.is_of(file)? => {
            Ok(Mark { path: path.to_owned(), ..known.clone() })
        }
        _ => Ok(fresh),
    }
}

/// Finds a file that has another name now, among its neighbours.
pub(super) fn find_by_identity(mark: &Mark) -> Option<PathBuf> {
    let folder = mark.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).ok()?.filter_map(Result::ok);
    entries.map(|entry| entry.path()).find(|path| {
        let metadata = std::fs::symlink_metadata(path);
        metadata.is_ok_and(|found| {
            found.is_file() && identity_of(&found) == mark.identity && found.len() > mark.offset
        })
    })
}

impl OpenFile {
    pub(super) fn new(
        source: usize,
        file: File,
        mark: Mark,
        is_regular: bool,
        options: &ReaderOptions,
    ) -> Self {
        Self {
            source,
            path: mark.path,
            file,
            identity: mark.identity,
            splitter: Splitter::new(mark.offset, options.line_bytes_max, options.long_lines),
            is_regular,
            is_rotated: false,
            head: Some(mark.head).filter(|_| mark.offset > 0),
            active: Instant::now(),
        }
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    pub(super) fn is_rotated(&self) -> bool {
        self.is_rotated
    }

    pub(super) fn quiet_for(&self) -> Duration {
        self.active.elapsed()
    }

    /// A look found the file under this name.
    pub(super) fn seen_at(&mut self, path: &Path) {
        path.clone_into(&mut self.path);
    }

    /// Notes whether the name still leads to this file.
    pub(super) fn check_name(&mut self) {
        let was_rotated = self.is_rotated;
        self.is_rotated = !std::fs::metadata(&self.path).is_ok_and(|now| identity_of(&now) == self.identity);
        if self.is_rotated && !was_rotated {
            self.active = Instant::now();
            tracing::info!(path = %self.path.display(), "file was rotated or removed, reading its rest");
        }
    }

    /// Whether no name at all leads to the file.
    pub(super) fn is_gone(&self) -> bool {
        !self.is_regular || self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }

    /// Reads a block: how many bytes there were, and the lines that are whole now.
    pub(super) fn read(&mut self) -> Outcome<(usize, Option<Chunk>)> {
        let file = &mut self.file;
        let is_regular = self.is_regular;
        let offset = self.splitter.read_offset();
        let filled: Result<_, ReadError> = self.splitter.fill(BLOCK_BYTES, |buffer| {
            use std::os::unix::fs::FileExt;
            let read = if is_regular { file.read_at(buffer, offset) } else { read_some(file, buffer) };
            read.map_err(ReadError::Read)
        });
        let (bytes, chunk) =
            filled.map_err(|error| CommandError::because(Exit::Failure, self.path.display(), &error))?;
        if bytes > 0 {
            self.active = Instant::now();
        }
        Ok((bytes, chunk))
    }

    /// The fingerprint, if the chunk is the first of the file.
    pub(super) fn head_of(&mut self, chunk: &Chunk) -> Option<Head> {
        if !self.is_regular || chunk.start() > 0 {
            return None;
        }
        self.head = Some(Head::of(chunk.bytes()));
        self.head.clone()
    }

    /// Whether the file is shorter than what was read of it.
    pub(super) fn is_truncated(&self) -> bool {
        self.is_regular
            && self.file.metadata().is_ok_and(|metadata| metadata.len() < self.splitter.read_offset())
    }

    /// The last line, if it has no newline.
    pub(super) fn finish(&mut self) -> Outcome<Option<Chunk>> {
        self.splitter
            .finish()
            .map_err(|error| CommandError::because(Exit::Failure, self.path.display(), &error))
    }

    /// Begins at the start of the file again.
    pub(super) fn restart(&mut self, options: &ReaderOptions) {
        tracing::info!(path = %self.path.display(), "file was truncated, reading it from its beginning");
        self.splitter = Splitter::new(0, options.line_bytes_max, options.long_lines);
        self.head = None;
    }

    /// How far the file is read.
    pub(super) fn mark(&self) -> Option<Mark> {
        let mark = |head: Head| Mark {
            path: self.path.clone(),
            identity: self.identity,
            head,
            offset: self.splitter.offset(),
        };
        self.is_regular.then(|| mark(self.head.clone().unwrap_or_default()))
    }
}
