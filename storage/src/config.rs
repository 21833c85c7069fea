//! A lane's knobs.
//!
//! Owns their ranges and two presets: `production`, and a `test_min` so small that tests reach every edge.
//! Leaves out where the values come from: the server's configuration names and documents them for operators.

use std::{path::PathBuf, time::Duration};

use tidemill_wire::{LaneId, entry::ENTRY_HEADER_BYTES, limits::BATCH_BYTES_MAX};

use crate::{error::OpenError, limits, room::Room};

/// What a lane is opened with.
#[derive(Clone, Debug)]
pub struct LaneConfig {
    /// Directory of the lane's segments; nothing else may be in it. It is made if it is missing.
    pub directory: PathBuf,
    /// The lane's number. A segment of another lane is refused.
    pub lane: LaneId,
    /// Bytes of each new segment: 32 KiB to 32 GiB, a multiple of 4096. Segments that exist keep their size.
    pub segment_bytes: u64,
    /// Largest entry, header included, in bytes. At most a quarter of a segment.
    pub entry_bytes_max: u64,
    /// Bytes of one group, after which the rest waits for the next one. An entry that is larger is a group of its own.
    pub group_bytes_max: u64,
    /// Entries of one group.
    pub group_entries_max: usize,
    /// Bytes that may wait to be written before appends are refused.
    pub queue_bytes_max: u64,
    /// How long `written` data stays in memory only.
    pub flush_interval: Duration,
    /// Write-back of `written` bytes begins when there are so many, so that their flush has less to do at a time: up to 256 MiB, 0 for leaving all to the flush.
    pub writeback_bytes: u64,
    /// A durable group of more bytes is written in steps of so many, and the disk begins with one while the next is copied: 4 KiB to 1 GiB.
    pub durable_step_bytes: u64,
    /// How often retention looks for what is over its time or size.
    pub upkeep_interval: Duration,
    /// How often room is looked for on a full disk.
    pub space_retry_interval: Duration,
    /// Retired segments that are kept to be used again at most: no more than were begun in the last upkeep interval are kept, and at least one.
    pub recycled_segments_max: usize,
    /// Bytes that compaction rewrites per second at most; 0 for no compaction.
    pub compaction_bytes_per_second: u64,
    /// A record that a later one of its key has replaced is gone about so long after its segment was sealed at the latest, and a tombstone so long after its time.
    pub key_compaction_lag: Duration,
    /// Memory for the keys that key compaction looks through at a time, in bytes.
    pub key_table_bytes_max: u64,
    /// The room on the disk, shared with the lanes that have their files on the same one.
    pub room: Room,
    /// Rows of owner tables that a start reads at most for which there is no checkpoint of the index, or twice as many as there are owners, if that is more.
    pub checkpoint_rows_min: u64,
    /// From this age on a segment is rewritten only for having many owners' entries interleaved; `Duration::MAX` for never.
    pub grouping_age: Duration,
}

impl LaneConfig {
    /// For a server: 256 MiB segments, 8 MiB groups.
    #[must_use]
    pub fn production(directory: PathBuf, lane: LaneId) -> Self {
        Self {
            directory,
            lane,
            segment_bytes: 256 << 20,
            entry_bytes_max: u64::from(BATCH_BYTES_MAX) + ENTRY_HEADER_BYTES as u64,
            group_bytes_max: 8 << 20,
            group_entries_max: 4096,
            queue_bytes_max: 64 << 20,
            flush_interval: Duration::from_secs(1),
            // Enough for the disk to be as fast as it can, and some 2 ms of the core.
            writeback_bytes: 4 << 20,
            durable_step_bytes: 1 << 20,
            upkeep_interval: Duration::from_secs(10),
            space_retry_interval: Duration::from_secs(1),
            recycled_segments_max: 4,
            checkpoint_rows_min: 1 << 16,
            key_compaction_lag: Duration::from_secs(24 * 3600),
            key_table_bytes_max: 32 << 20,
            compaction_bytes_per_second: 64 << 20,
            room: Room::default(),
            grouping_age: Duration::from_secs(3600),
        }
    }

    /// For tests: everything rolls, fills and expires after a few entries.
    #[must_use]
    pub fn test_min(directory: PathBuf, lane: LaneId) -> Self {
        Self {
            directory,
            lane,
            segment_bytes: limits::SEGMENT_BYTES_MIN,
            entry_bytes_max: 4 << 10,
            group_bytes_max: 8 << 10,
            group_entries_max: 16,
            queue_bytes_max: 64 << 10,
            flush_interval: Duration::from_millis(50),
            writeback_bytes: 1,
            durable_step_bytes: 4 << 10,
            upkeep_interval: Duration::from_millis(200),
            space_retry_interval: Duration::from_millis(100),
            recycled_segments_max: 2,
            checkpoint_rows_min: 8,
            compaction_bytes_per_second: 8 << 20,
            key_compaction_lag: Duration::from_secs(1),
            key_table_bytes_max: 8 << 10,
            room: Room::default(),
            grouping_age: Duration::from_secs(2),
        }
    }

    /// Checks the ranges and the relations between the knobs.
    pub fn check(&self) -> Result<(), OpenError> {
        let refuse = |reason: String| Err(OpenError::Config { reason });
        let range = limits::SEGMENT_BYTES_MIN..=limits::SEGMENT_BYTES_MAX;
        if !range.contains(&self.segment_bytes) || !self.segment_bytes.is_multiple_of(4096) {
            return refuse(format!(
                "segment_bytes is {}, must be a multiple of 4096 within {range:?}",
                self.segment_bytes
            ));
        }
        let entry_range =
            ENTRY_HEADER_BYTES as u64 + 1..=(self.segment_bytes / 4).min(u64::from(u32::MAX) / 2);
        if !entry_range.contains(&self.entry_bytes_max) {
            return refuse(format!(
                "entry_bytes_max is {}, must be within {entry_range:?}",
                self.entry_bytes_max
            ));
        }
        if self.group_bytes_max == 0
            || self.group_bytes_max > limits::WRITE_BYTES_MAX - (u64::from(u32::MAX) >> 3)
        {
            return refuse(format!(
                "group_bytes_max is {}, must be within 1..=512 MiB",
                self.group_bytes_max
            ));
        }
        if self.writeback_bytes > 256 << 20 {
            return refuse(format!(
                "writeback_bytes is {}, must be within 0..=256 MiB",
                self.writeback_bytes
            ));
        }
        if !(limits::PAGE_BYTES..=1 << 30).contains(&self.durable_step_bytes) {
            return refuse(format!(
                "durable_step_bytes is {}, must be within 4 KiB..=1 GiB",
                self.durable_step_bytes
            ));
        }
        if self.group_entries_max == 0 {
            return refuse("group_entries_max is 0".to_owned());
        }
        if self.queue_bytes_max < self.entry_bytes_max {
            return refuse(format!(
                "queue_bytes_max is {}, below one entry of {}",
                self.queue_bytes_max, self.entry_bytes_max
            ));
        }
        Ok(())
    }
}
