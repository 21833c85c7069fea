//! Pure decisions about a stream: what its settings may be, and where its shards go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidemill_storage::{KeyCompaction, Retention};
use tidemill_wire::message::{KeyCompaction as KeySetting, Quota, Settings};
use tidemill_wire::routing::HashKeyRange;
use tidemill_wire::{LaneId, OwnerId, ShardIndex, Timestamp};

use super::Shard;
use super::error::{SettingsError, TagsError};

/// Shortest retention by age.
pub const RETENTION_AGE_MIN: Duration = Duration::from_secs(60);
/// Longest retention by age: that of Kinesis.
pub const RETENTION_AGE_MAX: Duration = Duration::from_secs(365 * 24 * 3_600);
/// No retention by age: what a stream may have that keeps the last record of each key.
pub(super) const RETENTION_AGE_FOREVER: Duration = Duration::from_millis(u64::MAX);
/// Longest time that a tombstone is kept.
const TOMBSTONE_AGE_MAX: Duration = RETENTION_AGE_MAX;
/// Least bytes that a shard with a bound keeps.
pub const RETENTION_BYTES_MIN: u64 = 1 << 20;
/// Most bytes that a shard with a bound keeps.
const RETENTION_BYTES_MAX: u64 = 1 << 60;
/// Greatest rate; what is meant to be higher is meant to be off.
pub const RATE_MAX: u64 = 1 << 40;

/// Tags of a stream: as many as Kinesis allows.
pub const TAGS_MAX: usize = 50;
/// Bytes of a tag's key or value: 256 characters of four bytes at most.
pub const TAG_BYTES_MAX: usize = 1_024;

/// Bounds of the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Open shards that one stream may have.
    pub shards_per_stream: u32,
    /// Streams that there may be.
    pub streams: u32,
    /// Queues that there may be.
    pub queues: u32,
    /// Partitions that a new queue may have; 0 for one in every lane.
    pub partitions_per_queue: u32,
    /// Whether streams may be compacted by key: not where nothing is compacted.
    pub is_compacting: bool,
}

/// What a new stream gets where its creator says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamDefaults {
    /// How long records are kept.
    pub retention: Retention,
    /// Rates of each shard.
    pub quota: Quota,
    /// How often each shard may be read by calls that are counted, 0 for no limit.
    pub read_calls_per_second: u64,
}

/// The settings that are given, and the present ones (or the defaults) for the rest.
pub(super) fn settle(
    present: StreamDefaults,
    is_keyed: bool,
    settings: Settings,
) -> Result<(Retention, Quota), SettingsError> {
    let mut retention = present.retention;
    let is_forever = retention.age >= RETENTION_AGE_FOREVER;
    if let Some(age_ms) = settings.retention_ms.or((is_forever && !is_keyed).then_some(0)) {
        let (min, max) = (millis(RETENTION_AGE_MIN), millis(RETENTION_AGE_MAX));
        within("retention_ms", age_ms, min, max, is_keyed)?;
        retention.age = if age_ms == 0 { RETENTION_AGE_FOREVER } else { Duration::from_millis(age_ms) };
    }
    if let Some(bytes) = settings.retention_bytes {
        within("retention_bytes", bytes, RETENTION_BYTES_MIN, RETENTION_BYTES_MAX, true)?;
        retention.bytes = (bytes > 0).then_some(bytes);
    }
    let Some(quota) = settings.quota else { return Ok((retention, present.quota)) };
    within("write_bytes_per_second", quota.write_bytes_per_second, 1, RATE_MAX, true)?;
    within("write_records_per_second", quota.write_records_per_second, 1, RATE_MAX, true)?;
    within("read_bytes_per_second", quota.read_bytes_per_second, 1, RATE_MAX, true)?;
    Ok((retention, quota))
}

/// How often a shard may be read by calls that are counted: as is given, or as it is.
pub(super) fn settle_calls(present: u64, settings: Settings) -> Result<u64, SettingsError> {
    let calls = settings.read_calls_per_second.unwrap_or(present);
    within("read_calls_per_second", calls, 1, RATE_MAX, true)?;
    Ok(calls)
}

/// The policy for keys that is given, or the present one.
pub(super) fn settle_keys(
    present: Option<KeyCompaction>,
    setting: Option<KeySetting>,
) -> Result<Option<KeyCompaction>, SettingsError> {
    match setting {
        None => Ok(present),
        Some(KeySetting::Off) => Ok(None),
        Some(KeySetting::On { tombstone_ms }) => {
            within("tombstone_ms", tombstone_ms, 0, millis(TOMBSTONE_AGE_MAX), false)?;
            Ok(Some(KeyCompaction { tombstone_age: Duration::from_millis(tombstone_ms) }))
        }
    }
}

/// Refuses tags that are too many or too long to be kept.
pub(super) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), TagsError> {
    if tags.len() > TAGS_MAX {
        return Err(TagsError::TooMany { found: tags.len() });
    }
    let longest = tags.iter().flat_map(|(key, value)| [key.len(), value.len()]).max().unwrap_or(0);
    if longest > TAG_BYTES_MAX { Err(TagsError::TooLong { found: longest }) } else { Ok(()) }
}

fn within(setting: &'static str, value: u64, min: u64, max: u64, or_zero: bool) -> Result<(), SettingsError> {
    let allowed = (min..=max).contains(&value) || (or_zero && value == 0);
    if allowed { Ok(()) } else { Err(SettingsError { setting, value, min, max, or_zero }) }
}

/// Milliseconds of a span that was made from milliseconds.
pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Divides the hash keys evenly among new shards and deals them out to the lanes in turn, from the one with
/// the fewest open shards on. `load` has the open shards of each lane, and at least one lane.
pub(super) fn deal(shards: u32, first_owner: OwnerId, load: &[u64], now: Timestamp) -> Arc<[Shard]> {
    let emptiest = load.iter().enumerate().min_by_key(|(_, open)| **open).map_or(0, |(lane, _)| lane);
    let lanes = (0..load.len()).cycle().skip(emptiest);
    let numbered = (0_u32..).zip(first_owner.get()..).zip(lanes);
    let ranges = HashKeyRange::split_evenly(shards).into_iter();
    ranges
        .zip(numbered)
        .map(|(range, ((index, owner), lane))| Shard {
            index: ShardIndex(index),
            owner: OwnerId(owner),
            lane: LaneId(u32::try_from(lane).expect("lanes are counted in 32 bits")),
            range,
            opened: now,
            closed: None,
            parent: None,
            adjacent_parent: None,
        })
        .collect()
}

#[cfg(test)]
mod tests;
