//! Queues as such: what can be chosen for them, how one is described, and the requests that make, change and end them.

mod decode;
mod encode;

pub(super) use self::encode::{encode_delete, encode_describe, encode_list};
use crate::ids::{LaneId, QueueId, QueueName, Timestamp};

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

impl QueueSettings {
    /// What a queue of this name has of which nothing was said.
    #[must_use]
    pub fn default_of(name: &QueueName) -> Self {
        Self { fifo: name.is_fifo().then(Fifo::default), ..Self::default() }
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

/// What of a queue's settings is said; what is not said stays as it is, and is the default for a new queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueChange {
    /// How long a message is hidden after it was sent.
    pub delay_s: Option<u32>,
    /// Bytes of a message.
    pub message_bytes_max: Option<u32>,
    /// How long a message is kept.
    pub retention_s: Option<u32>,
    /// How long a receive waits.
    pub wait_s: Option<u32>,
    /// How long a message is hidden after it was received.
    pub visibility_s: Option<u32>,
    /// Where messages go that were received too often; `Some(None)` leaves them where they are.
    pub redrive: Option<Option<Redrive>>,
    /// Which queues may send such messages here.
    pub redrive_allow: Option<Allow>,
    /// Of a FIFO queue: a message without a deduplication id gets the hash of its body.
    pub content_deduplication: Option<bool>,
    /// Of a FIFO queue: among which messages a deduplication id tells the same.
    pub scope: Option<Scope>,
    /// Of a FIFO queue: what the rate is counted for. The partitions stay as they were made.
    pub limit: Option<ThroughputLimit>,
    /// Who may do what; `Some(None)` takes the policy there is.
    pub policy: Option<Option<String>>,
}

impl QueueChange {
    /// All of a queue's settings, said.
    #[must_use]
    pub fn of(settings: QueueSettings) -> Self {
        let fifo = settings.fifo;
        Self {
            delay_s: Some(settings.delay_s),
            message_bytes_max: Some(settings.message_bytes_max),
            retention_s: Some(settings.retention_s),
            wait_s: Some(settings.wait_s),
            visibility_s: Some(settings.visibility_s),
            redrive: Some(settings.redrive),
            redrive_allow: Some(settings.redrive_allow),
            content_deduplication: fifo.map(|fifo| fifo.content_deduplication),
            scope: fifo.map(|fifo| fifo.scope),
            limit: fifo.map(|fifo| fifo.limit),
            policy: Some(settings.policy),
        }
    }

    /// Changes settings as is said. What is said of FIFO queues is for them alone.
    pub fn apply(self, settings: &mut QueueSettings) {
        set(&mut settings.delay_s, self.delay_s);
        set(&mut settings.message_bytes_max, self.message_bytes_max);
        set(&mut settings.retention_s, self.retention_s);
        set(&mut settings.wait_s, self.wait_s);
        set(&mut settings.visibility_s, self.visibility_s);
        set(&mut settings.redrive, self.redrive);
        set(&mut settings.redrive_allow, self.redrive_allow);
        set(&mut settings.policy, self.policy);
        if let Some(fifo) = &mut settings.fifo {
            set(&mut fifo.content_deduplication, self.content_deduplication);
            set(&mut fifo.scope, self.scope);
            set(&mut fifo.limit, self.limit);
        }
    }
}

fn set<T>(setting: &mut T, said: Option<T>) {
    if let Some(said) = said {
        *setting = said;
    }
}

/// Creates a queue: a FIFO queue if its name ends in `.fifo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateQueue {
    /// Its name.
    pub name: QueueName,
    /// What is not to be the default.
    pub settings: QueueChange,
}

/// Changes a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateQueue {
    /// Its name.
    pub name: QueueName,
    /// What is to change.
    pub settings: QueueChange,
}

/// Lists queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListQueues {
    /// Those whose names begin so; cut at [`QUEUE_NAME_BYTES_MAX`](crate::limits::QUEUE_NAME_BYTES_MAX).
    pub prefix: String,
    /// Begin after this name.
    pub after: Option<QueueName>,
    /// At most so many.
    pub limit: u32,
}

/// A queue as it is now, without what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueDescription {
    /// Never reused.
    pub id: QueueId,
    /// Its name.
    pub name: QueueName,
    /// When it was created.
    pub created: Timestamp,
    /// When its settings were changed last.
    pub modified: Timestamp,
    /// How it works.
    pub settings: QueueSettings,
    /// The lane of each partition.
    pub lanes: Vec<LaneId>,
}

/// A queue in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSummary {
    /// Never reused.
    pub id: QueueId,
    /// Its name.
    pub name: QueueName,
    /// When it was created.
    pub created: Timestamp,
    /// How many partitions it has.
    pub partitions: u32,
}

#[cfg(test)]
pub(super) mod tests;
