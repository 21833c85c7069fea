//! What is asked of queues, wherever their partitions are.

use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use crate::service::queue::{
    Counts, Definition, NewMessage, QueueId, QueueName, Receipt, ReceiptError, Receive, ReceiveError,
    Received, SendError, Sent,
};

impl Core {
    /// The queue of this name.
    pub fn queue_named(&self, name: &QueueName) -> Option<Arc<Definition>> {
        self.queues.named(name)
    }

    /// The queue of this id.
    pub fn queue_of(&self, id: QueueId) -> Option<Arc<Definition>> {
        self.queues.get(id)
    }

    /// Up to `limit` queues whose names begin with `prefix`, in order of their names, after `after`, and whether there are more.
    pub fn list_queues(
        &self,
        prefix: &str,
        after: Option<&QueueName>,
        limit: usize,
    ) -> (Vec<Arc<Definition>>, bool) {
        self.queues.list(prefix, after, limit)
    }

    /// Sends messages; each is durable when it is answered, in their order.
    pub async fn send_messages(
        &self,
        queue: QueueId,
        messages: Vec<NewMessage>,
    ) -> Vec<Result<Sent, SendError>> {
        messages.iter().map(|_| Err(SendError::UnknownQueue { queue })).collect()
    }

    /// Receives messages, which are hidden from others then.
    pub async fn receive_messages(&self, receive: Receive) -> Result<Vec<Received>, ReceiveError> {
        Err(ReceiveError::UnknownQueue { queue: receive.queue })
    }

    /// Deletes messages for ever.
    pub async fn delete_messages(
        &self,
        queue: QueueId,
        receipts: Vec<Receipt>,
    ) -> Vec<Result<(), ReceiptError>> {
        receipts.iter().map(|_| Err(ReceiptError::UnknownQueue { queue })).collect()
    }

    /// Hides messages for so long from now on; no time at all brings them back at once.
    pub async fn change_visibility(
        &self,
        queue: QueueId,
        changes: Vec<(Receipt, Duration)>,
    ) -> Vec<Result<(), ReceiptError>> {
        changes.iter().map(|_| Err(ReceiptError::UnknownQueue { queue })).collect()
    }

    /// Deletes every message that was sent before.
    pub async fn purge_queue(&self, queue: QueueId) -> Result<(), ReceiptError> {
        Err(ReceiptError::UnknownQueue { queue })
    }

    /// How many messages there are.
    pub async fn count_messages(&self, queue: QueueId) -> Result<Counts, ReceiptError> {
        Err(ReceiptError::UnknownQueue { queue })
    }
}
