//! A task that moves messages: what it is to do, and how far it is.

use tidemill_wire::Timestamp;

use super::definition::QueueName;
use super::operation::{ReceiptError, ReceiveError, SendError};

/// A task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Tells it from others.
    pub number: u64,
    /// Where messages go.
    pub target: Target,
    /// Messages a second, if not as many as can be.
    pub rate: Option<u32>,
    /// Messages that there were to be moved when it began.
    pub to_move: u64,
    /// Messages that were moved.
    pub moved: u64,
    /// When it began.
    pub started: Timestamp,
    /// What it is doing.
    pub status: Status,
}

/// Where messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// All to this queue.
    Queue(QueueName),
    /// Each to the queue that it came from.
    Sources,
}

/// What a task is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It moves messages.
    Running,
    /// It moves those that it has begun with, and no others.
    Cancelling,
    /// It was told to end and has.
    Cancelled,
    /// Nothing is left to be moved.
    Completed,
    /// It cannot go on.
    Failed(MoveError),
}

/// Why messages are not moved any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoveError {
    /// Messages tell nothing of where they came from.
    #[error("a message does not tell which queue it came from")]
    NoSource,
    /// The queue where one is to go is gone.
    #[error("queue {name} does not exist")]
    NoTarget {
        /// The queue.
        name: QueueName,
    },
    /// Nothing can be received.
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    /// One was not taken where it is to go.
    #[error(transparent)]
    Send(#[from] SendError),
    /// One that was sent could not be deleted where it was.
    #[error(transparent)]
    Delete(#[from] ReceiptError),
}

impl Task {
    /// One that begins now.
    pub fn new(target: Target, rate: Option<u32>, to_move: u64, started: Timestamp) -> Self {
        Self { number: 0, target, rate, to_move, moved: 0, started, status: Status::Running }
    }
}

impl Status {
    /// Whether it may still move messages.
    pub fn is_active(&self) -> bool {
        matches!(self, Self::Running | Self::Cancelling)
    }
}
