//! A task that moves messages: what it is to do, and how far it is.

use tidemill_wire::Timestamp;

use crate::service::queue::QueueName;

/// A task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Task {
    /// Tells it from others.
    pub(super) number: u64,
    /// Where messages go.
    pub(super) target: Target,
    /// Messages a second, if not as many as can be.
    pub(super) rate: Option<u32>,
    /// Messages that there were to be moved when it began.
    pub(super) to_move: u64,
    /// Messages that were moved.
    pub(super) moved: u64,
    /// When it began.
    pub(super) started: Timestamp,
    /// What it is doing.
    pub(super) status: Status,
}

/// Where messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// All to this queue.
    Queue(QueueName),
    /// Each to the queue that it came from.
    Sources,
}

/// What a task is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It moves messages.
    Running,
    /// It moves those that it has begun with, and no others.
    Cancelling,
    /// It was told to end and has.
    Cancelled,
    /// Nothing is left to be moved.
    Completed,
    /// It cannot go on; the text is the code of an error.
    Failed(&'static str),
}

impl Task {
    /// One that begins now.
    pub(super) fn new(target: Target, rate: Option<u32>, to_move: u64, started: Timestamp) -> Self {
        Self { number: 0, target, rate, to_move, moved: 0, started, status: Status::Running }
    }
}

impl Status {
    /// As clients get it.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Cancelling => "CANCELLING",
            Self::Cancelled => "CANCELLED",
            Self::Completed => "COMPLETED",
            Self::Failed(_) => "FAILED",
        }
    }

    /// Whether it may still move messages.
    pub(super) fn is_active(&self) -> bool {
        matches!(self, Self::Running | Self::Cancelling)
    }
}
