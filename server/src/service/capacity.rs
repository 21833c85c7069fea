//! What a stream may take and give, beyond the rates of its shards, and who sees to it that it has shards enough.
//!
//! Plain values that the catalog stores and every core knows with the stream. The protocols that know of them are those of AWS.

use tidemill_wire::Timestamp;

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
