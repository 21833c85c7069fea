//! What can go wrong with queues, one enum per operation.

use std::fmt;

use thiserror::Error;

use super::error::{StoreError, TagsError};
use super::queue_rules::{ALLOWED_MAX, QUEUE_POLICY_BYTES_MAX};
use crate::service::queue_definition::{QueueId, QueueName};

/// What can be said of a queue when it is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueAttribute {
    /// How long a message is hidden after it was sent.
    Delay,
    /// Bytes of a message.
    MessageBytesMax,
    /// How long a message is kept.
    Retention,
    /// How long a receive waits.
    Wait,
    /// How long a message is hidden after it was received.
    Visibility,
    /// Where messages go that were received too often, and after how many times.
    Redrive,
    /// Which queues may send such messages here.
    RedriveAllow,
    /// Whether a message without a deduplication id gets the hash of its body.
    ContentDeduplication,
    /// Among which messages a deduplication id tells the same.
    Scope,
    /// What the rate is counted for.
    Limit,
    /// Who may do what.
    Policy,
    /// What its owners say about it.
    Tags,
}

impl fmt::Display for QueueAttribute {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Delay => "delay_s",
            Self::MessageBytesMax => "message_bytes_max",
            Self::Retention => "retention_s",
            Self::Wait => "wait_s",
            Self::Visibility => "visibility_s",
            Self::Redrive => "redrive",
            Self::RedriveAllow => "redrive_allow",
            Self::ContentDeduplication => "content_deduplication",
            Self::Scope => "scope",
            Self::Limit => "limit",
            Self::Policy => "policy",
            Self::Tags => "tags",
        })
    }
}

/// Settings that a queue cannot have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QueueSettingsError {
    /// A number is out of its range.
    #[error("{attribute} = {value} is out of range: expected {min} to {max}")]
    OutOfRange {
        /// Of what.
        attribute: QueueAttribute,
        /// What was asked for.
        value: u32,
        /// Least value.
        min: u32,
        /// Greatest value.
        max: u32,
    },
    /// It is for FIFO queues alone.
    #[error("{attribute} is for FIFO queues, and the name of {name} does not end in .fifo")]
    NotFifo {
        /// What was asked for.
        attribute: QueueAttribute,
        /// The queue.
        name: QueueName,
    },
    /// Its messages are divided among partitions by their groups, so nothing tells whether one of another group was sent before.
    #[error(
        "the queue has {partitions} partitions, so the scope of its deduplication stays the message group: create another queue"
    )]
    ScopeOfPartitions {
        /// How many.
        partitions: usize,
    },
    /// A rate that is counted for each group needs a deduplication for each group.
    #[error("a limit for each message group needs the scope of deduplication to be the message group")]
    LimitBeyondScope,
    /// Too many queues are to send their dead letters here.
    #[error("redrive_allow names {found} queues, the limit is {ALLOWED_MAX}")]
    TooManyAllowed {
        /// How many.
        found: usize,
    },
    /// The policy is too long to be kept.
    #[error("the policy has {found} bytes, the limit is {QUEUE_POLICY_BYTES_MAX}")]
    PolicyTooLong {
        /// Its bytes.
        found: usize,
    },
    /// The dead-letter queue is not there.
    #[error("dead-letter queue {target} does not exist")]
    NoTarget {
        /// Its name.
        target: QueueName,
    },
    /// A queue does not send its dead letters to itself.
    #[error("queue {target} cannot be its own dead-letter queue")]
    OwnTarget {
        /// Its name.
        target: QueueName,
    },
    /// The dead-letter queue of a FIFO queue is a FIFO queue, that of another is not.
    #[error("dead-letter queue {target} is not of the same kind: both are FIFO queues or neither is")]
    OtherKind {
        /// Its name.
        target: QueueName,
    },
    /// The dead-letter queue does not take messages of this queue.
    #[error("dead-letter queue {target} does not allow {name} to send to it")]
    NotAllowed {
        /// Its name.
        target: QueueName,
        /// The queue that would send.
        name: QueueName,
    },
}

/// Why a queue was not created.
#[derive(Debug, Error)]
pub enum CreateQueueError {
    /// The name is taken by a queue that is not as this one was to be.
    #[error("queue {name} exists already, with another {differs}")]
    Exists {
        /// The name.
        name: QueueName,
        /// The first thing that is not the same.
        differs: QueueAttribute,
    },
    /// A queue of this name was deleted a moment ago, and others may not know yet.
    #[error("queue {name} was deleted a moment ago; its name is free in {seconds} s")]
    DeletedRecently {
        /// The name.
        name: QueueName,
        /// Seconds until it is free, at least 1.
        seconds: u64,
    },
    /// There are as many queues as there may be.
    #[error("there are {limit} queues, which is the limit")]
    TooManyQueues {
        /// The most there may be.
        limit: u32,
    },
    /// A queue cannot have these settings.
    #[error(transparent)]
    Settings(#[from] QueueSettingsError),
    /// Its tags cannot be kept.
    #[error(transparent)]
    Tags(#[from] TagsError),
    /// The change could not be made durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a queue was not changed.
#[derive(Debug, Error)]
pub enum UpdateQueueError {
    /// There is no such queue any more.
    #[error("queue {queue} does not exist")]
    Unknown {
        /// The id.
        queue: QueueId,
    },
    /// The queue cannot have these settings.
    #[error(transparent)]
    Settings(#[from] QueueSettingsError),
    /// The change could not be made durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a queue's tags were not changed.
#[derive(Debug, Error)]
pub enum TagQueueError {
    /// There is no such queue any more.
    #[error("queue {queue} does not exist")]
    Unknown {
        /// The id.
        queue: QueueId,
    },
    /// They cannot be kept.
    #[error(transparent)]
    Tags(#[from] TagsError),
    /// The change could not be made durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a queue was not deleted.
#[derive(Debug, Error)]
pub enum DeleteQueueError {
    /// There is no such queue any more.
    #[error("queue {queue} does not exist")]
    Unknown {
        /// The id.
        queue: QueueId,
    },
    /// The change could not be made durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}
