//! Counts what a shard takes and gives, for streams on demand and those whose shards are watched.

use std::cell::Cell;

use tidemill_wire::routing::{HashKey, HashKeyRange};

use crate::service::governor::HEAT_PARTS;

/// Bytes that come in between two looks at where in the keys they lie: enough looks to divide a busy shard by, and next to no work.
const HEAT_SAMPLE_BYTES: u64 = 16 << 10;

/// The counters of one shard.
#[derive(Debug)]
pub struct Meter {
    /// The keys of the shard.
    range: HashKeyRange,
    counts: Cell<Counts>,
    heat: [Cell<u64>; HEAT_PARTS],
    /// Bytes since the last look.
    unseen: Cell<u64>,
}

/// What was counted since the meter is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes of keys and data that were taken.
    pub in_bytes: u64,
    /// Records that were taken.
    pub in_records: u64,
    /// Bytes of stored entries that were given.
    pub out_bytes: u64,
    /// Records that were given.
    pub out_records: u64,
    /// Appends that were refused because a rate was used up.
    pub throttled_writes: u64,
    /// Reads that were refused because a rate was used up.
    pub throttled_reads: u64,
    /// How old the last record was that was given, in milliseconds.
    pub age_ms: u64,
}

/// What a meter shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// What was counted.
    pub counts: Counts,
    /// Where in the keys it came in, in any unit.
    pub heat: [u64; HEAT_PARTS],
}

impl Meter {
    /// A meter of a shard with these keys, at nothing.
    #[must_use]
    pub fn new(range: HashKeyRange) -> Self {
        Self { range, counts: Cell::default(), heat: Default::default(), unseen: Cell::new(0) }
    }

    /// Counts.
    pub fn count(&self, add: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.get();
        add(&mut counts);
        self.counts.set(counts);
    }

    /// Whether somebody should look where in the keys a batch of so many bytes lies.
    pub fn wants_sample(&self, bytes: u64) -> bool {
        let unseen = self.unseen.get().saturating_add(bytes);
        let is_due = unseen >= HEAT_SAMPLE_BYTES;
        self.unseen.set(if is_due { 0 } else { unseen });
        is_due
    }

    /// Notes where something came in. What a caller has put elsewhere by an explicit hash key is none of the range's.
    pub fn sample(&self, key: HashKey) {
        let range = self.range;
        if !range.contains(key) {
            return;
        }
        let step = ((range.end.0 - range.start.0) / HEAT_PARTS as u128).max(1);
        let part = usize::try_from((key.0 - range.start.0) / step).unwrap_or(HEAT_PARTS);
        let part = &self.heat[part.min(HEAT_PARTS - 1)];
        part.set(part.get() + 1);
    }

    /// What it shows.
    pub fn read(&self) -> Reading {
        Reading { counts: self.counts.get(), heat: std::array::from_fn(|part| self.heat[part].get()) }
    }
}

impl Reading {
    /// What has come since an earlier reading; all of it, if that is of another meter.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let Self { counts: now, heat } = self;
        let before = &earlier.counts;
        let heat = std::array::from_fn(|part| heat[part].saturating_sub(earlier.heat[part]));
        let counts = Counts {
            in_bytes: now.in_bytes.saturating_sub(before.in_bytes),
            in_records: now.in_records.saturating_sub(before.in_records),
            out_bytes: now.out_bytes.saturating_sub(before.out_bytes),
            out_records: now.out_records.saturating_sub(before.out_records),
            throttled_writes: now.throttled_writes.saturating_sub(before.throttled_writes),
            throttled_reads: now.throttled_reads.saturating_sub(before.throttled_reads),
            age_ms: now.age_ms,
        };
        Self { counts, heat }
    }
}
