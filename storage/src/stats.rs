//! Plain numbers about a lane, for metrics.
//!
//! Owns the counters, the fixed buckets of the histograms and the state of health. Leaves out names and labels of a metrics system.

use crate::error::DiskError;

/// Upper bounds of the time histogram's buckets in microseconds; the last bucket has none.
pub const TIME_US_BOUNDS: [u64; 16] = [
    50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 102_400, 204_800, 409_600, 819_200,
    1_638_400,
];

/// Upper bounds of the group-size histogram's buckets in bytes; the last bucket has none.
pub const GROUP_BYTES_BOUNDS: [u64; 16] = [
    256,
    512,
    1 << 10,
    2 << 10,
    4 << 10,
    8 << 10,
    16 << 10,
    32 << 10,
    64 << 10,
    128 << 10,
    256 << 10,
    512 << 10,
    1 << 20,
    2 << 20,
    4 << 20,
    8 << 20,
];

/// Counts of values by bucket, with their sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    /// Upper bounds of the first 16 buckets.
    pub bounds: &'static [u64; 16],
    /// Values per bucket, not cumulated.
    pub counts: [u64; 17],
    /// Sum of all values.
    pub sum: u64,
    /// The largest value.
    pub max: u64,
}

impl Histogram {
    /// An empty histogram.
    #[must_use]
    pub const fn new(bounds: &'static [u64; 16]) -> Self {
        Self { bounds, counts: [0; 17], sum: 0, max: 0 }
    }

    /// Adds a value.
    pub fn record(&mut self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket] += 1;
        self.sum = self.sum.saturating_add(value);
        self.max = self.max.max(value);
    }

    /// How many values were added.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Compactions that were given up, by reason. Nothing is lost by any of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setbacks {
    /// No room for the output.
    pub disk_full: u64,
    /// An operation of the disk failed.
    pub disk_failed: u64,
    /// What was to be rewritten is damaged.
    pub damaged: u64,
    /// Measured to the byte, it would have freed too little.
    pub futile: u64,
    /// Measured to the byte, it was too much for one segment.
    pub too_large: u64,
    /// The lane stopped.
    pub stopped: u64,
}

impl Setbacks {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        let Self { disk_full, disk_failed, damaged, futile, too_large, stopped } = *self;
        disk_full + disk_failed + damaged + futile + too_large + stopped
    }
}

