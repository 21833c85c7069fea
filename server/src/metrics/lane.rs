//! What a lane's log says of itself, as families of numbers.

use tidemill_storage::stats::{Histogram, LaneHealth, LaneStats};
use tidemill_wire::LaneId;

/// The numbers of one lane at one moment.
#[derive(Debug, Clone)]
pub struct LaneSnapshot {
    /// The lane.
    pub lane: LaneId,
    /// What its log counts.
    pub stats: LaneStats,
    /// Whether it takes appends.
    pub health: LaneHealth,
}

/// Where a number is.
type Value = fn(&LaneStats) -> u64;

/// A family of plain numbers: its name, its help, and where its value is.
pub(super) type Family = (&'static str, &'static str, Value);

/// A family of histograms: its name, its help, how many of its values make one of the base unit, and where it is.
pub(super) type HistogramFamily = (&'static str, &'static str, u32, fn(&LaneStats) -> &Histogram);

/// Numbers that only grow.
pub(super) const COUNTERS: &[Family] = &[
    ("appended_bytes", "Bytes of entries written, headers and padding included.", |lane| lane.appended_bytes),
    ("appended_entries", "Entries written.", |lane| lane.appended_entries),
    ("appended_records", "Sequence numbers given out.", |lane| lane.appended_records),
    ("written_groups", "Groups of entries written together.", |lane| lane.groups),
    ("flushes", "Flushes of any kind, writes with a flush included.", |lane| lane.flushes),
    ("fetched_bytes", "Bytes handed to readers.", |lane| lane.fetched_bytes),
    ("answered_fetches", "Fetches that the log answered.", |lane| lane.fetches),
    (
        "expiry_looks",
        "Owners that upkeep looked at, each because something of it was over its retention.",
        |lane| lane.expiry_looks,
    ),
    (
        "index_lookups",
        "Records whose place was looked up in owner tables on the disk, for the index in memory did not have it.",
        |lane| lane.index_lookups,
    ),
    ("index_tables", "Owner tables that were asked for one of these.", |lane| lane.index_tables),
    (
        "expiry_lookups",
        "Expired spans behind which the next one was looked up in owner tables on the disk.",
        |lane| lane.expiry_lookups,
    ),
    ("retired_segments", "Segments retired by retention.", |lane| lane.retired_segments),
    ("created_segments", "Segments made new.", |lane| lane.created_segments),
    ("recycled_segments", "Segments made from a retired one.", |lane| lane.recycled_segments),
    ("compactions", "Runs of segments that compaction rewrote.", |lane| lane.compactions),
    ("compacted_segments", "Segments in those runs.", |lane| lane.compacted_segments),
    (
        "rewritten_bytes",
        "Bytes that compaction wrote; (appended + rewritten) / appended is the write amplification.",
        |lane| lane.rewritten_bytes,
    ),
    ("checkpoints", "Times that the index was written down for the next start.", |lane| lane.checkpoints),
    ("checkpoint_bytes", "Bytes written for that.", |lane| lane.checkpoint_bytes),
    ("checkpoint_failures", "Times that this failed; it is tried again after a time that grows.", |lane| {
        lane.checkpoint_failures
    }),
    ("key_rounds", "Times that key compaction looked through what was due.", |lane| lane.key_rounds),
    (
        "dropped_records",
        "Records that key compaction took out: replaced by a later one of their key, or tombstones over their time.",
        |lane| lane.dropped_records,
    ),
];

/// Numbers that rise and fall.
pub(super) const GAUGES: &[Family] = &[
    ("live_bytes", "Bytes of entries that readers can reach.", |lane| lane.live_bytes),
    ("dead_bytes", "Bytes of entries that no reader can reach.", |lane| lane.dead_bytes),
    ("disk_bytes", "Bytes of all files of the lane.", |lane| lane.disk_bytes),
    ("reserve_bytes", "Bytes of a file that keeps room for compaction on a full disk.", |lane| {
        lane.reserve_bytes
    }),
    ("queued_bytes", "Bytes that wait to be written.", |lane| lane.queued_bytes),
    ("compaction_paused", "1 while an operator has paused compaction.", |lane| {
        u64::from(lane.compaction_paused)
    }),
    (
        "checkpoint_wait_milliseconds",
        "How long until the index is written down again after this failed.",
        |lane| lane.checkpoint_wait_ms,
    ),
    ("owners", "Shards and others that own entries.", |lane| lane.owners),
];

/// Compactions that were given up, by the reason.
pub(super) const SETBACKS: &[(&str, Value)] = &[
    ("disk_full", |lane| lane.setbacks.disk_full),
    ("disk_failed", |lane| lane.setbacks.disk_failed),
    ("damaged", |lane| lane.setbacks.damaged),
    ("futile", |lane| lane.setbacks.futile),
    ("too_large", |lane| lane.setbacks.too_large),
    ("stopped", |lane| lane.setbacks.stopped),
];

/// Segments by their state.
pub(super) const SEGMENTS: &[(&str, Value)] = &[
    ("sealed", |lane| lane.segments_sealed),
    ("unsealed", |lane| lane.segments_unsealed),
    ("spare", |lane| lane.segments_spare),
    ("retired", |lane| lane.segments_retired),
];

/// Histograms.
pub(super) const HISTOGRAMS: &[HistogramFamily] = &[
    ("flush_duration_seconds", "Time of each flush.", 1_000_000, |lane| &lane.flush_time_us),
    (
        "group_duration_seconds",
        "Time of each group's write, its flush included if it had one.",
        1_000_000,
        |lane| &lane.group_time_us,
    ),
    ("group_size_bytes", "Bytes of each group.", 1, |lane| &lane.group_bytes),
];

/// The states of health that have a series each.
pub(super) const HEALTH: &[&str] = &["serving", "full", "poisoned", "closed"];

/// The state of health that a lane is in.
pub(super) fn health_of(health: &LaneHealth) -> &'static str {
    match health {
        LaneHealth::Serving => "serving",
        LaneHealth::Full { .. } => "full",
        LaneHealth::Poisoned { .. } => "poisoned",
        LaneHealth::Closed => "closed",
    }
}
