//! A task at work that moves messages of a dead-letter queue.
//!
//! It runs on the core that was asked. A message is sent to its new queue, durably, before it is deleted from the old one, so a crash between
//! the two leaves it in both and loses none. Tasks are in memory: one that runs when the server ends is begun anew by whoever wants it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::or;

use super::core::Core;
use super::executor::{sleep, yield_if_needed};
use crate::service::queue::{
    Definition, MoveError, MoveRefused, MoveStatus, MoveTarget, MoveTask, NewMessage, QueueId, QueueName,
    ReceiptError, Receive, Received, SendError,
};

/// Messages that a task moves at a time.
const MOVE_MESSAGES: u32 = 10;
/// How long a message that is being moved is hidden from others: longer than a move takes by far.
const MOVE_VISIBILITY: Duration = Duration::from_secs(60);
/// Queues that are looked at at a time.
const LIST_QUEUES: usize = 1_000;

/// Why no move was begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoveStartError {
    /// No queue sends its dead letters to it.
    #[error("no queue sends its dead letters to queue {name}")]
    NoDeadLetterQueue {
        /// The queue.
        name: QueueName,
    },
    /// The target is the queue itself, or not of its kind.
    #[error("messages cannot be moved to queue {name}: it has to be another one of the same kind")]
    Target {
        /// The target.
        name: QueueName,
    },
    /// The queue's messages are being moved already.
    #[error("messages of the queue are being moved already")]
    Running,
    /// There are as many moves as may be.
    #[error("too many moves run")]
    TooMany,
    /// The queue cannot be counted.
    #[error(transparent)]
    Count(#[from] ReceiptError),
}

/// Moves messages.
struct Mover {
    core: Rc<Core>,
    source: QueueId,
    number: u64,
    target: MoveTarget,
    /// Messages a second.
    rate: Option<u32>,
}

impl Core {
    /// Up to `limit` queues that send their dead letters to one, in order of their names, after `after`, and whether there are more.
    pub async fn dead_letter_sources(
        &self,
        target: &QueueName,
        mut after: Option<QueueName>,
        limit: usize,
    ) -> (Vec<Arc<Definition>>, bool) {
        let mut found = Vec::new();
        loop {
            let (queues, more) = self.list_queues("", after.as_ref(), LIST_QUEUES);
            after = queues.last().map(|queue| queue.name.clone());
            for queue in queues {
                let is_source =
                    queue.settings.redrive.as_ref().is_some_and(|redrive| redrive.target == *target);
                if is_source && found.len() == limit {
                    return (found, true);
                }
                found.extend(is_source.then_some(queue));
            }
            if !more {
                return (found, false);
            }
            yield_if_needed().await;
        }
    }

    /// Begins to move the messages of a dead-letter queue, at most so many each second.
    pub async fn start_move(
        self: &Rc<Self>,
        source: &Definition,
        target: Option<&Definition>,
        rate: Option<u32>,
    ) -> Result<MoveTask, MoveStartError> {
        let kept = match target {
            Some(target) if target.id == source.id || target.is_fifo() != source.is_fifo() => {
                return Err(MoveStartError::Target { name: target.name.clone() });
            }
            Some(target) => MoveTarget::Queue(target.name.clone()),
            None => MoveTarget::Sources,
        };
        if self.dead_letter_sources(&source.name, None, 1).await.0.is_empty() {
            return Err(MoveStartError::NoDeadLetterQueue { name: source.name.clone() });
        }
        let counted = self.count_messages(source.id).await?;
        let task = MoveTask::new(kept.clone(), rate, counted.visible, self.now());
        let is_known = |queue| self.queue_of(queue).is_some();
        let begun = self.chores.begin_task(source.id, task.clone(), is_known);
        let number = begun.map_err(|refused| match refused {
            MoveRefused::Running => MoveStartError::Running,
            MoveRefused::TooMany => MoveStartError::TooMany,
        })?;
        let mover = Mover { core: Rc::clone(self), source: source.id, number, target: kept, rate };
        self.spawn(mover.run());
        Ok(MoveTask { number, ..task })
    }
}

