//! What is asked of a queue, and what it answers. Plain values that cross cores.

use std::time::Duration;

use tidemill_storage::error::{Damage, DiskError};
use tidemill_wire::Timestamp;
use tidemill_wire::batch::BuildError;

use super::definition::QueueId;
use super::message::{Message, MessageId};

/// A message that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its name; where it was sent before, the name that it got then.
    pub id: MessageId,
    /// Its number in the partition, which grows; where it was sent before, the one that it got then.
    pub sequence: u64,
}

/// What a consumer wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receive {
    /// From this queue.
    pub queue: QueueId,
    /// So many messages at most; more than ten only as far as they are new and small.
    pub messages_max: u32,
    /// How long they are hidden from others; the queue's setting if it is not given.
    pub visibility: Option<Duration>,
    /// How long to wait for one if there is none.
    pub wait: Duration,
    /// Of a FIFO queue: the same attempt within five minutes gets the same messages, as long as they are hidden.
    pub attempt: Option<String>,
}

/// A message that a consumer got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Stands for this receive of the message.
    pub receipt: Receipt,
    /// The message.
    pub message: Message,
    /// How often it was received, this time included.
    pub receives: u32,
    /// When it was received first.
    pub first_received: Timestamp,
    /// Its number in the partition.
    pub sequence: u64,
}

/// Stands for one receive of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The queue.
    pub queue: QueueId,
    /// Which of its partitions, by position.
    pub partition: u16,
    /// The message's number there.
    pub sequence: u64,
    /// Which receive of it.
    pub receives: u32,
}

/// How many messages there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// To be received.
    pub visible: u64,
    /// Received and neither deleted nor back.
    pub in_flight: u64,
    /// Not to be received yet, for they were sent with a delay.
    pub delayed: u64,
    /// When the oldest one that is left was sent, if there is one and it is known.
    pub oldest: Option<Timestamp>,
}

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// There is no such queue.
    #[error("queue {queue} does not exist")]
    UnknownQueue {
        /// The id.
        queue: QueueId,
    },
    /// A FIFO queue wants a group.
    #[error("a message to a FIFO queue needs a group")]
    NoGroup,
    /// A FIFO queue wants a deduplication id.
    #[error("a message to a FIFO queue needs a deduplication id")]
    NoDeduplication,
    /// There is no message.
    #[error("a send without messages")]
    Empty,
    /// The message does not go into a batch of the log.
    #[error(transparent)]
    Batch(#[from] BuildError),
    /// The lane did not take it.
    #[error(transparent)]
    Lane(#[from] tidemill_storage::AppendError),
    /// As many messages of the last five minutes are told from others as may be, and to forget one could be to take it twice.
    #[error(
        "{limit} deduplication ids of the last five minutes are remembered on this core, which is the limit"
    )]
    TooManyKnown {
        /// The limit.
        limit: u64,
    },
    /// The partition cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The server is going down.
    #[error("the server is going down")]
    Closing,
}

/// Why nothing was received.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveError {
    /// There is no such queue.
    #[error("queue {queue} does not exist")]
    UnknownQueue {
        /// The id.
        queue: QueueId,
    },
    /// As many messages are in flight as may be.
    #[error("{in_flight} messages are in flight, limit is {limit}")]
    OverLimit {
        /// Messages in flight.
        in_flight: u64,
        /// The limit.
        limit: u64,
    },
    /// As many receives wait as may.
    #[error("{waiting} receives wait for messages, limit is {limit}")]
    TooManyWaiting {
        /// Receives that wait.
        waiting: u64,
        /// The limit.
        limit: u64,
    },
    /// What was to be received could not be written down.
    #[error(transparent)]
    Lane(#[from] tidemill_storage::AppendError),
    /// The partition cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The server is going down.
    #[error("the server is going down")]
    Closing,
}

/// Why a receipt was of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// There is no such queue.
    #[error("queue {queue} does not exist")]
    UnknownQueue {
        /// The id.
        queue: QueueId,
    },
    /// It is not one of this queue, or of a message that was never received so often.
    #[error("the receipt stands for no message of this queue")]
    Invalid,
    /// The message is not in flight: deleted, back in the queue, or received again since.
    #[error("the message is not in flight")]
    NotInFlight,
    /// The message would be hidden for longer in all than it can be.
    #[error("the message would be hidden for {seconds} seconds since it was received, limit is {limit}")]
    TooLong {
        /// Seconds since it was received.
        seconds: u64,
        /// The limit.
        limit: u64,
    },
    /// The change could not be written down.
    #[error(transparent)]
    Lane(#[from] tidemill_storage::AppendError),
    /// The partition cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The server is going down.
    #[error("the server is going down")]
    Closing,
}

/// What the log has of a partition cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The queue was deleted meanwhile.
    #[error("the queue was deleted")]
    Deleted,
    /// The bytes are damaged.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The disk does not give them.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// An entry is sound, and is nothing that a queue writes.
    #[error("entry {sequence} of owner {owner} is not a queue's: {reason}")]
    Foreign {
        /// Whose it is.
        owner: u64,
        /// Its number.
        sequence: u64,
        /// What is wrong.
        reason: String,
    },
}