/// What a lane has done and holds. Counters run from the opening of the lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneStats {
    /// Bytes of entries written, headers and padding included.
    pub appended_bytes: u64,
    /// Entries written.
    pub appended_entries: u64,
    /// Sequence numbers given out.
    pub appended_records: u64,
    /// Groups written.
    pub groups: u64,
    /// Flushes of any kind, writes with a flush included.
    pub flushes: u64,
    /// Bytes handed to readers.
    pub fetched_bytes: u64,
    /// Fetches answered.
    pub fetches: u64,
    /// Owners that upkeep looked at, each because something of it was over its retention.
    pub expiry_looks: u64,
    /// Times that the index did not have the place of a record, so that owner tables on the disk were asked for it.
    pub index_lookups: u64,
    /// Owner tables that were asked for one of these.
    pub index_tables: u64,
    /// Times that what is over an owner's retention ended where the index had no span.
    pub expiry_lookups: u64,
    /// Segments retired by retention.
    pub retired_segments: u64,
    /// Segments made new.
    pub created_segments: u64,
    /// Segments made from a retired one.
    pub recycled_segments: u64,
    /// Runs of segments that compaction rewrote.
    pub compactions: u64,
    /// Segments in those runs.
    pub compacted_segments: u64,
    /// Bytes that compaction wrote. With what was appended: (appended + rewritten) / appended is the write amplification.
    pub rewritten_bytes: u64,
    /// Compactions that were given up.
    pub setbacks: Setbacks,
    /// An operator has paused compaction.
    pub compaction_paused: bool,
    /// Times that the index was written down for the next start.
    pub checkpoints: u64,
    /// Bytes of that.
    pub checkpoint_bytes: u64,
    /// Times that this failed. It is tried again after a time that grows.
    pub checkpoint_failures: u64,
    /// How long until it is tried again, in milliseconds; 0 unless it has failed.
    pub checkpoint_wait_ms: u64,
    /// Times that key compaction looked through what was due.
    pub key_rounds: u64,
    /// Records that key compaction took out: those that a later one of their key replaced, and tombstones over their time.
    pub dropped_records: u64,
    /// Time of each flush in microseconds.
    pub flush_time_us: Histogram,
    /// Time of each group's write in microseconds, its flush included if it had one.
    pub group_time_us: Histogram,
    /// Bytes of each group.
    pub group_bytes: Histogram,
    /// Segments with a footer.
    pub segments_sealed: u64,
    /// Segments without a footer that hold entries, the active one included.
    pub segments_unsealed: u64,
    /// Segments that wait to be used.
    pub segments_spare: u64,
    /// Retired segments that wait to be recycled or removed.
    pub segments_retired: u64,
    /// Bytes of entries that readers can reach.
    pub live_bytes: u64,
    /// Bytes of entries that no reader can reach: of retention's and of forgotten owners', and the log's own.
    pub dead_bytes: u64,
    /// Bytes of all files: segments and reserve.
    pub disk_bytes: u64,
    /// Bytes that are kept for compaction on a full disk.
    pub reserve_bytes: u64,
    /// Bytes waiting to be written.
    pub queued_bytes: u64,
    /// Owners.
    pub owners: u64,
}

impl LaneStats {
    /// (appended + rewritten) / appended: bytes written for each byte that came in. 1 before anything did.
    #[must_use]
    pub fn write_amplification(&self) -> f64 {
        if self.appended_bytes == 0 {
            return 1.0;
        }
        (self.appended_bytes as f64 + self.rewritten_bytes as f64) / self.appended_bytes as f64
    }

    pub(crate) const fn new() -> Self {
        Self {
            appended_bytes: 0,
            appended_entries: 0,
            appended_records: 0,
            groups: 0,
            flushes: 0,
            fetched_bytes: 0,
            fetches: 0,
            expiry_looks: 0,
            index_lookups: 0,
            index_tables: 0,
            expiry_lookups: 0,
            retired_segments: 0,
            created_segments: 0,
            recycled_segments: 0,
            compactions: 0,
            compacted_segments: 0,
            rewritten_bytes: 0,
            setbacks: Setbacks {
                disk_full: 0,
                disk_failed: 0,
                damaged: 0,
                futile: 0,
                too_large: 0,
                stopped: 0,
            },
            compaction_paused: false,
            checkpoints: 0,
            checkpoint_bytes: 0,
            checkpoint_failures: 0,
            checkpoint_wait_ms: 0,
            key_rounds: 0,
            dropped_records: 0,
            flush_time_us: Histogram::new(&TIME_US_BOUNDS),
            group_time_us: Histogram::new(&TIME_US_BOUNDS),
            group_bytes: Histogram::new(&GROUP_BYTES_BOUNDS),
            segments_sealed: 0,
            segments_unsealed: 0,
            segments_spare: 0,
            segments_retired: 0,
            live_bytes: 0,
            dead_bytes: 0,
            disk_bytes: 0,
            reserve_bytes: 0,
            queued_bytes: 0,
            owners: 0,
        }
    }
}

/// Whether a lane takes appends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaneHealth {
    /// It does.
    Serving,
    /// It refuses appends until there is room for another segment.
    Full {
        /// Bytes that must be free.
        needed: u64,
    },
    /// It refuses appends until it is opened again.
    Poisoned {
        /// The failure.
        reason: DiskError,
    },
    /// It was closed.
    Closed,
}
