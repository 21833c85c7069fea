//! A segment: one file of the log.
//!
//! Owns the codecs of everything in the file that is not an entry, and the open file with what is known about it. Layouts are drawn in
//! `docs/format/lane-log.md`. Leaves out which segments there are and which of them is written: that is the lane's business.

use std::{
    cell::{Cell, RefCell},
    path::{Path, PathBuf},
};

use ::bytes::Bytes;

use crate::{env::File, error::DiskError, limits::SEGMENT_HEADER_BYTES};

pub(crate) mod bytes;
pub(crate) mod contents;
pub(crate) mod filter;
pub(crate) mod footer;
pub(crate) mod header;
pub(crate) mod load;
pub(crate) mod rows;
pub(crate) mod scan;
pub(crate) mod trailer;
pub(crate) mod watermarks;

use contents::Contents;
use trailer::Trailer;

/// Suffix of segments: a file of this name has a valid, stable header.
pub(crate) const SEGMENT_SUFFIX: &str = ".segment";
/// Suffix of files that are being made into segments: nothing in them counts.
pub(crate) const PREPARING_SUFFIX: &str = ".preparing";

/// Suffix of files that compaction is making into segments: nothing in them counts, and everything in them is elsewhere too.
pub(crate) const COMPACTING_SUFFIX: &str = ".compacting";

/// Suffix of a file that keeps room for compaction on a full disk: nothing in it counts.
pub(crate) const RESERVE_SUFFIX: &str = ".reserve";
/// Name of that file.
pub(crate) const RESERVE_NAME: &str = "room.reserve";

/// Name of the file that says what the index has of the sealed segments.
pub(crate) const CHECKPOINT_NAME: &str = "index.checkpoint";
/// Name of one that is being made.
pub(crate) const CHECKPOINT_PREPARING_NAME: &str = "index.preparing";

/// Number of a segment within its lane: rising, never used twice, and the epoch of its entries.
pub(crate) type SegmentId = u64;

pub(crate) fn segment_path(directory: &Path, id: SegmentId) -> PathBuf {
    directory.join(format!("{id:016x}{SEGMENT_SUFFIX}"))
}

pub(crate) fn preparing_path(directory: &Path, id: SegmentId) -> PathBuf {
    directory.join(format!("{id:016x}{PREPARING_SUFFIX}"))
}

pub(crate) fn compacting_path(directory: &Path, id: SegmentId) -> PathBuf {
    directory.join(format!("{id:016x}{COMPACTING_SUFFIX}"))
}

pub(crate) fn reserve_path(directory: &Path) -> PathBuf {
    directory.join(RESERVE_NAME)
}

/// The number in a segment's file name.
pub(crate) fn segment_id_of(name: &str) -> Option<SegmentId> {
    let digits = name.strip_suffix(SEGMENT_SUFFIX)?;
    let plain = digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    plain.then(|| SegmentId::from_str_radix(digits, 16).ok()).flatten()
}

/// A stretch of the log, by the ids of the first and the last segment that were written there.
///
/// Invariant: the places of two segments lie apart, or one within the other; compaction takes whole neighbours only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) first: SegmentId,
    pub(crate) last: SegmentId,
}

impl Place {
    pub(crate) fn contains(&self, other: &Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }
}

/// Entries that were live at some time, with their exact size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Measured {
    /// Payload bytes of those that readers could reach.
    pub(crate) payload_bytes: u64,
    /// Bytes of the entries.
    pub(crate) entry_bytes: u64,
}

