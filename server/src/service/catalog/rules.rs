//! Pure decisions about a stream: what its settings may be, and where its shards go.

use std::time::Duration;

use tidemill_storage::Retention;
use tidemill_wire::message::{Quota, Settings, ShardState};
use tidemill_wire::routing::HashKeyRange;
use tidemill_wire::{LaneId, OwnerId, ShardIndex};

use super::entity::Shard;
use super::error::SettingsError;

/// Shortest retention by age.
pub const RETENTION_AGE_MIN: Duration = Duration::from_secs(60);
/// Longest retention by age: that of Kinesis.
pub const RETENTION_AGE_MAX: Duration = Duration::from_secs(365 * 24 * 3_600);
/// Least bytes that a shard with a bound keeps.
pub const RETENTION_BYTES_MIN: u64 = 1 << 20;
/// Most bytes that a shard with a bound keeps.
const RETENTION_BYTES_MAX: u64 = 1 << 60;
/// Greatest rate; what is meant to be higher is meant to be off.
pub const RATE_MAX: u64 = 1 << 40;

/// Bounds of the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Shards that one stream may have.
    pub shards_per_stream: u32,
    /// Streams that there may be.
    pub streams: u32,
}

/// What a new stream gets where its creator says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamDefaults {
    /// How long records are kept.
    pub retention: Retention,
    /// Rates of each shard.
    pub quota: Quota,
}

/// The settings that are given, and the present ones (or the defaults) for the rest.
pub(super) fn settle(
    present: StreamDefaults,
    settings: Settings,
) -> Result<(Retention, Quota), SettingsError> {
    let mut retention = present.retention;
    if let Some(age_ms) = settings.retention_ms {
        let (min, max) = (millis(RETENTION_AGE_MIN), millis(RETENTION_AGE_MAX));
        within("retention_ms", age_ms, min, max, false)?;
        retention.age = Duration::from_millis(age_ms);
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
pub(super) fn deal(shards: u32, first_owner: OwnerId, load: &[u64]) -> Vec<Shard> {
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
            state: ShardState::Open,
            parent: None,
            adjacent_parent: None,
        })
        .collect()
}

#[cfg(test)]
mod tests;
