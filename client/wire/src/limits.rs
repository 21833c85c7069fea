//! The bounds of everything that crosses the wire.

/// Version of the native protocol that this crate speaks.
pub const PROTOCOL_VERSION: u16 = 2;
/// Oldest version that a server still speaks.
pub const PROTOCOL_VERSION_MIN: u16 = 1;

/// Bytes of a frame after its length field, by default; a server may be configured for less or more.
pub const FRAME_BYTES_MAX_DEFAULT: u32 = 16 << 20;
/// The largest frame any server may be configured for.
pub const FRAME_BYTES_MAX: u32 = 64 << 20;
/// Bytes of the flatbuffers message inside a frame.
pub const MESSAGE_BYTES_MAX: u32 = 1 << 20;
/// Nesting of tables in a message that the verifier follows.
pub const MESSAGE_DEPTH_MAX: usize = 8;
/// Tables in a message that the verifier visits.
pub const MESSAGE_TABLES_MAX: usize = 16_384;

/// Bytes of a stream's name.
pub const STREAM_NAME_BYTES_MAX: usize = 128;
/// Bytes of a queue's name.
pub const QUEUE_NAME_BYTES_MAX: usize = 80;
/// Bytes of a partition key: 256 characters as in Kinesis, four bytes each at most.
pub const KEY_BYTES_MAX: usize = 1_024;
/// Records in one batch.
pub const BATCH_RECORDS_MAX: u32 = 65_536;
/// Bytes of one batch, header and all columns; 10 MiB of records as in Kinesis's PutRecords, and room for their keys.
pub const BATCH_BYTES_MAX: u32 = 12 << 20;
/// Bytes of one record's data: Kinesis's largest MaxRecordSize.
pub const RECORD_BYTES_MAX: u32 = 10 << 20;
/// Bytes that a compressed data column may grow to.
pub const BATCH_DATA_RAW_BYTES_MAX: u32 = 64 << 20;

/// Streams in one page of a list.
pub const LIST_STREAMS_MAX: u32 = 1_000;
/// Queues in one page of a list.
pub const LIST_QUEUES_MAX: u32 = 1_000;
/// Messages in one request about a queue's messages, and in one answer or push.
pub const QUEUE_BATCH_MESSAGES_MAX: u32 = 1_000;
/// Messages of a receive or a push, however large they are; where it is known that they are small it may be more, as far as a batch goes.
pub const RECEIVE_MESSAGES_SURE: u32 = 10;
/// Milliseconds that one receive may wait.
pub const RECEIVE_WAIT_MS_MAX: u32 = 60_000;
/// Attributes of a message.
pub const MESSAGE_ATTRIBUTES_MAX: usize = 10;
/// Bytes of an attribute's name, and of its type.
pub const MESSAGE_ATTRIBUTE_NAME_BYTES_MAX: usize = 256;
/// Bytes of a message's group, and of its deduplication id.
pub const MESSAGE_GROUP_BYTES_MAX: usize = 128;
/// Moves of a dead-letter queue's messages that are remembered and listed.
pub const QUEUE_MOVES_MAX: usize = 10;
/// Milliseconds that one fetch may wait.
pub const FETCH_WAIT_MS_MAX: u32 = 60_000;
/// Bytes of the name that a client or server gives itself in the handshake.
pub const PEER_NAME_BYTES_MAX: usize = 256;
/// Shards of one stream, open and closed, so that its description fits a message.
pub const STREAM_SHARDS_MAX: u32 = 4_096;
/// Bytes of an error's text.
pub const FAILURE_TEXT_BYTES_MAX: usize = 1_024;

const _: () = assert!(PROTOCOL_VERSION_MIN <= PROTOCOL_VERSION);
const _: () = assert!(BATCH_BYTES_MAX < FRAME_BYTES_MAX_DEFAULT);
const _: () = assert!(RECORD_BYTES_MAX < BATCH_BYTES_MAX);
const _: () = assert!(FRAME_BYTES_MAX_DEFAULT <= FRAME_BYTES_MAX);
const _: () = assert!(MESSAGE_BYTES_MAX < FRAME_BYTES_MAX_DEFAULT);
// A routed append names each record's part in 16 bits.
const _: () = assert!(BATCH_RECORDS_MAX <= 1 << 16);
// The largest record and key fit a batch of their own: 24 bytes of header, 16 of timestamp and ends.
const _: () = assert!(RECORD_BYTES_MAX as usize + KEY_BYTES_MAX + 64 <= BATCH_BYTES_MAX as usize);
// A description takes 80 bytes for each shard.
const _: () = assert!(STREAM_SHARDS_MAX * 80 + 4_096 <= MESSAGE_BYTES_MAX);
// The answer to a routed append takes 32 bytes for each shard and two for each record.
const _: () = assert!(STREAM_SHARDS_MAX * 32 + BATCH_RECORDS_MAX * 2 + 4_096 <= MESSAGE_BYTES_MAX);
// A list takes a name and less than 128 other bytes for each stream, and one table.
const _: () =
    assert!(LIST_STREAMS_MAX as usize * (STREAM_NAME_BYTES_MAX + 128) <= MESSAGE_BYTES_MAX as usize);
const _: () = assert!(LIST_STREAMS_MAX as usize + 2 <= MESSAGE_TABLES_MAX);
const _: () = assert!(QUEUE_NAME_BYTES_MAX <= STREAM_NAME_BYTES_MAX && LIST_QUEUES_MAX <= LIST_STREAMS_MAX);
// A message that is received takes 72 bytes of a message, and one that is refused 32.
const _: () = assert!(QUEUE_BATCH_MESSAGES_MAX * (72 + 32) + 4_096 <= MESSAGE_BYTES_MAX);

#[cfg(test)]
mod tests;
