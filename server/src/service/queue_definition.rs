//! What a queue is: shared by all cores and replaced whole when it changes. Apart from [`queue`](super::queue), for the catalog stores it.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;

use tidemill_wire::{LaneId, OwnerId, Timestamp};

/// Characters of a name.
const NAME_BYTES_MAX: usize = 80;
/// What the name of a FIFO queue ends with, and no other name.
const FIFO_SUFFIX: &str = ".fifo";

/// A queue, unique within a node and never reused; from the same numbers as streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(pub u64);

impl fmt::Display for QueueId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// A queue's name: 1–80 characters of `[a-zA-Z0-9_-]`; `.fifo` follows, and counts, where it is a FIFO queue. As in
/// [CreateQueue](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueName(String);

/// What is no name of a queue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no name of a queue: expected 1 to {NAME_BYTES_MAX} of a-z, A-Z, 0-9, '_' and '-', with .fifo behind them for a FIFO queue"
)]
pub struct QueueNameError {
    /// The text.
    pub text: String,
}

impl QueueName {
    /// Checks a text.
    pub fn new(text: &str) -> Result<Self, QueueNameError> {
        let stem = text.strip_suffix(FIFO_SUFFIX).unwrap_or(text);
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if stem.is_empty() || text.len() > NAME_BYTES_MAX || !stem.bytes().all(fits) {
            return Err(QueueNameError { text: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the name of a FIFO queue.
    #[must_use]
    pub fn is_fifo(&self) -> bool {
        self.0.ends_with(FIFO_SUFFIX)
    }
}

/// By its text, in the same order.
impl Borrow<str> for QueueName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A queue as it is defined, without what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Names the queue within the node.
    pub id: QueueId,
    /// Unique among the queues that exist.
    pub name: QueueName,
    /// When it was created.
    pub created: Timestamp,
    /// When its settings were changed last.
    pub modified: Timestamp,
    /// How it works.
    pub settings: QueueSettings,
    /// What its owners say about it, by key.
    pub tags: BTreeMap<String, String>,
    /// Each in a lane of its own. A FIFO queue without high throughput has one.
    pub partitions: Vec<Partition>,
}

impl Definition {
    /// Whether order is kept, and sent twice is sent once.
    #[must_use]
    pub fn is_fifo(&self) -> bool {
        self.settings.fifo.is_some()
    }
}

/// A part of a queue in one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The lane.
    pub lane: LaneId,
    /// Owner of the messages in the lane's log.
    pub messages: OwnerId,
    /// Owner of what became of them.
    pub journal: OwnerId,
}

/// How a queue works. Times in seconds, as users give them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// How long a message is hidden after it was sent, unless it says so itself: 0–900.
    pub delay_s: u32,
    /// Bytes of a message, body and attributes: 1,024–1,048,576.
    pub message_bytes_max: u32,
    /// How long a message is kept: 60–1,209,600.
    pub retention_s: u32,
    /// How long a receive waits for a message, unless it says so itself: 0–20.
    pub wait_s: u32,
    /// How long a message is hidden after it was received, unless the receive says so itself: 0–43,200.
    pub visibility_s: u32,
    /// Where messages go that were received too often.
    pub redrive: Option<Redrive>,
    /// Which queues may send such messages here.
    pub redrive_allow: Allow,
    /// Only for FIFO queues, and for all of them.
    pub fifo: Option<Fifo>,
    /// Who may do what: kept as it was given.
    pub policy: Option<String>,
}

impl Default for QueueSettings {
    /// Those of [AWS](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html).
    fn default() -> Self {
        Self {
            delay_s: 0,
            message_bytes_max: 1_048_576,
            retention_s: 345_600,
            wait_s: 0,
            visibility_s: 30,
            redrive: None,
            redrive_allow: Allow::All,
            fifo: None,
            policy: None,
        }
    }
}

/// Where messages go that were received too often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redrive {
    /// The dead-letter queue; it need not exist any more.
    pub target: QueueName,
    /// How often a message is received before it goes there: 1–1,000.
    pub receives_max: u32,
}

/// Which queues may name this one as their dead-letter queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Allow {
    /// Every one.
    #[default]
    All,
    /// None.
    None,
    /// These: at most ten.
    By(Vec<QueueName>),
}

/// What is peculiar to a FIFO queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fifo {
    /// A message without a deduplication id gets the hash of its body.
    pub content_deduplication: bool,
    /// Among which messages a deduplication id tells the same.
    pub scope: Scope,
    /// What the rate is counted for.
    pub limit: ThroughputLimit,
}

/// Among which messages a deduplication id tells the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All of the queue.
    #[default]
    Queue,
    /// Those of the same group.
    Group,
}

/// What a FIFO queue's rate is counted for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThroughputLimit {
    /// The whole queue.
    #[default]
    Queue,
    /// Each group: needs [`Scope::Group`].
    Group,
}
