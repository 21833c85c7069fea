//! Messages that the server pushes, as many as may be in hand.

use std::collections::VecDeque;
use std::time::Duration;

use tidemill_wire::limits::QUEUE_BATCH_MESSAGES_MAX;
use tidemill_wire::message::{Consume, Failure, MessageReceipt, RefusedItem, ResponseBody};

use super::{Queue, Received, seconds};
use crate::ClientError;
use crate::connection::Subscription;
use crate::retry::Retry;

/// Fewer than pushes may wait for a caller, each of which may have one message.
const CREDIT_MAX: u32 = 1 << 15;

/// How messages are pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumeOptions {
    /// Messages that may be in hand: pushed, and not given back by [`QueueConsumer::delete`] or [`QueueConsumer::release`]. 1 to 32,768. Default 100.
    pub credit: u32,
    /// So many in one push at most, 1 to 1,000. Default 10.
    pub messages_max: u32,
    /// How long they are hidden from others, in whole seconds, up to 12 hours. Default: what the queue says.
    pub visibility: Option<Duration>,
}

impl Default for ConsumeOptions {
    fn default() -> Self {
        Self { credit: 100, messages_max: 10, visibility: None }
    }
}

/// A consumer of a queue. Dropped, it ends; what it has in hand and has not deleted comes back when its visibility is over.
///
/// A lost connection is made again as the client's [`RetryPolicy`](crate::RetryPolicy) says. Messages that were on their way then come back, too.
#[derive(Debug)]
pub struct QueueConsumer {
    queue: Queue,
    options: ConsumeOptions,
    subscription: Option<Subscription>,
    retry: Retry,
    ready: VecDeque<Received>,
    /// Messages that callers have.
    in_hand: u32,
}

impl QueueConsumer {
    pub(super) fn new(queue: Queue, options: ConsumeOptions) -> Self {
        let options = ConsumeOptions {
            credit: options.credit.clamp(1, CREDIT_MAX),
            messages_max: options.messages_max.clamp(1, QUEUE_BATCH_MESSAGES_MAX),
            ..options
        };
        let retry = Retry::new(queue.pool.options().retry);
        Self { queue, options, subscription: None, retry, ready: VecDeque::new(), in_hand: 0 }
    }

    /// The next message, as soon as there is one; waits for ever while all credit is in hand. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Received, ClientError> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                self.in_hand += 1;
                return Ok(message);
            }
            if let Err(error) = self.take_push().await {
                self.subscription = None;
                let pause = self.retry.failed(&error, self.queue.pool.chance()).ok_or(error)?;
                tokio::time::sleep(pause).await;
            }
        }
    }

    async fn take_push(&mut self) -> Result<(), ClientError> {
        let subscription = match &mut self.subscription {
            Some(subscription) => subscription,
            None => {
                let connection = self.queue.pool.first().await?;
                let consume = Consume {
                    queue: self.queue.id(),
                    credit: self.options.credit.saturating_sub(self.in_hand),
                    messages_max: self.options.messages_max,
                    visibility_s: self.options.visibility.map(seconds),
                };
                self.subscription.insert(connection.consume(consume)?)
            }
        };
        let answer = subscription.next().await?;
        let connection = subscription.connection().clone();
        match answer.body {
            ResponseBody::SubscriptionEnded(ended) => {
                Err(ClientError::Refused(Failure::new(ended.code, ended.message)))
            }
            ResponseBody::Failed(failure) => Err(ClientError::Refused(failure)),
            _ => {
                self.ready.extend(self.queue.unpack(&connection, answer, "consume")?);
                self.retry.succeeded();
                Ok(())
            }
        }
    }

    /// Deletes messages that were in hand, and lets as many others be pushed. Tells which were refused, by index. Dropping the future leaves open whether they were deleted, and they
    /// stay in hand until they are deleted or [released](Self::release).
    pub async fn delete(&mut self, receipts: &[MessageReceipt]) -> Result<Vec<RefusedItem>, ClientError> {
        let refused = self.queue.delete(receipts).await?;
        self.release(u32::try_from(receipts.len()).unwrap_or(u32::MAX));
        Ok(refused)
    }

    /// So many messages are no longer in hand, whatever became of them: as many others may be pushed.
    pub fn release(&mut self, messages: u32) {
        let released = messages.min(self.in_hand);
        self.in_hand -= released;
        if let Some(subscription) = self.subscription.as_ref().filter(|_| released > 0) {
            subscription.grant_messages(released);
        }
    }
}
