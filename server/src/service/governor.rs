//! Decides which shards of a stream on demand are split and merged, by what was measured. Pure: time and rates come in, steps go out.
//!
//! A shard that takes half of what it may is split, where its traffic lies, so that a stream can take twice what it was seen to take. Two neighbours that
//! together took less than a quarter for a long time become one, a pair at a time. Invariant: what is merged is not hot, so no merge brings about a split
//! unless the traffic changes (`tests::steady_traffic_comes_to_rest`), and there are never fewer shards than the floor nor more than the ceiling
//! (`tests::steps_keep_their_bounds`).

use std::collections::BTreeMap;
use std::time::Duration;

use tidemill_wire::ShardIndex;
use tidemill_wire::message::Quota;
use tidemill_wire::routing::{HashKey, HashKeyRange};

/// Equal parts of a shard's keys whose traffic is told apart.
pub const HEAT_PARTS: usize = 16;
/// Shards of a stream on demand at least: what AWS gives a new one, 4 MB and 4,000 records a second.
pub const ON_DEMAND_SHARDS_MIN: u32 = 4;
/// For how long neighbours have to be cold before they become one.
pub const COLD_TIME: Duration = Duration::from_secs(15 * 60);
/// The least time between two merges of a stream.
pub const MERGE_PAUSE: Duration = Duration::from_secs(60);
/// A shard with fewer keys than this is not split for its traffic: that of one key cannot be divided.
const KEYS_MIN: u128 = 1 << 108;
/// What a shard without rates takes, for the purpose of deciding: that of a provisioned shard.
const RATES_ASSUMED: (u64, u64) = (1_000_000, 1_000);

/// What was measured of an open shard since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Which.
    pub shard: ShardIndex,
    /// Its keys.
    pub range: HashKeyRange,
    /// Bytes that came in each second.
    pub bytes_per_second: u64,
    /// Records that came in each second.
    pub records_per_second: u64,
    /// Something was refused because the shard's rate was used up.
    pub is_throttled: bool,
    /// How much of it came for each part of the keys, in any unit.
    pub heat: [u64; HEAT_PARTS],
}

/// How many shards there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// At least.
    pub floor: u32,
    /// At most.
    pub ceiling: u32,
}

/// Something to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// One becomes two, of which the second begins at a hash key.
    Split {
        /// Which.
        shard: ShardIndex,
        /// The first key of the second.
        at: HashKey,
    },
    /// Two neighbours become one.
    Merge {
        /// The one.
        shard: ShardIndex,
        /// The other.
        adjacent: ShardIndex,
    },
}

/// What is remembered of one stream. Without memory nothing is merged for a while, and everything else is as ever.
#[derive(Clone, Debug, Default)]
pub struct Governor {
    shards: BTreeMap<ShardIndex, Memory>,
    merged: Option<Duration>,
}

/// What is remembered of a shard, in two windows: one that is over, and the present one.
#[derive(Clone, Copy, Debug)]
struct Memory {
    known_since: Duration,
    window_since: Duration,
    /// Parts of a million of what it may take.
    peak_before: u64,
    peak: u64,
}

impl Governor {
    /// What is to be done now. `loads` has the open shards, whose keys cover the space.
    pub fn decide(&mut self, now: Duration, rates: Quota, bounds: Bounds, loads: &[Load]) -> Vec<Step> {
        let mut loads: Vec<(Load, u64)> = loads.iter().map(|load| (*load, use_of(load, rates))).collect();
        loads.sort_unstable_by_key(|(load, _)| load.range.start);
        self.remember(now, &loads);
        let mut room = bounds.ceiling.saturating_sub(u32::try_from(loads.len()).unwrap_or(u32::MAX));
        let mut steps = Vec::new();
        for (load, used) in &loads {
            let is_hot = *used >= MILLION / 2 || load.is_throttled;
            if room > 0 && is_hot && width(load.range) >= KEYS_MIN {
                steps.push(Step::Split { shard: load.shard, at: divide(load) });
                room -= 1;
            }
        }
        let missing = bounds
            .floor
            .min(bounds.ceiling)
            .saturating_sub(u32::try_from(loads.len() + steps.len()).unwrap_or(u32::MAX));
        steps.extend(widen(&loads, &steps, missing));
        if steps.is_empty() && u32::try_from(loads.len()).is_ok_and(|open| open > bounds.floor) {
            steps.extend(self.merge(now, &loads));
        }
        steps
    }

