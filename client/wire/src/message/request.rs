//! What clients ask.

mod decode;
mod encode;

use super::{
    Ack, Consume, CreateQueue, DeleteMessages, ExtendMessages, ListDeadLetterSources, ListQueues,
    MessageCredit, Position, ReceiveMessages, SendMessages, Settings, StartMove, UpdateQueue,
};
use crate::ids::{QueueId, QueueName, RequestId, ShardIndex, StreamId, StreamName};
use crate::routing::HashKey;

/// On the wire: no shard named.
pub(super) const ROUTE: u32 = u32::MAX;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Returned with every answer.
    pub id: RequestId,
    /// What is asked.
    pub body: RequestBody,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestBody {
    /// Opens a connection: the first request, and only that.
    Hello(Hello),
    /// Answered with `Done`.
    Ping,
    /// Answered with the stream's description.
    CreateStream(CreateStream),
    /// Answered with the stream's description.
    DescribeStream(StreamName),
    /// Answered with a page of streams in order of their names.
    ListStreams(ListStreams),
    /// Answered with the stream's new description.
    UpdateStream(UpdateStream),
    /// Answered with `Done`.
    DeleteStream(StreamName),
    /// The frame's body is a record batch.
    Append(Append),
    /// The answer's body is a run of log entries.
    Fetch(Fetch),
    /// Answered with `Fetched` again and again as long as there is credit, and at last with `SubscriptionEnded`.
    Subscribe(Subscribe),
    /// Lets the server push more; not answered.
    Credit {
        /// The request that subscribed.
        subscription: RequestId,
        /// How many more bytes of entries may be pushed.
        bytes: u64,
    },
    /// Answered through the subscription, which ends.
    Unsubscribe {
        /// The request that subscribed.
        subscription: RequestId,
    },
    /// Answered with the stream's new description.
    SplitShard(SplitShard),
    /// Answered with the stream's new description.
    MergeShards(MergeShards),
    /// Answered with the stream's new description.
    ScaleStream(ScaleStream),
    /// Answered with the queue's description, also when it is there and is as it is wanted.
    CreateQueue(CreateQueue),
    /// Answered with the queue's description.
    DescribeQueue(QueueName),
    /// Answered with a page of queues in order of their names.
    ListQueues(ListQueues),
    /// Answered with the queue's new description.
    UpdateQueue(UpdateQueue),
    /// Answered with `Done`.
    DeleteQueue(QueueName),
    /// The frame's body has the parts of the messages; answered with what became of each.
    SendMessages(SendMessages),
    /// Answered with messages, whose parts are in the body.
    ReceiveMessages(ReceiveMessages),
    /// Answered with those that were refused.
    DeleteMessages(DeleteMessages),
    /// Answered with those that were refused.
    ExtendMessages(ExtendMessages),
    /// Answered with messages again and again as long as there is credit, and at last with `SubscriptionEnded`; ended by `Unsubscribe`.
    Consume(Consume),
    /// Lets the server push more messages; not answered.
    MessageCredit(MessageCredit),
    /// Deletes every message that was sent before; answered with `Done`.
    PurgeQueue(QueueId),
    /// Answered with the counts.
    CountMessages(QueueId),
    /// Answered with the move, as a list of one.
    StartMove(StartMove),
    /// Answered with the move as it is then, as a list of one.
    CancelMove {
        /// The queue.
        queue: QueueId,
        /// The move.
        number: u64,
    },
    /// Answered with the last moves of the queue, the newest first.
    ListMoves(QueueId),
    /// Answered with a page of queues in order of their names.
    ListDeadLetterSources(ListDeadLetterSources),
}

/// Opens a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The oldest protocol version the client speaks.
    pub version_min: u16,
    /// The newest protocol version the client speaks.
    pub version_max: u16,
    /// Name and version of the client, for logs; cut at [`PEER_NAME_BYTES_MAX`](crate::limits::PEER_NAME_BYTES_MAX).
    pub client: String,
}

/// Creates a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateStream {
    /// Its name.
    pub name: StreamName,
    /// How many shards divide its keys.
    pub shards: u32,
    /// What is not to be the server's default.
    pub settings: Settings,
}

/// Lists streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListStreams {
    /// Begin after this name.
    pub after: Option<StreamName>,
    /// At most so many.
    pub limit: u32,
}

/// Changes a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateStream {
    /// Its name.
    pub name: StreamName,
    /// What is to change.
    pub settings: Settings,
}

/// Makes two shards of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitShard {
    /// The stream.
    pub name: StreamName,
    /// The shard, which is open.
    pub shard: ShardIndex,
    /// Where the second child begins: above the shard's first hash key, and not above its last.
    pub at: HashKey,
}

/// Makes one shard of two whose hash keys follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeShards {
    /// The stream.
    pub name: StreamName,
    /// The one, which becomes the parent.
    pub shard: ShardIndex,
    /// The other, which becomes the adjacent parent.
    pub adjacent: ShardIndex,
}

/// Divides the hash keys evenly among another number of shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScaleStream {
    /// The stream.
    pub name: StreamName,
    /// How many open shards it is to have: half to twice as many as it has.
    pub shards: u32,
}

/// Appends the batch in the frame's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Append {
    /// To this stream.
    pub stream: StreamId,
    /// To this shard, or to the shard of each record's partition key.
    pub shard: Option<ShardIndex>,
    /// When it is answered.
    pub ack: Ack,
}

/// Reads a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Of this stream.
    pub stream: StreamId,
    /// This shard.
    pub shard: ShardIndex,
    /// From here.
    pub position: Position,
    /// Until an entry would exceed so many bytes; at least one entry is returned if there is any.
    pub bytes_max: u32,
    /// How long to wait for a record if there is none, in milliseconds.
    pub wait_ms: u32,
}

/// Has the records of a shard pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Of this stream.
    pub stream: StreamId,
    /// This shard.
    pub shard: ShardIndex,
    /// From here.
    pub position: Position,
    /// How many bytes of entries may be pushed before more credit is needed.
    pub credit_bytes: u64,
}
