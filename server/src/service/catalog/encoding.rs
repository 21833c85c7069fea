//! The bytes of the catalog's values.
//!
//! `docs/format/catalog.md` draws the layout. Whatever the bytes are, decoding returns a value or a typed
//! error; it never panics, never reads past the end, and takes nothing it does not know.

mod consumer;
mod policy;
mod record_size;

use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;
use tidemill_storage::{KeyCompaction, Retention};
use tidemill_wire::message::{Quota, ShardState};
use tidemill_wire::routing::{HashKey, HashKeyRange};
use tidemill_wire::{LaneId, OwnerId, ShardIndex, StreamId, StreamName, Timestamp};

pub(super) use self::consumer::{decode_consumer, encode_consumer};
pub(super) use self::policy::{decode_policy, encode_policy};
pub(super) use self::record_size::{decode_record_size, encode_record_size};
use super::entity::{Counters, Node, NodeId, Shard, Stream};
use super::rules::millis;

/// Version of the values of nodes, counters and streams.
const VERSION: u8 = 1;
/// Version of the values of streams that are compacted by key: the tombstones' age follows the shards.
const VERSION_KEYED: u8 = 2;
/// Version of the values of streams that have tags: a tombstones' age, if only as a mark, and the tags follow the shards.
const VERSION_TAGGED: u8 = 3;
/// Stands for no compaction by key in a value that has room for the tombstones' age.
const NOT_KEYED: u64 = u64::MAX;
/// Stands for no parent.
const NO_SHARD: u32 = u32::MAX;
/// Bytes of one shard.
const SHARD_BYTES: usize = 57;

/// Why bytes are not a value of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Another version of the server wrote it.
    #[error("value has version {found}, which this server does not know")]
    UnknownVersion {
        /// The version in the value.
        found: u8,
    },
    /// The value ends early.
    #[error("value ends inside {field}")]
    Truncated {
        /// The field that is cut.
        field: &'static str,
    },
    /// The value goes on after its end.
    #[error("value has {bytes} bytes after its end")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
    /// A field has a value that it cannot have.
    #[error("{field} has the impossible value {value}")]
    Impossible {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
    },
}

pub(super) fn encode_node(node: Node) -> Vec<u8> {
    let mut out = vec![VERSION];
    out.extend(node.id.0.to_le_bytes());
    out.extend(node.lanes.to_le_bytes());
    out
}

pub(super) fn decode_node(bytes: &[u8]) -> Result<Node, DecodeError> {
    let mut reader = Reader::new(bytes)?;
    let node = Node { id: NodeId(reader.u64("node id")?), lanes: reader.u32("lanes")? };
    if node.lanes == 0 {
        return Err(DecodeError::Impossible { field: "lanes", value: node.lanes.to_string() });
    }
    reader.end(node)
}

pub(super) fn encode_counters(counters: Counters) -> Vec<u8> {
    let mut out = vec![VERSION];
    out.extend(counters.next_stream.to_le_bytes());
    out.extend(counters.next_owner.to_le_bytes());
    out
}

pub(super) fn decode_counters(bytes: &[u8]) -> Result<Counters, DecodeError> {
    let mut reader = Reader::new(bytes)?;
    let counters =
        Counters { next_stream: reader.u64("next stream id")?, next_owner: reader.u64("next owner id")? };
    reader.end(counters)
}