/// An open segment.
pub(crate) struct Segment<F> {
    pub(crate) id: SegmentId,
    pub(crate) path: PathBuf,
    pub(crate) file: F,
    /// For a segment that compaction made: the stretch of the log whose place it takes.
    pub(crate) covers: Option<Place>,
    /// What it holds, until its footer can be read instead.
    pub(crate) contents: RefCell<Option<Contents>>,
    /// Its trailer, once it is sealed.
    pub(crate) trailer: Cell<Option<Trailer>>,
    /// End of the bytes that were written.
    pub(crate) written: Cell<u64>,
    /// End of the bytes that are known to be stable.
    pub(crate) flushed: Cell<u64>,
    /// End of the bytes whose write-back was begun, flush or not.
    pub(crate) written_back: Cell<u64>,
    /// Spans of owners that readers can reach. None is left: the segment is dead.
    pub(crate) spans: Cell<u64>,
    /// Payload bytes of those spans.
    pub(crate) live_payload_bytes: Cell<u64>,
    /// Owners whose next number no later segment tells: it is written down elsewhere before this one goes.
    pub(crate) mentions: Cell<u64>,
    /// Payload bytes of all its batches.
    pub(crate) payload_bytes: Cell<u64>,
    /// What compaction found to be live when it last looked at each entry's place.
    pub(crate) measured: Cell<Option<Measured>>,
    /// Who has entries in it, if that is known.
    pub(crate) filter: RefCell<Option<filter::OwnerFilter>>,
    /// Times that its owner table was asked in vain.
    pub(crate) misses: Cell<u32>,
    /// Times that its owner table was made anew, by one reader at a time.
    pub(crate) mends: Cell<u64>,
    pub(crate) mend_gate: futures_util::lock::Mutex<()>,
    /// Its owner table is damaged, and its entries do not tell what was in it.
    pub(crate) is_beyond_mending: Cell<bool>,
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
            covers: None,
            contents: RefCell::new(Some(Contents::new())),
            trailer: Cell::new(None),
            written: Cell::new(SEGMENT_HEADER_BYTES),
            flushed: Cell::new(SEGMENT_HEADER_BYTES),
            written_back: Cell::new(SEGMENT_HEADER_BYTES),
            spans: Cell::new(0),
            mentions: Cell::new(0),
            live_payload_bytes: Cell::new(0),
            payload_bytes: Cell::new(0),
            measured: Cell::new(None),
            filter: RefCell::new(None),
            misses: Cell::new(0),
            mends: Cell::new(0),
            mend_gate: futures_util::lock::Mutex::new(()),
            is_beyond_mending: Cell::new(false),
            flush_gate: futures_util::lock::Mutex::new(()),
        }
    }

    /// A segment whose trailer was read.
    pub(crate) fn sealed(id: SegmentId, path: PathBuf, file: F, trailer: Trailer) -> Self {
        let segment = Self::empty(id, path, file);
        segment.seal(trailer);
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

    /// Where in the log its entries belong.
    pub(crate) fn place(&self) -> Place {
        self.covers.unwrap_or(Place { first: self.id, last: self.id })
    }

    /// Some bytes of the footer. They are looked at again and again, and are few beside the entries: they are what the page cache is for.
    pub(crate) async fn footer(&self, window: std::ops::Range<u64>) -> Result<Bytes, DiskError> {
        if self.file.is_resident(window.clone()) {
            return Ok(self.file.view(window));
        }
        let bytes = usize::try_from(window.end - window.start).unwrap_or(usize::MAX);
        self.file.read(window.start, bytes).await
    }

    /// A span of it is reachable now.
    pub(crate) fn hold_span(&self, payload_bytes: u64) {
        self.spans.set(self.spans.get() + 1);
        self.live_payload_bytes.set(self.live_payload_bytes.get() + payload_bytes);
    }

    /// A span of it is no longer reachable.
    pub(crate) fn release_span(&self, payload_bytes: u64) {
        self.spans.set(self.spans.get() - 1);
        self.live_payload_bytes.set(self.live_payload_bytes.get().saturating_sub(payload_bytes));
    }

    /// Bytes of entries that readers can reach, by their share of the payload. `overdue` payload bytes more are as good as dead.
    pub(crate) fn live_entry_bytes(&self, overdue: u64) -> u64 {
        if self.spans.get() == 0 {
            return 0;
        }
        let whole = Measured { payload_bytes: self.payload_bytes.get(), entry_bytes: self.entry_bytes() };
        let Measured { payload_bytes, entry_bytes } = self.measured.get().unwrap_or(whole);
        // What was measured goes by points that may be damaged.
        let entry_bytes = entry_bytes.min(whole.entry_bytes);
        if payload_bytes == 0 {
            return entry_bytes;
        }
        let live = self.live_payload_bytes.get().saturating_sub(overdue).min(payload_bytes);
        let share = u128::from(entry_bytes) * u128::from(live) / u128::from(payload_bytes);
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    /// Bytes of entries in it.
    pub(crate) fn entry_bytes(&self) -> u64 {
        self.written.get() - SEGMENT_HEADER_BYTES
    }
}

#[cfg(test)]
mod tests;