    fn remember(&mut self, now: Duration, loads: &[(Load, u64)]) {
        self.shards.retain(|shard, _| loads.iter().any(|(load, _)| load.shard == *shard));
        for (load, used) in loads {
            let used = if load.is_throttled { (*used).max(MILLION) } else { *used };
            let new = Memory { known_since: now, window_since: now, peak_before: 0, peak: 0 };
            let memory = self.shards.entry(load.shard).or_insert(new);
            if now.saturating_sub(memory.window_since) >= COLD_TIME {
                (memory.peak_before, memory.peak, memory.window_since) = (memory.peak, 0, now);
            }
            memory.peak = memory.peak.max(used);
        }
    }

    /// The coldest pair of neighbours, if it has been cold for long and the last merge is a while ago.
    fn merge(&mut self, now: Duration, loads: &[(Load, u64)]) -> Option<Step> {
        if self.merged.is_some_and(|merged| now.saturating_sub(merged) < MERGE_PAUSE) {
            return None;
        }
        let peak_of = |load: &Load| {
            let memory = self.shards.get(&load.shard)?;
            let is_known = now.saturating_sub(memory.known_since) >= COLD_TIME;
            is_known.then_some(memory.peak.max(memory.peak_before))
        };
        let pairs = loads.windows(2).filter_map(|pair| {
            let [(one, _), (other, _)] = pair else { return None };
            Some((peak_of(one)?.saturating_add(peak_of(other)?), one.shard, other.shard))
        });
        let (peak, shard, adjacent) = pairs.min()?;
        (peak < MILLION / 4).then(|| {
            self.merged = Some(now);
            Step::Merge { shard, adjacent }
        })
    }
}

const MILLION: u64 = 1_000_000;

/// How much of what a shard may take it took, in parts of a million.
fn use_of(load: &Load, rates: Quota) -> u64 {
    let (bytes, records) = rates_of(rates);
    let part = |used: u64, rate: u64| used.saturating_mul(MILLION) / rate;
    part(load.bytes_per_second, bytes).max(part(load.records_per_second, records))
}

/// Bytes and records that a shard takes in a second, for the purpose of deciding.
#[must_use]
pub fn rates_of(rates: Quota) -> (u64, u64) {
    let or = |rate, assumed| if rate == 0 { assumed } else { rate };
    let (bytes, records) = RATES_ASSUMED;
    (or(rates.write_bytes_per_second, bytes), or(rates.write_records_per_second, records))
}

/// One less than the keys of a range.
fn width(range: HashKeyRange) -> u128 {
    range.end.0 - range.start.0
}

/// The border between parts that divides the traffic best, and of such the one that is nearest to it; the middle if none was seen.
fn divide(load: &Load) -> HashKey {
    let weight = |heat: u64| i128::from(heat);
    let total: i128 = load.heat.iter().copied().map(weight).sum();
    // Twice the place around which the traffic lies, times the traffic.
    let centre: i128 = (0..).zip(&load.heat).map(|(part, heat)| weight(*heat) * (2 * part + 1)).sum();
    let mut before = 0;
    let borders = (1..).zip(load.heat.iter().take(HEAT_PARTS - 1)).map(|(border, heat)| {
        before += weight(*heat);
        ((2 * before - total).abs(), (2 * border * total - centre).abs(), border)
    });
    let middle = HEAT_PARTS as i128 / 2;
    let border = borders.min().filter(|_| total > 0).map_or(middle, |(_, _, border)| border);
    let step = width(load.range) / HEAT_PARTS as u128;
    HashKey(load.range.start.0 + step.max(1) * border.unsigned_abs())
}

/// Splits of the widest shards that are not split yet, for want of shards.
fn widen(loads: &[(Load, u64)], steps: &[Step], missing: u32) -> Vec<Step> {
    let is_split =
        |shard| steps.iter().any(|step| matches!(step, Step::Split { shard: split, .. } if *split == shard));
    let mut widest: Vec<HashKeyRangeOf> = loads
        .iter()
        .filter(|(load, _)| !is_split(load.shard) && width(load.range) >= KEYS_MIN)
        .map(|(load, _)| (width(load.range), load.shard, load.range.start))
        .collect();
    widest.sort_unstable_by(|one, other| other.cmp(one));
    let splits = widest.into_iter().take(missing as usize);
    splits.map(|(width, shard, start)| Step::Split { shard, at: HashKey(start.0 + width / 2 + 1) }).collect()
}

type HashKeyRangeOf = (u128, ShardIndex, HashKey);

#[cfg(test)]
mod tests;