impl Mover {
    /// Runs until nothing is left, it is cancelled, it cannot go on, or the server goes down.
    async fn run(self) {
        let guest = self.core.welcome();
        let stopping = async {
            self.core.stopping().wait().await;
            MoveStatus::Cancelled
        };
        let ended = or(stopping, self.move_all()).await;
        self.core.chores.with_task(self.source, self.number, |task| task.status = ended);
        drop(guest);
    }

    async fn move_all(&self) -> MoveStatus {
        loop {
            if self.is_cancelled() {
                return MoveStatus::Cancelled;
            }
            let began = self.core.monotonic();
            let moved = match self.move_some().await {
                Ok(0) => return MoveStatus::Completed,
                Ok(moved) => moved,
                Err(failure) => return MoveStatus::Failed(failure),
            };
            if let Some(rate) = self.rate {
                let time = Duration::from_secs(1) * moved / rate.max(1);
                let taken = self.core.monotonic().saturating_sub(began);
                sleep(time.saturating_sub(taken)).await;
            }
        }
    }

    fn is_cancelled(&self) -> bool {
        let status = self.core.chores.with_task(self.source, self.number, |task| task.status.clone());
        status != Some(MoveStatus::Running)
    }

    /// Moves some messages, and returns how many; none if there are none.
    async fn move_some(&self) -> Result<u32, MoveError> {
        let receive = Receive {
            queue: self.source,
            messages_max: self.rate.unwrap_or(MOVE_MESSAGES).min(MOVE_MESSAGES),
            visibility: Some(MOVE_VISIBILITY),
            wait: Duration::ZERO,
            attempt: None,
        };
        let received = self.core.receive_messages(receive).await?;
        let mut moved = 0;
        let mut messages = received.into_iter();
        for received in messages.by_ref() {
            if let Err(failure) = self.move_one(&received).await {
                // Those that are not moved are there for others at once.
                let left = [received].into_iter().chain(messages).map(|left| (left.receipt, Duration::ZERO));
                self.core.change_visibility(self.source, left.collect()).await;
                return Err(failure);
            }
            self.core.chores.with_task(self.source, self.number, |task| task.moved += 1);
            moved += 1;
        }
        Ok(moved)
    }

    async fn move_one(&self, received: &Received) -> Result<(), MoveError> {
        let target = self.target_of(received)?;
        let message = moved_message(received);
        let sent = self.core.send_messages(target, vec![message]).await.into_iter().next();
        sent.unwrap_or(Err(SendError::Closing))?;
        let deleted = self.core.delete_messages(self.source, vec![received.receipt]).await;
        match deleted.into_iter().next() {
            Some(Err(error)) => Err(error.into()),
            Some(Ok(())) | None => Ok(()),
        }
    }

    fn target_of(&self, received: &Received) -> Result<QueueId, MoveError> {
        let of_message = received.message.dead_letter_source.as_deref();
        let name = match &self.target {
            MoveTarget::Queue(name) => name.clone(),
            MoveTarget::Sources => {
                of_message.and_then(|name| QueueName::new(name).ok()).ok_or(MoveError::NoSource)?
            }
        };
        self.core.queue_named(&name).map(|queue| queue.id).ok_or(MoveError::NoTarget { name })
    }
}

/// The message as it is sent again. Its deduplication id is one of its own: with that of its sender the queue that it comes back to might take it for
/// the one that it has had already, and it would be lost.
fn moved_message(received: &Received) -> NewMessage {
    let content = &received.message.content;
    let own = || format!("{:032x}-{}", u128::from_be_bytes(received.message.id.0), received.sequence);
    NewMessage {
        delay_s: None,
        deduplication: content.deduplication.as_ref().map(|_| own()),
        ..content.clone()
    }
}
