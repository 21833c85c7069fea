//! What the server answers.

mod decode;
mod encode;

use super::{
    ErrorCode, Failure, KeyCompaction, MessageCounts, Move, QueueDescription, QueueSummary, Quota,
    ReceivedMessage, RefusedItem, SentMessages, ShardState,
};
use crate::ids::{LaneId, RequestId, SequenceNumber, ShardIndex, StreamId, StreamName, Timestamp};
use crate::routing::HashKeyRange;

/// On the wire: no parent shard.
const NO_PARENT: u32 = u32::MAX;

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The request it answers.
    pub id: RequestId,
    /// The answer.
    pub body: ResponseBody,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseBody {
    /// To a hello.
    Welcome(Welcome),
    /// Nothing to tell but success.
    Done,
    /// A stream as it is now.
    StreamDescription(StreamDescription),
    /// A page of streams.
    StreamList {
        /// In order of their names.
        streams: Vec<StreamSummary>,
        /// Whether there are more after the last one.
        more: bool,
    },
    /// To an append that named its shard.
    Appended(Appended),
    /// To an append that the server routed.
    RoutedAppend(RoutedAppend),
    /// To a fetch, and what a subscription pushes; the frame's body is a run of log entries.
    Fetched(Fetched),
    /// A subscription's last answer.
    SubscriptionEnded(SubscriptionEnded),
    /// A refusal.
    Failed(Failure),
    /// A queue as it is now.
    QueueDescription(QueueDescription),
    /// A page of queues.
    QueueList {
        /// In order of their names.
        queues: Vec<QueueSummary>,
        /// Whether there are more after the last one.
        more: bool,
    },
    /// To messages that were sent.
    SentMessages(SentMessages),
    /// To a receive, and what is pushed; the frame's body has the parts of the messages.
    ReceivedMessages(Vec<ReceivedMessage>),
    /// To a delete or an extension of messages: those that were refused.
    SettledMessages(Vec<RefusedItem>),
    /// How many messages a queue has.
    MessageCounts(MessageCounts),
    /// Moves of a dead-letter queue's messages.
    MoveList(Vec<Move>),
}

/// To a hello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The protocol version that both sides speak from now on.
    pub version: u16,
    /// Name and version of the server; cut at [`PEER_NAME_BYTES_MAX`](crate::limits::PEER_NAME_BYTES_MAX).
    pub server: String,
    /// The node's id, drawn when its data directory was created.
    pub node: u64,
    /// The core that serves this connection.
    pub core: u32,
    /// Bytes of the largest frame the server takes.
    pub frame_bytes_max: u32,
    /// Requests of one connection that may be unanswered.
    pub in_flight_max: u32,
    /// The port that leads straight to each lane's owner.
    pub lanes: Vec<(LaneId, u16)>,
}

/// A stream as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamDescription {
    /// Names the stream in appends and fetches.
    pub id: StreamId,
    /// Its name.
    pub name: StreamName,
    /// When it was created.
    pub created: Timestamp,
    /// How long records are kept, in milliseconds; 0 for no bound.
    pub retention_ms: u64,
    /// How many bytes a shard keeps, 0 for no bound.
    pub retention_bytes: u64,
    /// Rates of each shard.
    pub quota: Quota,
    /// Grows with each change of the shards.
    pub map_version: u32,
    /// Open and closed shards, by index.
    pub shards: Vec<ShardDescription>,
    /// Whether the last record of each key is kept and no other.
    pub key_compaction: KeyCompaction,
    /// How often each shard may be read by calls that are counted; 0 for no limit.
    pub read_calls_per_second: u64,
}

/// A shard as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardDescription {
    /// Which of the stream.
    pub index: ShardIndex,
    /// The lane that holds it.
    pub lane: LaneId,
    /// Its keys.
    pub range: HashKeyRange,
    /// Whether it takes appends.
    pub state: ShardState,
    /// The oldest retained record.
    pub oldest_sequence: SequenceNumber,
    /// The number that the next appended record gets.
    pub next_sequence: SequenceNumber,
    /// Bytes retained.
    pub bytes: u64,
    /// The shard it was split from, or the first that it was merged from.
    pub parent: Option<ShardIndex>,
    /// The second shard that it was merged from.
    pub adjacent_parent: Option<ShardIndex>,
}

/// A stream in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSummary {
    /// Names the stream in appends and fetches.
    pub id: StreamId,
    /// Its name.
    pub name: StreamName,
    /// When it was created.
    pub created: Timestamp,
    /// How many open shards it has.
    pub shards: u32,
    /// How long records are kept, in milliseconds.
    pub retention_ms: u64,
}

/// To an append that named its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The shard.
    pub shard: ShardIndex,
    /// The first record's number; the others follow without a gap.
    pub base_sequence: SequenceNumber,
    /// When the shard took it.
    pub append_time: Timestamp,
}

/// To an append that the server routed: every record's fate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutedAppend {
    /// One part for each shard that got records.
    pub placements: Vec<Placement>,
    /// Record `i` of the batch is in `placements[placement_of[i]]`; within a part, records keep their order.
    pub placement_of: Vec<u16>,
}

/// The records of a routed append that went to one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The shard.
    pub shard: ShardIndex,
    /// How many records.
    pub records: u32,
    /// Where they are, or why they were refused and how many milliseconds to wait before another try.
    pub outcome: Result<Appended, (ErrorCode, u32)>,
}

/// To a fetch, and what a subscription pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The first record wanted; the first entry may begin before it.
    pub from_sequence: SequenceNumber,
    /// Where the next fetch goes on.
    pub next_sequence: SequenceNumber,
    /// The oldest retained record.
    pub oldest_sequence: SequenceNumber,
    /// The number that the next appended record gets.
    pub end_sequence: SequenceNumber,
    /// The shard is closed and nothing follows.
    pub closed: bool,
}

/// A subscription's last answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionEnded {
    /// Why.
    pub code: ErrorCode,
    /// For people; cut at [`FAILURE_TEXT_BYTES_MAX`](crate::limits::FAILURE_TEXT_BYTES_MAX).
    pub message: String,
    /// Where another subscription goes on.
    pub next_sequence: SequenceNumber,
}
