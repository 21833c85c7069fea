//! The numbers of the shards that somebody watches, which have series of their own.

/// What is counted of a shard; only what its stream asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardSnapshot {
    /// The stream's name.
    pub stream: String,
    /// The shard's number in it.
    pub shard: u32,
    /// Bytes of keys and data that were appended.
    pub incoming_bytes: Option<u64>,
    /// Records that were appended.
    pub incoming_records: Option<u64>,
    /// Bytes of entries that were read.
    pub outgoing_bytes: Option<u64>,
    /// Records that were read.
    pub outgoing_records: Option<u64>,
    /// Appends that were refused because a rate was used up.
    pub throttled_writes: Option<u64>,
    /// Reads that were refused because a rate was used up.
    pub throttled_reads: Option<u64>,
    /// How old the records were that were read last, in milliseconds.
    pub age_ms: Option<u64>,
}

/// A series: its name, its help, and its value if it is watched.
type Series = (&'static str, &'static str, fn(&ShardSnapshot) -> Option<u64>);

/// The counters of watched shards.
pub(super) const COUNTERS: &[Series] = &[
    ("shard_incoming_bytes", "Bytes of keys and data appended to a watched shard.", |shard| {
        shard.incoming_bytes
    }),
    ("shard_incoming_records", "Records appended to a watched shard.", |shard| shard.incoming_records),
    ("shard_outgoing_bytes", "Bytes of entries read from a watched shard.", |shard| shard.outgoing_bytes),
    ("shard_outgoing_records", "Records read from a watched shard.", |shard| shard.outgoing_records),
    (
        "shard_throttled_writes",
        "Appends to a watched shard that were refused because a rate was used up.",
        |shard| shard.throttled_writes,
    ),
    (
        "shard_throttled_reads",
        "Reads of a watched shard that were refused because a rate was used up.",
        |shard| shard.throttled_reads,
    ),
];

/// The gauges of watched shards.
pub(super) const GAUGES: &[Series] = &[(
    "shard_iterator_age_milliseconds",
    "How old the records were that were read last from a watched shard.",
    |shard| shard.age_ms,
)];
