//! Messages of queues: sent, received, deleted, hidden for longer, pushed, counted, and moved from dead-letter queues.
//!
//! A message's parts lie in the frame's body, one behind the other: its group, its deduplication id, the name of the queue that it was moved from (of received ones), its
//! attributes and its body. What the flatbuffers message has of it are numbers of a fixed size, so a batch is verified and read at the price of its numbers.

mod decode;
mod encode;

use bytes::Bytes;

pub(super) use decode::{decode_moves, decode_received, decode_settled};
pub(super) use encode::{
    encode_cancel, encode_count, encode_list_moves, encode_moves, encode_purge, encode_received,
    encode_settled,
};

use super::ErrorCode;
use crate::ids::{QueueId, QueueName, RequestId, Timestamp};

/// Names a message for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MessageId(pub u128);

/// Sends messages, whose parts are in the frame's body. Answered with one outcome for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendMessages {
    /// To this queue.
    pub queue: QueueId,
    /// In their order.
    pub messages: Vec<NewMessage>,
}

/// A message that is to be sent: how long its parts are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewMessage {
    /// How many seconds nobody receives it, if it is not what the queue says.
    pub delay_s: Option<u32>,
    /// Bytes of its group.
    pub group_bytes: u16,
    /// Bytes of its deduplication id.
    pub deduplication_bytes: u16,
    /// Bytes of its attributes.
    pub attributes_bytes: u32,
    /// Bytes of its body.
    pub body_bytes: u32,
}

/// What became of messages that were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentMessages {
    /// One for each message; of those that were refused it says nothing.
    pub sent: Vec<SentMessage>,
    /// Those that were refused.
    pub refused: Vec<RefusedItem>,
}

/// A message that was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SentMessage {
    /// Its name; where it was sent before, the name that it got then.
    pub id: MessageId,
    /// Its number in its partition, which grows.
    pub sequence: u64,
}

/// An item of a request that was refused, while others were not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code} (value {value}, limit {limit})")]
pub struct RefusedItem {
    /// Which one, counted from 0.
    pub index: u32,
    /// Why.
    pub code: ErrorCode,
    /// How long to wait before another try, 0 when waiting does not help.
    pub retry_after_ms: u32,
    /// The value that was wrong, 0 if there is none.
    pub value: u64,
    /// The limit that it broke, 0 if there is none.
    pub limit: u64,
}

/// Receives messages, which are hidden from others then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiveMessages {
    /// Of this queue.
    pub queue: QueueId,
    /// So many at most.
    pub messages_max: u32,
    /// How long to wait for one if there is none.
    pub wait_ms: u32,
    /// How long they are hidden, if it is not what the queue says.
    pub visibility_s: Option<u32>,
    /// Names the attempt, of FIFO queues: the same one gets the same messages again while all of them are hidden still, five minutes long.
    pub attempt: Option<String>,
}

/// A message that was received: what is known of it, and how long its parts are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// Its name.
    pub id: MessageId,
    /// Stands for this receive of it.
    pub receipt: MessageReceipt,
    /// When it was sent.
    pub sent: Timestamp,
    /// When it was received first.
    pub first_received: Timestamp,
    /// Bytes of its group.
    pub group_bytes: u16,
    /// Bytes of its deduplication id.
    pub deduplication_bytes: u16,
    /// Bytes of the name of the queue that it was moved from.
    pub source_bytes: u16,
    /// Bytes of its attributes.
    pub attributes_bytes: u32,
    /// Bytes of its body.
    pub body_bytes: u32,
}

/// Stands for one receive of one message of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MessageReceipt {
    /// The message's number in its partition.
    pub sequence: u64,
    /// Which receive of it.
    pub receives: u32,
    /// The partition.
    pub partition: u16,
}

/// Deletes messages for ever. Answered with those that were refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteMessages {
    /// Of this queue.
    pub queue: QueueId,
    /// As they were received.
    pub receipts: Vec<MessageReceipt>,
}

/// Hides messages in flight for so long from now on. Answered with those that were refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendMessages {
    /// Of this queue.
    pub queue: QueueId,
    /// As they were received, with the seconds; none at all bring a message back at once.
    pub extensions: Vec<(MessageReceipt, u32)>,
}

/// Has messages pushed as they come, as many as there is credit for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consume {
    /// Of this queue.
    pub queue: QueueId,
    /// How many messages may be pushed before more credit is needed.
    pub credit: u32,
    /// So many in one push at most.
    pub messages_max: u32,
    /// How long they are hidden, if it is not what the queue says.
    pub visibility_s: Option<u32>,
}

