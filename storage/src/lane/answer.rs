//! What a lane's operations take and return, beside the errors.
//!
//! Owns the plain values of the lane's interface. Leaves out how they come about.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use tidemill_wire::{SequenceNumber, Timestamp};

use crate::error::DiskError;

/// How long an owner's records are kept. Both bounds apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Records older than this are hidden, and their space is freed some time after.
    pub age: Duration,
    /// The oldest segments' worth of records goes while the rest still has this many payload bytes.
    pub bytes: Option<u64>,
}

impl Retention {
    /// Keeps everything for ever.
    pub const FOREVER: Self = Self { age: Duration::MAX, bytes: None };

    /// Appended before this is too old at `now`.
    pub(crate) fn cutoff(&self, now: Timestamp) -> Timestamp {
        let age_ms = u64::try_from(self.age.as_millis()).unwrap_or(u64::MAX);
        Timestamp(now.0.saturating_sub(age_ms))
    }
}

/// Of each key only the last record is kept, and of one without data, a tombstone, nothing in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyCompaction {
    /// How long a tombstone is kept after it was taken, so that readers who lag behind learn of it.
    pub tombstone_age: Duration,
}

/// An entry that is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Number of the entry's first record.
    pub base_sequence: SequenceNumber,
    /// When the lane took it.
    pub append_time: Timestamp,
}

/// The answer to a fetch.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Runs of whole entries, exactly as on disk, in order. The first may begin before `from`: skip its records below it.
    pub entries: Vec<Bytes>,
    /// Bytes of all runs.
    pub bytes: usize,
    /// The first number that was looked for: the one asked for, or the oldest if that one is gone.
    pub from: SequenceNumber,
    /// The number after the last record of the runs: where the next fetch goes on.
    pub next: SequenceNumber,
    /// The oldest number that is still there.
    pub oldest: SequenceNumber,
    /// The next number to be given out.
    pub end: SequenceNumber,
}

/// What an owner has in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The oldest number that is still there; `next` if there is none. It may lag behind the age by one upkeep interval.
    pub oldest: SequenceNumber,
    /// The next number to be given out.
    pub next: SequenceNumber,
    /// Payload bytes that are still there.
    pub bytes: u64,
    /// When the newest entry was taken, if one is still there.
    pub last_append_time: Option<Timestamp>,
}

/// Why bytes at the end of the log were dropped when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The file in which the log was cut.
    pub path: PathBuf,
    /// Where.
    pub offset: u64,
    /// What was wrong with the bytes there.
    pub reason: String,
    /// Whole entries that lay behind the cut. None of them was acknowledged as durable.
    pub entries_dropped: u64,
    /// Bytes of those entries, and of the broken one where its length can be read.
    pub bytes_dropped: u64,
}

/// What opening a lane found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Segments whose footer was read.
    pub segments_sealed: u64,
    /// Segments that were scanned entry by entry.
    pub segments_scanned: u64,
    /// Footers that were missing or broken and were written anew from a whole scan.
    pub footers_rebuilt: u64,
    /// Entries found by scanning.
    pub entries_scanned: u64,
    /// Owners that the checkpoint of the index told, so that the owner tables of older segments were not read.
    pub owners_listed: u64,
    /// Owners found.
    pub owners: u64,
    /// Bytes of live entries.
    pub bytes: u64,
    /// The cut, if the last writes did not reach the disk whole.
    pub torn_tail: Option<TornTail>,
    /// Files removed that held nothing: half-prepared segments, spares beyond the first.
    pub files_removed: u64,
    /// Segments that compaction had made.
    pub segments_compacted: u64,
    /// Segments whose entries compaction had moved elsewhere before it could retire them.
    pub segments_superseded: u64,
    /// Files removed that a compaction had not finished.
    pub compactions_unfinished: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// Why a lane no longer takes appends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A write or a flush failed.
    Poisoned(DiskError),
    /// It was closed.
    Closed,
}
