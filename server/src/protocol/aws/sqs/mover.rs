//! A task at work.

use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::or;

use super::super::Fault;
use super::super::hexadecimal::uuid;
use super::chores::Chores;
use super::error::{code_of, receipt_fault, receive_fault, send_fault};
use super::limits::{MOVE_MESSAGES, MOVE_VISIBILITY};
use super::move_task::{Status, Target};
use super::token::TaskHandle;
use crate::service::queue::{NewMessage, QueueId, QueueName, Receive, Received, SendError};
use crate::shard::{Core, sleep};

/// What a task whose messages tell nothing of where they came from fails with.
const NO_SOURCE: &str = "CouldNotDetermineMessageSource";
/// What a task fails with whose queue is gone.
const NO_QUEUE: &str = "AWS.SimpleQueueService.NonExistentQueue";

/// Moves messages.
pub(super) struct Mover {
    pub(super) core: Rc<Core>,
    pub(super) chores: Chores,
    pub(super) handle: TaskHandle,
    pub(super) target: Target,
    /// Messages a second.
    pub(super) rate: Option<u32>,
}

/// Why a task ends before everything is moved.
type Failure = &'static str;

impl Mover {
    /// Runs until nothing is left, it is cancelled, it cannot go on, or the server goes down.
    pub(super) async fn run(self) {
        let guest = self.core.welcome();
        let stopping = async {
            self.core.stopping().wait().await;
            Status::Cancelled
        };
        let ended = or(stopping, self.move_all()).await;
        self.chores.with_task(self.handle.source, self.handle.number, |task| task.status = ended);
        drop(guest);
    }

    async fn move_all(&self) -> Status {
        loop {
            if self.is_cancelled() {
                return Status::Cancelled;
            }
            let began = self.core.monotonic();
            let moved = match self.move_some().await {
                Ok(0) => return Status::Completed,
                Ok(moved) => moved,
                Err(failure) => return Status::Failed(failure),
            };
            if let Some(rate) = self.rate {
                let time = Duration::from_secs(1) * moved / rate.max(1);
                let taken = self.core.monotonic().saturating_sub(began);
                sleep(time.saturating_sub(taken)).await;
            }
        }
    }

    fn is_cancelled(&self) -> bool {
        let status =
            self.chores.with_task(self.handle.source, self.handle.number, |task| task.status.clone());
        status != Some(Status::Running)
    }

    /// Moves some messages, and returns how many; none if there are none.
    async fn move_some(&self) -> Result<u32, Failure> {
        let receive = Receive {
            queue: self.handle.source,
            messages_max: self.rate.unwrap_or(MOVE_MESSAGES).min(MOVE_MESSAGES),
            visibility: Some(MOVE_VISIBILITY),
            wait: Duration::ZERO,
            attempt: None,
        };
        let received = self.core.receive_messages(receive).await;
        let received = received.map_err(|error| failure(&receive_fault(&error)))?;
        let mut moved = 0;
        let mut messages = received.into_iter();
        for received in messages.by_ref() {
            if let Err(failure) = self.move_one(&received).await {
                // Those that are not moved are there for others at once.
                let left = [received].into_iter().chain(messages).map(|left| (left.receipt, Duration::ZERO));
                self.core.change_visibility(self.handle.source, left.collect()).await;
                return Err(failure);
            }
            self.chores.with_task(self.handle.source, self.handle.number, |task| task.moved += 1);
            moved += 1;
        }
        Ok(moved)
    }

    async fn move_one(&self, received: &Received) -> Result<(), Failure> {
        let target = self.target_of(received)?;
        let message = moved_message(received);
        let sent = self.core.send_messages(target, vec![message]).await.into_iter().next();
        let sent = sent.unwrap_or(Err(SendError::Closing));
        sent.map_err(|error| failure(&send_fault(&error)))?;
        let deleted = self.core.delete_messages(self.handle.source, vec![received.receipt]).await;
        match deleted.into_iter().next() {
            Some(Err(error)) => Err(failure(&receipt_fault(&error, ""))),
            Some(Ok(())) | None => Ok(()),
        }
    }

    fn target_of(&self, received: &Received) -> Result<QueueId, Failure> {
        let of_message = received.message.dead_letter_source.as_deref();
        let name = match &self.target {
            Target::Queue(name) => name.clone(),
            Target::Sources => of_message.and_then(|name| QueueName::new(name).ok()).ok_or(NO_SOURCE)?,
        };
        self.core.queue_named(&name).map(|queue| queue.id).ok_or(NO_QUEUE)
    }
}

/// The message as it is sent again. Its deduplication id is one of its own: with that of its sender the queue that it comes back to might take it for
/// the one that it has had already, and it would be lost.
fn moved_message(received: &Received) -> NewMessage {
    let content = &received.message.content;
    let own = || format!("{}-{}", uuid(received.message.id.0), received.sequence);
    NewMessage {
        delay_s: None,
        deduplication: content.deduplication.as_ref().map(|_| own()),
        ..content.clone()
    }
}

fn failure(fault: &Fault) -> Failure {
    code_of(fault).0
}