pub(super) fn encode_stream(stream: &Stream) -> Vec<u8> {
    let name = stream.name.as_str().as_bytes();
    let is_tagged = !stream.tags.is_empty();
    let mut out = vec![match stream.key_compaction {
        _ if is_tagged => VERSION_TAGGED,
        Some(_) => VERSION_KEYED,
        None => VERSION,
    }];
    out.extend(stream.id.get().to_le_bytes());
    out.extend(stream.created.get().to_le_bytes());
    out.extend(millis(stream.retention.age).to_le_bytes());
    out.extend(stream.retention.bytes.unwrap_or(0).to_le_bytes());
    out.extend(stream.quota.write_bytes_per_second.to_le_bytes());
    out.extend(stream.quota.write_records_per_second.to_le_bytes());
    out.extend(stream.quota.read_bytes_per_second.to_le_bytes());
    out.extend(stream.map_version.to_le_bytes());
    out.push(u8::try_from(name.len()).expect("a stream name has at most 128 bytes"));
    out.extend(name);
    let shards = u32::try_from(stream.shards.len()).expect("shards are counted in 32 bits");
    out.extend(shards.to_le_bytes());
    for shard in &stream.shards {
        encode_shard(&mut out, shard);
    }
    match stream.key_compaction {
        Some(policy) => out.extend(millis(policy.tombstone_age).to_le_bytes()),
        None if is_tagged => out.extend(NOT_KEYED.to_le_bytes()),
        None => {}
    }
    if is_tagged {
        encode_tags(&mut out, &stream.tags);
    }
    out
}

fn encode_tags(out: &mut Vec<u8>, tags: &BTreeMap<String, String>) {
    let length =
        |length: usize| u16::try_from(length).expect("the rules bound tags and their bytes").to_le_bytes();
    out.extend(length(tags.len()));
    for text in tags.iter().flat_map(|(key, value)| [key, value]) {
        out.extend(length(text.len()));
        out.extend(text.as_bytes());
    }
}

fn encode_shard(out: &mut Vec<u8>, shard: &Shard) {
    let start = out.len();
    out.extend(shard.index.get().to_le_bytes());
    out.extend(shard.owner.get().to_le_bytes());
    out.extend(shard.lane.get().to_le_bytes());
    out.extend(shard.range.start.0.to_le_bytes());
    out.extend(shard.range.end.0.to_le_bytes());
    out.push(match shard.state {
        ShardState::Open => 0,
        ShardState::Closed => 1,
    });
    out.extend(shard.parent.map_or(NO_SHARD, ShardIndex::get).to_le_bytes());
    out.extend(shard.adjacent_parent.map_or(NO_SHARD, ShardIndex::get).to_le_bytes());
    debug_assert_eq!(out.len() - start, SHARD_BYTES);
}

pub(super) fn decode_stream(bytes: &[u8]) -> Result<Stream, DecodeError> {
    let (version, mut reader) = match bytes.split_first() {
        Some((version @ (&VERSION_KEYED | &VERSION_TAGGED), rest)) => (*version, Reader { rest }),
        _ => (VERSION, Reader::new(bytes)?),
    };
    let id = StreamId(reader.u64("stream id")?);
    let created = Timestamp(reader.u64("created")?);
    let age = Duration::from_millis(reader.u64("retention age")?);
    let retention = Retention { age, bytes: Some(reader.u64("retention bytes")?).filter(|bytes| *bytes > 0) };
    let quota = Quota {
        write_bytes_per_second: reader.u64("write bytes")?,
        write_records_per_second: reader.u64("write records")?,
        read_bytes_per_second: reader.u64("read bytes")?,
    };
    let map_version = reader.u32("map version")?;
    let name = reader.name()?;
    let count = reader.u32("shard count")?;
    let left = reader.rest.len() / SHARD_BYTES;
    // What cannot be there is not allocated for.
    let mut shards = Vec::with_capacity(left.min(usize::try_from(count).unwrap_or(left)));
    for _ in 0..count {
        shards.push(decode_shard(&mut reader)?);
    }
    let tombstone_age = if version == VERSION { NOT_KEYED } else { reader.u64("tombstone age")? };
    let tombstone_age = (version == VERSION_KEYED || tombstone_age != NOT_KEYED).then_some(tombstone_age);
    let policy = |age| KeyCompaction { tombstone_age: Duration::from_millis(age) };
    let key_compaction = tombstone_age.map(policy);
    let tags = if version == VERSION_TAGGED { reader.tags()? } else { BTreeMap::new() };
    reader.end(Stream { id, name, created, retention, quota, key_compaction, map_version, tags, shards })
}

