//! The bytes of the catalog's values.
//!
//! `docs/format/catalog.md` draws the layout. Whatever the bytes are, decoding returns a value or a typed
//! error; it never panics, never reads past the end, and takes nothing it does not know.

mod capacity;
mod consumer;
mod policy;
mod queue;
mod record_size;
mod stream_queue;

use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;
use tidemill_storage::{KeyCompaction, Retention};
use tidemill_wire::message::Quota;
use tidemill_wire::routing::{HashKey, HashKeyRange};
use tidemill_wire::{LaneId, OwnerId, SequenceNumber, ShardIndex, StreamId, StreamName, Timestamp};

pub(super) use self::capacity::{decode_capacity, decode_commitment, encode_capacity, encode_commitment};
pub(super) use self::consumer::{decode_consumer, encode_consumer};
pub(super) use self::policy::{decode_policy, encode_policy};
pub(super) use self::queue::{decode_queue, encode_queue};
pub(super) use self::record_size::{decode_record_size, encode_record_size};
pub(super) use self::stream_queue::{decode_stream_queue, encode_stream_queue};
use super::entity::{Counters, Node, NodeId, Stream};
use super::rules::millis;
use super::{Shard, ShardEnd};

/// Version of the values of nodes, counters and streams.
const VERSION: u8 = 1;
/// Version of the values of streams that are compacted by key: the tombstones' age follows the shards.
const VERSION_KEYED: u8 = 2;
/// Version of the values of streams that have tags: a tombstones' age, if only as a mark, and the tags follow the shards.
const VERSION_TAGGED: u8 = 3;
/// Version of the values of streams whose shards have been changed: as the one with tags, of which there may be none, and each shard has its times and its end.
const VERSION_RESHARDED: u8 = 4;
/// Stands for no compaction by key in a value that has room for the tombstones' age.
const NOT_KEYED: u64 = u64::MAX;
/// Stands for no parent.
const NO_SHARD: u32 = u32::MAX;
/// Stands for the closing time of an open shard.
const NOT_CLOSED: u64 = u64::MAX;
/// Bytes of one shard.
const SHARD_BYTES: usize = 57;
/// Bytes of one shard with its times and its end.
const TIMED_SHARD_BYTES: usize = 81;

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
    let version = match stream.key_compaction {
        _ if !stream.shards.iter().all(|shard| is_original(shard, stream.created)) => VERSION_RESHARDED,
        _ if !stream.tags.is_empty() => VERSION_TAGGED,
        Some(_) => VERSION_KEYED,
        None => VERSION,
    };
    let has_tags = matches!(version, VERSION_TAGGED | VERSION_RESHARDED);
    let mut out = vec![version];
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
    for shard in stream.shards.iter() {
        encode_shard(&mut out, shard, version);
    }
    match stream.key_compaction {
        Some(policy) => out.extend(millis(policy.tombstone_age).to_le_bytes()),
        None if has_tags => out.extend(NOT_KEYED.to_le_bytes()),
        None => {}
    }
    if has_tags {
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

/// Whether a shard is as old as its stream and open, so that its times need no room.
fn is_original(shard: &Shard, created: Timestamp) -> bool {
    shard.is_open() && shard.opened == created
}

fn encode_shard(out: &mut Vec<u8>, shard: &Shard, version: u8) {
    let start = out.len();
    out.extend(shard.index.get().to_le_bytes());
    out.extend(shard.owner.get().to_le_bytes());
    out.extend(shard.lane.get().to_le_bytes());
    out.extend(shard.range.start.0.to_le_bytes());
    out.extend(shard.range.end.0.to_le_bytes());
    out.push(u8::from(!shard.is_open()));
    out.extend(shard.parent.map_or(NO_SHARD, ShardIndex::get).to_le_bytes());
    out.extend(shard.adjacent_parent.map_or(NO_SHARD, ShardIndex::get).to_le_bytes());
    if version == VERSION_RESHARDED {
        let (at, end) = shard.closed.map_or((NOT_CLOSED, 0), |closed| (closed.at.get(), closed.next.get()));
        for number in [shard.opened.get(), at, end] {
            out.extend(number.to_le_bytes());
        }
    }
    debug_assert_eq!(out.len() - start, shard_bytes(version));
}

fn shard_bytes(version: u8) -> usize {
    if version == VERSION_RESHARDED { TIMED_SHARD_BYTES } else { SHARD_BYTES }
}

pub(super) fn decode_stream(bytes: &[u8]) -> Result<Stream, DecodeError> {
    let (version, mut reader) = match bytes.split_first() {
        Some((version @ (&VERSION_KEYED | &VERSION_TAGGED | &VERSION_RESHARDED), rest)) => {
            (*version, Reader { rest })
        }
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
    let left = reader.rest.len() / shard_bytes(version);
    // What cannot be there is not allocated for.
    let mut shards = Vec::with_capacity(left.min(usize::try_from(count).unwrap_or(left)));
    for _ in 0..count {
        shards.push(decode_shard(&mut reader, version, created)?);
    }
    let tombstone_age = if version == VERSION { NOT_KEYED } else { reader.u64("tombstone age")? };
    let tombstone_age = (version == VERSION_KEYED || tombstone_age != NOT_KEYED).then_some(tombstone_age);
    let policy = |age| KeyCompaction { tombstone_age: Duration::from_millis(age) };
    let key_compaction = tombstone_age.map(policy);
    let tags = match version {
        VERSION_TAGGED => reader.tags(1)?,
        VERSION_RESHARDED => reader.tags(0)?,
        _ => BTreeMap::new(),
    };
    // What the encoder writes as an earlier version has that value and no other.
    if version == VERSION_RESHARDED && shards.iter().all(|shard| is_original(shard, created)) {
        return Err(DecodeError::Impossible { field: "version", value: version.to_string() });
    }
    reader.end(Stream {
        id,
        name,
        created,
        retention,
        quota,
        key_compaction,
        map_version,
        tags,
        shards: shards.into(),
    })
}

/// Before version 4 no shard was ever closed, and all are as old as their stream.
fn decode_shard(reader: &mut Reader<'_>, version: u8, created: Timestamp) -> Result<Shard, DecodeError> {
    let index = ShardIndex(reader.u32("shard index")?);
    let owner = OwnerId(reader.u64("shard owner")?);
    let lane = LaneId(reader.u32("shard lane")?);
    let start = HashKey(reader.u128("range start")?);
    let range = HashKeyRange { start, end: HashKey(reader.u128("range end")?) };
    let state = reader.u8("shard state")?;
    let parent = reader.shard("parent")?;
    let adjacent_parent = reader.shard("adjacent parent")?;
    let is_timed = version == VERSION_RESHARDED;
    let opened = if is_timed { Timestamp(reader.u64("opening time")?) } else { created };
    let (at, end) =
        if is_timed { (reader.u64("closing time")?, reader.u64("shard end")?) } else { (NOT_CLOSED, 0) };
    let closed = match (state, at) {
        (0, NOT_CLOSED) if end == 0 => None,
        (1, at) if at != NOT_CLOSED => Some(ShardEnd { at: Timestamp(at), next: SequenceNumber(end) }),
        (state, _) => {
            return Err(DecodeError::Impossible { field: "shard state", value: state.to_string() });
        }
    };
    Ok(Shard { index, owner, lane, range, opened, closed, parent, adjacent_parent })
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

    /// Tags are sorted and there are `min` at least, so that a stream has one value and no other.
    fn tags(&mut self, min: usize) -> Result<BTreeMap<String, String>, DecodeError> {
        let count = self.u16("tag count")?;
        let mut tags = BTreeMap::new();
        for _ in 0..count {
            let (key, value) = (self.text("tag key")?, self.text("tag value")?);
            if tags.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(DecodeError::Impossible { field: "tag key", value: format!("{key:?}") });
            }
            tags.insert(key, value);
        }
        if tags.len() < min {
            return Err(DecodeError::Impossible { field: "tag count", value: count.to_string() });
        }
        Ok(tags)
    }

    fn text(&mut self, field: &'static str) -> Result<String, DecodeError> {
        let length = usize::from(self.u16(field)?);
        self.text_of(field, length)
    }

    fn text_of(&mut self, field: &'static str, length: usize) -> Result<String, DecodeError> {
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