/// Lets the server push more messages; not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageCredit {
    /// The request that consumes.
    pub consumer: RequestId,
    /// How many more.
    pub messages: u32,
}

/// How many messages there are, about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageCounts {
    /// To be received.
    pub visible: u64,
    /// Received and neither deleted nor back.
    pub in_flight: u64,
    /// Not to be received yet.
    pub delayed: u64,
    /// When the oldest one was sent, if there is one and it is known.
    pub oldest_sent: Option<Timestamp>,
}

/// Begins to move the messages of a dead-letter queue. Answered with the move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartMove {
    /// From this queue.
    pub queue: QueueId,
    /// To this one, or each to the one that it came from.
    pub target: Option<QueueName>,
    /// So many each second; 0 for as many as can be.
    pub messages_per_second: u32,
}

/// A move of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Tells it from others of the queue.
    pub number: u64,
    /// Where they go, or each to where it came from.
    pub target: Option<QueueName>,
    /// So many each second; 0 for as many as can be.
    pub messages_per_second: u32,
    /// What it is doing.
    pub status: MoveStatus,
    /// Messages that were moved.
    pub moved: u64,
    /// Messages that there were to be moved when it began.
    pub to_move: u64,
    /// When it began.
    pub started: Timestamp,
}

/// What a move is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MoveStatus {
    /// It moves messages.
    Running,
    /// It moves those that it has begun with, and no others.
    Cancelling,
    /// It was told to end and has, or the server went down.
    Cancelled,
    /// Nothing is left to be moved.
    Completed,
    /// It could not go on, for a reason.
    Failed(String),
}

/// Lists the queues whose dead letters come to a queue, in order of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListDeadLetterSources {
    /// The dead-letter queue.
    pub queue: QueueId,
    /// Begin after this name.
    pub after: Option<QueueName>,
    /// At most so many.
    pub limit: u32,
}

/// The parts of one message, as slices of a frame's body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageParts {
    /// Its group.
    pub group: Bytes,
    /// Its deduplication id.
    pub deduplication: Bytes,
    /// The name of the queue that it was moved from.
    pub source: Bytes,
    /// Its attributes.
    pub attributes: Bytes,
    /// Its body.
    pub body: Bytes,
}

/// A frame's body is shorter or longer than the parts of its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the parts of the messages have {parts} bytes, and {body} are there")]
pub struct PartsError {
    /// Bytes of all parts.
    pub parts: u64,
    /// Bytes of the body.
    pub body: u64,
}

/// The lengths of a message's parts: group, deduplication id, source, attributes, body.
type Lengths = [u32; 5];

impl NewMessage {
    fn lengths(&self) -> Lengths {
        let Self { group_bytes, deduplication_bytes, attributes_bytes, body_bytes, .. } = *self;
        [group_bytes.into(), deduplication_bytes.into(), 0, attributes_bytes, body_bytes]
    }

    /// Cuts a frame's body into the parts of its messages.
    pub fn split(messages: &[Self], body: Bytes) -> Result<Vec<MessageParts>, PartsError> {
        split(messages.iter().map(Self::lengths), body)
    }
}

impl ReceivedMessage {
    fn lengths(&self) -> Lengths {
        let Self { group_bytes, deduplication_bytes, source_bytes, attributes_bytes, body_bytes, .. } = *self;
        [group_bytes.into(), deduplication_bytes.into(), source_bytes.into(), attributes_bytes, body_bytes]
    }

    /// Cuts a frame's body into the parts of its messages.
    pub fn split(messages: &[Self], body: Bytes) -> Result<Vec<MessageParts>, PartsError> {
        split(messages.iter().map(Self::lengths), body)
    }
}

fn split(
    messages: impl Iterator<Item = Lengths> + Clone,
    mut body: Bytes,
) -> Result<Vec<MessageParts>, PartsError> {
    let parts = messages.clone().flatten().map(u64::from).sum();
    if parts != body.len() as u64 {
        return Err(PartsError { parts, body: body.len() as u64 });
    }
    // An empty part is none of the body, so that it costs no count of its references.
    let mut take = |bytes: u32| if bytes == 0 { Bytes::new() } else { body.split_to(bytes as usize) };
    let parts = messages.map(|[group, deduplication, source, attributes, body]| MessageParts {
        group: take(group),
        deduplication: take(deduplication),
        source: take(source),
        attributes: take(attributes),
        body: take(body),
    });
    Ok(parts.collect())
}

#[cfg(test)]
pub(super) mod tests;