fn decode_shard(reader: &mut Reader<'_>) -> Result<Shard, DecodeError> {
    Ok(Shard {
        index: ShardIndex(reader.u32("shard index")?),
        owner: OwnerId(reader.u64("shard owner")?),
        lane: LaneId(reader.u32("shard lane")?),
        range: HashKeyRange {
            start: HashKey(reader.u128("range start")?),
            end: HashKey(reader.u128("range end")?),
        },
        state: match reader.u8("shard state")? {
            0 => ShardState::Open,
            1 => ShardState::Closed,
            value => return Err(DecodeError::Impossible { field: "shard state", value: value.to_string() }),
        },
        parent: reader.shard("parent")?,
        adjacent_parent: reader.shard("adjacent parent")?,
    })
}

/// Takes little-endian fields off the front of a value.
struct Reader<'a> {
    rest: &'a [u8],
}

macro_rules! integers {
    ($($Type:ident),+) => { $(
        fn $Type(&mut self, field: &'static str) -> Result<$Type, DecodeError> {
            self.take(field).map($Type::from_le_bytes)
        }
    )+ };
}

impl<'a> Reader<'a> {
    /// Checks the version.
    fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Self { rest: bytes };
        match reader.u8("version")? {
            VERSION => Ok(reader),
            found => Err(DecodeError::UnknownVersion { found }),
        }
    }

    fn take<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated { field })?;
        self.rest = rest;
        Ok(*bytes)
    }

    integers!(u8, u16, u32, u64, u128);

    fn name(&mut self) -> Result<StreamName, DecodeError> {
        let field = "stream name";
        let length = usize::from(self.u8(field)?);
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::Truncated { field })?;
        self.rest = rest;
        let text = String::from_utf8_lossy(bytes);
        StreamName::new(&text).map_err(|_| DecodeError::Impossible { field, value: format!("{text:?}") })
    }

    /// The tags of a stream whose value has any: at least one, so that a stream has one value and no other.
    fn tags(&mut self) -> Result<BTreeMap<String, String>, DecodeError> {
        let tags = self.any_tags()?;
        if tags.is_empty() {
            return Err(DecodeError::Impossible { field: "tag count", value: "0".to_owned() });
        }
        Ok(tags)
    }

    /// Tags, which are sorted.
    fn any_tags(&mut self) -> Result<BTreeMap<String, String>, DecodeError> {
        let count = self.u16("tag count")?;
        let mut tags = BTreeMap::new();
        for _ in 0..count {
            let (key, value) = (self.text("tag key")?, self.text("tag value")?);
            if tags.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(DecodeError::Impossible { field: "tag key", value: format!("{key:?}") });
            }
            tags.insert(key, value);
        }
        Ok(tags)
    }

    fn text(&mut self, field: &'static str) -> Result<String, DecodeError> {
        let length = usize::from(self.u16(field)?);
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::Truncated { field })?;
        self.rest = rest;
        let text = std::str::from_utf8(bytes);
        let impossible =
            |_| DecodeError::Impossible { field, value: format!("{:?}", String::from_utf8_lossy(bytes)) };
        text.map(str::to_owned).map_err(impossible)
    }

    fn shard(&mut self, field: &'static str) -> Result<Option<ShardIndex>, DecodeError> {
        Ok(Some(self.u32(field)?).filter(|index| *index != NO_SHARD).map(ShardIndex))
    }

    /// The value, if nothing follows it.
    fn end<T>(self, value: T) -> Result<T, DecodeError> {
        if self.rest.is_empty() {
            Ok(value)
        } else {
            Err(DecodeError::TrailingBytes { bytes: self.rest.len() })
        }
    }
}

#[cfg(test)]
mod tests;
