//! What a stream may take and give, beyond the rates of its shards, and who sees to it that it has shards enough.
//!
//! Plain values that the catalog stores and every core knows with the stream. The protocols that know of them are those of AWS.

use tidemill_wire::Timestamp;

use crate::service::governor::ON_DEMAND_SHARDS_MIN;

/// A stream's capacity. The default is that of a stream of which nobody has said anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Who decides how many shards there are.
    pub mode: Mode,
    /// Which shard a record goes to.
    pub distribution: Distribution,
    /// What is counted of each shard.
    pub metrics: ShardMetrics,
    /// How often each shard may be read by calls that are counted, 0 for no limit.
    pub read_calls_per_second: u64,
    /// MiB per second that a stream on demand has shards for at least.
    pub warm_mib_per_second: u32,
    /// When the mode was changed last and the time before, 0 for never.
    pub switched: [Timestamp; 2],
}

/// Changes of a stream's mode in a day.
const SWITCHES_PER_DAY: usize = 2;
const DAY_MS: u64 = 86_400_000;
const _: () =
    assert!(SWITCHES_PER_DAY == Capacity { switched: [Timestamp(0); 2], ..Capacity::DEFAULT }.switched.len());

/// What is to become of a stream's capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapacityChange {
    /// Who decides how many shards there are, and for what there are shards at least if it is the server.
    Mode(Mode, Option<u32>),
    /// There are shards for so many MiB a second at least.
    Warm(u32),
    /// Which shard a record goes to.
    Distribution(Distribution),
    /// These are counted, too.
    Watch(ShardMetrics),
    /// These are not counted any more.
    Unwatch(ShardMetrics),
}

/// Why a stream's capacity was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CapacityError {
    /// The mode was changed too often.
    #[error("the mode of a stream can be changed {SWITCHES_PER_DAY} times in 24 hours")]
    Switches,
    /// There are as many streams on demand as there may be.
    #[error("there are {limit} streams on demand, which is the limit")]
    TooManyOnDemand {
        /// The most there may be.
        limit: u32,
    },
    /// Only a stream on demand has that.
    #[error("the stream is provisioned: only one on demand is kept warm or spreads its records evenly")]
    Provisioned,
    /// The account has not committed to it.
    #[error("warm throughput needs the account's minimum throughput billing commitment")]
    NoCommitment,
    /// A stream cannot have so many shards.
    #[error("{found} MiB/s are out of range: {limit} shards are the most that a stream may have")]
    TooWarm {
        /// What was asked for.
        found: u32,
        /// The most shards.
        limit: u32,
    },
}

/// What a change of a capacity depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// When it is.
    pub now: Timestamp,
    /// Whether the account has committed to a throughput.
    pub is_committed: bool,
    /// Shards that the stream may have.
    pub shards_max: u32,
}

impl Capacity {
    const DEFAULT: Self = Self {
        mode: Mode::Provisioned,
        distribution: Distribution::ByKey,
        metrics: ShardMetrics(0),
        read_calls_per_second: 0,
        warm_mib_per_second: 0,
        switched: [Timestamp(0); 2],
    };

