//! Bounds of the service, as AWS documents them.

use std::num::NonZeroU32;
use std::time::Duration;

use tidemill_wire::limits::{BATCH_BYTES_MAX, KEY_BYTES_MAX};

/// Records of one PutRecords.
pub(super) const PUT_RECORDS_MAX: usize = 500;
/// Bytes of keys and data of one PutRecords.
pub(super) const PUT_BYTES_MAX: usize = 10 << 20;
/// Bytes of a record's key and data, for streams that take the largest.
const RECORD_BYTES_MAX: usize = 10 << 20;
/// KiB of a record's key and data, for streams that say nothing about it.
pub(super) const RECORD_KIB_DEFAULT: i64 = 1_024;
/// Characters of a partition key.
pub(super) const KEY_CHARS_MAX: usize = 256;
/// Records of one GetRecords.
pub(super) const GET_RECORDS_MAX: usize = 10_000;
/// Bytes of keys and data of one GetRecords.
pub(super) const GET_BYTES_MAX: usize = 10 << 20;
/// Bytes that a shard which was not read for a while gives at once, ahead of their time.
pub(super) const GET_BYTES_AHEAD_MAX: NonZeroU32 = NonZeroU32::new(GET_BYTES_MAX as u32).expect("not zero");
/// Bytes of keys and data of one event of SubscribeToShard, and of the entries that are fetched for it: a sixteenth of what a consumer may read in
/// a second at AWS's rate, for every subscription may have as much in memory. A larger record comes alone.
pub(super) const EVENT_BYTES_MAX: usize = 128 << 10;
/// Bytes of keys and data of an event that needs no room: no more than a connection has anyway.
pub(super) const SMALL_EVENT_BYTES: usize = 8 << 10;
/// How long shard iterators and page tokens are good for.
pub(super) const TOKEN_AGE_MS_MAX: u64 = 300_000;
/// How long records wait for the shards that their keys go to, while these are being changed. Longer than a change takes before it is given up.
pub(super) const MOVE_TIME_MAX: Duration = Duration::from_secs(8);
/// The least of it: word of a change reaches one core a moment before the other.
pub(super) const MOVE_PAUSE: Duration = Duration::from_millis(1);
/// Shards in a page of DescribeStream if the caller says nothing.
pub(super) const DESCRIBE_SHARDS_DEFAULT: usize = 100;
/// Shards in a page of ListShards if the caller says nothing.
pub(super) const LIST_SHARDS_DEFAULT: usize = 1_000;
/// Streams in a page if the caller says nothing.
pub(super) const LIST_STREAMS_DEFAULT: usize = 100;
/// Consumers in a page if the caller says nothing.
pub(super) const LIST_CONSUMERS_DEFAULT: usize = 100;
/// Queues in a page if the caller says nothing.
pub(super) const LIST_QUEUES_DEFAULT: usize = 100;
/// Records of one receive if the caller says nothing, and the most.
pub(super) const RECEIVE_RECORDS_DEFAULT: usize = 10;
/// Seconds that a receive waits if the caller says nothing.
pub(super) const RECEIVE_WAIT_S_DEFAULT: u64 = 9;
/// Tags in a page: as many as a stream may have.
pub(super) const LIST_TAGS_DEFAULT: usize = 50;
/// Hours of retention of a new stream, and the least.
pub(super) const RETENTION_HOURS_MIN: i64 = 24;
/// The most hours of retention.
pub(super) const RETENTION_HOURS_MAX: i64 = 8_760;
/// The greatest count of shards that the model has a number for.
pub(super) const SHARD_LIMIT_MAX: i64 = 1_000_000;
/// Bytes of the records of a PutRecords that are appended, and so admitted or refused, together.
pub(super) const PART_BYTES_MAX: u64 = 512 << 10;
/// What one part may take of a shard's rate per second: a refusal then costs a quarter of a second's records at most.
pub(super) const PART_SHARE: u64 = 4;

const _: () = assert!(SMALL_EVENT_BYTES < EVENT_BYTES_MAX);
const _: () = assert!(KEY_CHARS_MAX * 4 <= KEY_BYTES_MAX);
// A part that is full but for a byte takes one more record, with its ends.
const _: () =
    assert!(PART_BYTES_MAX as usize + RECORD_BYTES_MAX + PUT_RECORDS_MAX * 8 + 64 < BATCH_BYTES_MAX as usize);
const _: () = assert!(RECORD_KIB_DEFAULT == crate::service::catalog::RECORD_KIB_MIN as i64);
const _: () = assert!(RECORD_BYTES_MAX >> 10 == crate::service::catalog::RECORD_KIB_MAX as usize);
