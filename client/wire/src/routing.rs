//! Which shard a record goes to: the MD5 of its partition key, as Kinesis does.
//!
//! Source: [Amazon Kinesis, Record](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecord.html):
//! "An MD5 hash function is used to map partition keys to 128-bit integer values and to map associated data records
//! to shards using the hash key ranges of the shards."

use std::fmt;

use md5::{Digest, Md5};

use crate::digest::md5_of_each;
use crate::ids::ShardIndex;

/// A point in the 128-bit space that the shards of a stream divide among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashKey(pub u128);

impl HashKey {
    /// The last point.
    pub const MAX: Self = Self(u128::MAX);

    /// MD5 of the partition key, read big-endian.
    #[must_use]
    pub fn of(partition_key: &[u8]) -> Self {
        Self(u128::from_be_bytes(Md5::digest(partition_key).into()))
    }

    /// The same of many keys, in their order and in less time.
    #[must_use]
    pub fn of_each(partition_keys: &[&[u8]]) -> Vec<Self> {
        md5_of_each(partition_keys).into_iter().map(|digest| Self(u128::from_be_bytes(digest))).collect()
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A shard's part of the space, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HashKeyRange {
    /// First point.
    pub start: HashKey,
    /// Last point.
    pub end: HashKey,
}

impl HashKeyRange {
    /// Whether the point lies in the range.
    #[must_use]
    pub fn contains(&self, key: HashKey) -> bool {
        self.start <= key && key <= self.end
    }

    /// Divides the whole space evenly into `shards` ranges, in order; the last takes the remainder.
    #[must_use]
    pub fn split_evenly(shards: u32) -> Vec<Self> {
        if shards < 2 {
            return (0..shards).map(|_| Self { start: HashKey(0), end: HashKey::MAX }).collect();
        }
        // 2^128 / shards, rounded down, in numbers that end at 2^128 - 1.
        let count = u128::from(shards);
        let width = u128::MAX / count + u128::from(u128::MAX % count == count - 1);
        let start = |index: u32| width * u128::from(index);
        (0..shards)
            .map(|index| {
                let end = if index + 1 == shards { u128::MAX } else { start(index + 1) - 1 };
                Self { start: HashKey(start(index)), end: HashKey(end) }
            })
            .collect()
    }
}

/// The open shards of a stream by hash-key range: finds the shard of a key in O(log shards).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutingTable {
    /// Where each range begins; it ends where the next one does, and the last one with the space.
    starts: Box<[HashKey]>,
    /// Whose it is.
    shards: Box<[ShardIndex]>,
}

/// Why ranges do not route every key to exactly one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoutingError {
    /// No range holds the point.
    #[error("hash key {at} belongs to no open shard")]
    Gap {
        /// The first point without a shard.
        at: HashKey,
    },
    /// A range ends before it starts.
    #[error("hash key range {start}–{end} ends before it starts")]
    Reversed {
        /// Its first point.
        start: HashKey,
        /// Its last point.
        end: HashKey,
    },
    /// Two ranges hold the point.
    #[error("hash key {at} belongs to more than one open shard")]
    Overlap {
        /// The first point with two shards.
        at: HashKey,
    },
}

impl RoutingTable {
    /// Checks that the ranges cover the space without gap or overlap.
    pub fn new(ranges: impl IntoIterator<Item = (HashKeyRange, ShardIndex)>) -> Result<Self, RoutingError> {
        let mut ranges: Vec<_> = ranges.into_iter().collect();
        ranges.sort_unstable_by_key(|(range, _)| range.start);
        let mut wanted = Some(HashKey(0));
        for (range, _) in &ranges {
            let HashKeyRange { start, end } = *range;
            if end < start {
                return Err(RoutingError::Reversed { start, end });
            }
            match wanted {
                Some(at) if start > at => return Err(RoutingError::Gap { at }),
                Some(at) if start == at => wanted = end.0.checked_add(1).map(HashKey),
                Some(_) | None => return Err(RoutingError::Overlap { at: start }),
            }
        }
        match wanted {
            Some(at) => Err(RoutingError::Gap { at }),
            None => Ok(Self {
                starts: ranges.iter().map(|(range, _)| range.start).collect(),
                shards: ranges.iter().map(|(_, shard)| *shard).collect(),
            }),
        }
    }

    /// The shard whose range holds the point.
    #[must_use]
    pub fn shard_of(&self, key: HashKey) -> ShardIndex {
        let after = self.starts.partition_point(|start| *start <= key);
        self.shards[after.checked_sub(1).expect("the first range starts at 0")]
    }

    /// The shard of a partition key.
    #[must_use]
    pub fn route(&self, partition_key: &[u8]) -> ShardIndex {
        if let [only] = *self.shards {
            return only;
        }
        self.shard_of(HashKey::of(partition_key))
    }

    /// The shards in order of their ranges.
    pub fn shards(&self) -> impl ExactSizeIterator<Item = ShardIndex> + '_ {
        self.shards.iter().copied()
    }
}

#[cfg(test)]
mod tests;
