//! A segment: one file of the log.
//!
//! Owns the codecs of everything in the file that is not an entry, and the open file with what is known about it. Layouts are drawn in
//! `docs/format/lane-log.md`. Leaves out which segments there are and which of them is written: that is the lane's business.

use std::{
    cell::{Cell, RefCell},
    path::{Path, PathBuf},
};

use crate::{env::File, limits::SEGMENT_HEADER_BYTES};

pub(crate) mod bytes;
pub(crate) mod contents;
pub(crate) mod footer;
pub(crate) mod header;
pub(crate) mod load;
pub(crate) mod scan;
pub(crate) mod trailer;
pub(crate) mod watermarks;

use contents::Contents;
use trailer::Trailer;

/// Suffix of segments: a file of this name has a valid, stable header.
pub(crate) const SEGMENT_SUFFIX: &str = ".segment";
/// Suffix of files that are being made into segments: nothing in them counts.
pub(crate) const PREPARING_SUFFIX: &str = ".preparing";

/// Number of a segment within its lane: rising, never used twice, and the epoch of its entries.
pub(crate) type SegmentId = u64;

pub(crate) fn segment_path(directory: &Path, id: SegmentId) -> PathBuf {
    directory.join(format!("{id:016x}{SEGMENT_SUFFIX}"))
}

pub(crate) fn preparing_path(directory: &Path, id: SegmentId) -> PathBuf {
    directory.join(format!("{id:016x}{PREPARING_SUFFIX}"))
}

/// The number in a segment's file name.
pub(crate) fn segment_id_of(name: &str) -> Option<SegmentId> {
    let digits = name.strip_suffix(SEGMENT_SUFFIX)?;
    let plain = digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    plain.then(|| SegmentId::from_str_radix(digits, 16).ok()).flatten()
}

/// An open segment.
pub(crate) struct Segment<F> {
    pub(crate) id: SegmentId,
    pub(crate) path: PathBuf,
    pub(crate) file: F,
    /// What it holds, until its footer can be read instead.
    pub(crate) contents: RefCell<Option<Contents>>,
    /// Its trailer, once it is sealed.
    pub(crate) trailer: Cell<Option<Trailer>>,
    /// End of the bytes that were written.
    pub(crate) written: Cell<u64>,
    /// End of the bytes that are known to be stable.
    pub(crate) flushed: Cell<u64>,
    /// Spans of owners that readers can reach. None is left: the segment is dead.
    pub(crate) spans: Cell<u64>,
    /// Written so lately that its pages are still in memory.
    pub(crate) warm: Cell<bool>,
    /// One flush at a time: the kernel reports a failure once per open file, so a second flush beside a failing one could seem to succeed.
    pub(crate) flush_gate: futures_util::lock::Mutex<()>,
}

impl<F: File> Segment<F> {
    /// A prepared segment without entries.
    pub(crate) fn empty(id: SegmentId, path: PathBuf, file: F) -> Self {
        Self {
            id,
            path,
            file,
            contents: RefCell::new(Some(Contents::new())),
            trailer: Cell::new(None),
            written: Cell::new(SEGMENT_HEADER_BYTES),
            flushed: Cell::new(SEGMENT_HEADER_BYTES),
            spans: Cell::new(0),
            warm: Cell::new(true),
            flush_gate: futures_util::lock::Mutex::new(()),
        }
    }

    /// A segment whose trailer was read.
    pub(crate) fn sealed(id: SegmentId, path: PathBuf, file: F, trailer: Trailer) -> Self {
        let segment = Self::empty(id, path, file);
        segment.seal(trailer);
        segment.warm.set(false);
        segment.contents.replace(None);
        segment
    }

    pub(crate) fn seal(&self, trailer: Trailer) {
        self.written.set(trailer.entries_end);
        self.flushed.set(trailer.entries_end);
        self.trailer.set(Some(trailer));
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.trailer.get().is_some()
    }

    pub(crate) fn is_flushed(&self) -> bool {
        self.flushed.get() >= self.written.get()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.file.bytes()
    }

    /// Bytes of entries in it.
    pub(crate) fn entry_bytes(&self) -> u64 {
        self.written.get() - SEGMENT_HEADER_BYTES
    }
}

#[cfg(test)]
mod tests;