    /// The capacity as it would be.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn changed(self, change: CapacityChange, terms: Terms) -> Result<Self, CapacityError> {
        let is_on_demand = self.mode == Mode::OnDemand;
        match change {
            CapacityChange::Mode(Mode::OnDemand, warm) => {
                let switched = self.switch(Mode::OnDemand, terms)?;
                warm.map_or(Ok(switched), |warm| switched.changed(CapacityChange::Warm(warm), terms))
            }
            CapacityChange::Mode(Mode::Provisioned, None) => self.switch(Mode::Provisioned, terms),
            CapacityChange::Mode(Mode::Provisioned, Some(_)) => Err(CapacityError::Provisioned),
            CapacityChange::Warm(_) | CapacityChange::Distribution(Distribution::Even) if !is_on_demand => {
                Err(CapacityError::Provisioned)
            }
            CapacityChange::Warm(found) => {
                let limit = terms.shards_max;
                if !terms.is_committed && found > 0 {
                    return Err(CapacityError::NoCommitment);
                }
                let warm = Self { warm_mib_per_second: found, ..self };
                if warm.shards_min() > limit {
                    Err(CapacityError::TooWarm { found, limit })
                } else {
                    Ok(warm)
                }
            }
            CapacityChange::Distribution(distribution) => Ok(Self { distribution, ..self }),
            CapacityChange::Watch(metrics) => Ok(Self { metrics: self.metrics.with(metrics), ..self }),
            CapacityChange::Unwatch(metrics) => Ok(Self { metrics: self.metrics.without(metrics), ..self }),
        }
    }

    /// Another mode; the one that it has is no change. What only streams on demand have goes with that mode.
    fn switch(self, mode: Mode, terms: Terms) -> Result<Self, CapacityError> {
        if self.mode == mode {
            return Ok(self);
        }
        let [last, before] = self.switched;
        let is_recent =
            |time: Timestamp| time.get() != 0 && terms.now.get().saturating_sub(time.get()) < DAY_MS;
        if is_recent(last) && is_recent(before) {
            return Err(CapacityError::Switches);
        }
        let switched = [terms.now, last];
        let plain = Self { warm_mib_per_second: 0, distribution: Distribution::ByKey, ..self };
        Ok(Self { mode, switched, ..plain })
    }

    /// Shards that a stream on demand has at least.
    #[must_use]
    pub fn shards_min(&self) -> u32 {
        let warm = u64::from(self.warm_mib_per_second) << 20;
        let warm = u32::try_from(warm.div_ceil(SHARD_BYTES_PER_SECOND)).unwrap_or(u32::MAX);
        warm.max(ON_DEMAND_SHARDS_MIN)
    }
}

/// What AWS counts on from a shard.
const SHARD_BYTES_PER_SECOND: u64 = 1_000_000;

/// Who decides how many shards a stream has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Its owners.
    #[default]
    Provisioned,
    /// The server, by what it measures.
    OnDemand,
}

/// Which shard a record goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distribution {
    /// The one that has its partition key.
    #[default]
    ByKey,
    /// Any: the server spreads records evenly, whatever their keys are.
    Even,
}

/// What is counted of each shard of a stream: a set of [`ShardMetric`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardMetrics(u8);

/// Something that is counted of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ShardMetric {
    /// Bytes that were put.
    IncomingBytes = 1,
    /// Records that were put.
    IncomingRecords = 2,
    /// Bytes that were read.
    OutgoingBytes = 4,
    /// Records that were read.
    OutgoingRecords = 8,
    /// Puts that were refused because a rate was used up.
    WriteThrottled = 16,
    /// Reads that were refused because a rate was used up.
    ReadThrottled = 32,
    /// How old the records were that were read last.
    IteratorAge = 64,
}

impl ShardMetric {
    /// Each of them.
    pub const ALL: [Self; 7] = [
        Self::IncomingBytes,
        Self::IncomingRecords,
        Self::OutgoingBytes,
        Self::OutgoingRecords,
        Self::WriteThrottled,
        Self::ReadThrottled,
        Self::IteratorAge,
    ];
}

impl ShardMetrics {
    /// The set of these bits; `None` if one of them stands for nothing.
    #[must_use]
    pub fn from_bits(bits: u8) -> Option<Self> {
        (bits < 128).then_some(Self(bits))
    }

    /// A bit for each metric that is in the set.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Whether nothing is counted.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this is counted.
    #[must_use]
    pub fn has(self, metric: ShardMetric) -> bool {
        self.0 & metric as u8 != 0
    }

    /// With these, too.
    #[must_use]
    pub fn with(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    /// Without these.
    #[must_use]
    pub fn without(self, less: Self) -> Self {
        Self(self.0 & !less.0)
    }

    /// Those that are counted.
    pub fn iter(self) -> impl Iterator<Item = ShardMetric> {
        ShardMetric::ALL.into_iter().filter(move |metric| self.has(*metric))
    }
}

impl FromIterator<ShardMetric> for ShardMetrics {
    fn from_iter<T: IntoIterator<Item = ShardMetric>>(metrics: T) -> Self {
        Self(metrics.into_iter().fold(0, |bits, metric| bits | metric as u8))
    }
}

#[cfg(test)]
mod tests;
