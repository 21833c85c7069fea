//! What is asked of queues, wherever their partitions are.
//!
//! Owns the way to partitions: a standard queue takes messages in the sender's core and gives those of the receiver's core first, then those of others; a FIFO queue's
//! group is in one partition. Leaves out what partitions decide.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::or;
use futures_util::future::join_all;
use tidemill_wire::Timestamp;

use super::core::Core;
use super::env::CoreEnv;
use super::errand::Effort;
use crate::service::queue::{
    Batch, Counts, Definition, LocalPartition, Message, MessageId, NewMessage, QueueId, QueueName, Receipt,
    ReceiptError, Receive, ReceiveError, Received, SendError, Sent, Want, partition_of,
};

/// Of so many receives one begins at another partition than this core's own.
const FOREIGN_TURN: usize = 16;

/// A partition of a queue on one of the server's cores.
type Partition = LocalPartition<CoreEnv>;
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
        self: &Rc<Self>,
        queue: QueueId,
        messages: Vec<NewMessage>,
    ) -> Vec<Result<Sent, SendError>> {
        let message = |content| Message {
            id: MessageId(
                (u128::from(self.random_u64()) << 64 | u128::from(self.random_u64())).to_be_bytes(),
            ),
            sent: Timestamp(0),
            dead_letter_source: None,
            content,
        };
        let messages = messages.into_iter().map(message).collect();
        self.put_messages(queue, messages).await
    }

    /// The same with messages that are as they are to be.
    async fn put_messages(
        self: &Rc<Self>,
        queue: QueueId,
        messages: Vec<Message>,
    ) -> Vec<Result<Sent, SendError>> {
        let count = messages.len();
        let Some(definition) = self.queue_of(queue) else {
            return vec![Err(SendError::UnknownQueue { queue }); count];
        };
        if !definition.is_fifo() {
            let own = self.own_partition(&definition, self.queues.turn());
            return self.send_at(&definition, own, messages).await;
        }
        let mut parts: Vec<(u16, Vec<(usize, Message)>)> = Vec::new();
        for (position, message) in messages.into_iter().enumerate() {
            let group = message.content.group.as_deref().unwrap_or_default();
            let index = partition_of(group, definition.partitions.len());
            match parts.iter_mut().find(|(known, _)| *known == index) {
                Some((_, part)) => part.push((position, message)),
                None => parts.push((index, vec![(position, message)])),
            }
        }
        let mut outcomes = vec![Err(SendError::Closing); count];
        let sends = parts.into_iter().map(|(index, part)| {
            let (positions, messages): (Vec<usize>, Vec<Message>) = part.into_iter().unzip();
            let sent = self.send_at(&definition, index, messages);
            async move { (positions, sent.await) }
        });
        for (positions, sent) in join_all(sends).await {
            for (position, outcome) in positions.into_iter().zip(sent) {
                outcomes[position] = outcome;
            }
        }
        outcomes
    }

    async fn send_at(
        self: &Rc<Self>,
        definition: &Definition,
        index: u16,
        messages: Vec<Message>,
    ) -> Vec<Result<Sent, SendError>> {
        let (queue, count) = (definition.id, messages.len());
        let lane = definition.partitions[usize::from(index)].lane;
        let send = move |core: Rc<Self>| async move {
            match core.queues.partition(queue, index) {
                Some(partition) => partition.send(messages).await,
                None => vec![Err(SendError::UnknownQueue { queue }); count],
            }
        };
        self.run_at(lane, Effort::Work, send).await.unwrap_or_else(|| vec![Err(SendError::Closing); count])
    }

    /// The partition that takes what is sent on this core: one of its own, in turn, if it has any.
    fn own_partition(&self, definition: &Definition, turn: usize) -> u16 {
        let own = || {
            let places = definition.partitions.iter().zip(0_u16..);
            places.filter(|(place, _)| self.queues.holds(place.lane)).map(|(_, index)| index)
        };
        let nth = turn.checked_rem(own().count()).and_then(|nth| own().nth(nth));
        nth.unwrap_or_else(|| u16::try_from(turn % definition.partitions.len().max(1)).unwrap_or(0))
    }

    /// Receives messages, which are hidden from others then.
    pub async fn receive_messages(self: &Rc<Self>, receive: Receive) -> Result<Vec<Received>, ReceiveError> {
        self.receive_messages_until(receive, std::future::pending()).await
    }

    /// The same; a wait for messages ends when whoever waits is `gone`, and what is being received then is returned all the same.
    pub async fn receive_messages_until(
        self: &Rc<Self>,
        receive: Receive,
        gone: impl Future<Output = ()>,
    ) -> Result<Vec<Received>, ReceiveError> {
        let mut gone = std::pin::pin!(gone);
        let queue = receive.queue;
        let arrival = self.monotonic();
        let deadline = arrival.saturating_add(receive.wait);
        let mut waiting = None;
        loop {
            let definition = self.queue_of(queue).ok_or(ReceiveError::UnknownQueue { queue })?;
            let received = self.receive_now(&definition, &receive).await?;
            let left = deadline.saturating_sub(self.monotonic());
            if !received.is_empty() || left.is_zero() || self.stopping.has_happened() {
                return Ok(received);
            }
            if waiting.is_none() {
                waiting = Some(self.queues.begin_to_wait()?);
            }
            let is_told = async {
                self.wait_for_messages(&definition, arrival, left).await;
                true
            };
            let is_gone = async {
                gone.as_mut().await;
                false
            };
            if !or(is_told, is_gone).await {
                return Ok(Vec::new());
            }
        }
    }

    /// Looks at each partition, this core's own first, until one gives something.
    async fn receive_now(
        self: &Rc<Self>,
        definition: &Definition,
        receive: &Receive,
    ) -> Result<Vec<Received>, ReceiveError> {
        let redrive = definition.settings.redrive.as_ref();
        let want = Want {
            messages_max: receive.messages_max as usize,
            visibility: receive
                .visibility
                .unwrap_or_else(|| Duration::from_secs(u64::from(definition.settings.visibility_s))),
            attempt: receive.attempt.clone().filter(|_| definition.is_fifo()),
            receives_max: redrive
                .filter(|to| self.queue_named(&to.target).is_some())
                .map(|to| to.receives_max),
        };
        let (count, turn) = (definition.partitions.len(), self.queues.turn());
        let first = match &want.attempt {
            Some(attempt) => usize::from(partition_of(attempt, count)),
            // Others are not forgotten, however much there is in this core's own.
            None if turn.is_multiple_of(FOREIGN_TURN) => turn / FOREIGN_TURN % count.max(1),
            None => usize::from(self.own_partition(definition, turn)),
        };
        let order = (first..count).chain(0..first);
        let order = order.map(|index| u16::try_from(index).expect("partitions are counted in 16 bits"));
        if want.attempt.is_some() && count > 1 {
            // Whichever of them has served the attempt before.
            for index in order.clone() {
                let again = self.receive_at(definition, index, want.clone(), true).await?;
                if !again.is_empty() {
                    return Ok(again);
                }
            }
        }
        let mut refused = None;
        for index in order {
            match self.receive_at(definition, index, want.clone(), false).await {
                Ok(received) if received.is_empty() => {}
                Err(error @ ReceiveError::OverLimit { .. }) => refused = Some(error),
                outcome => return outcome,
            }
        }
        // Whoever waits is served when fewer are in flight.
        refused.filter(|_| receive.wait.is_zero()).map_or(Ok(Vec::new()), Err)
    }

    async fn receive_at(
        self: &Rc<Self>,
        definition: &Definition,
        index: u16,
        want: Want,
        is_again: bool,
    ) -> Result<Vec<Received>, ReceiveError> {
        let queue = definition.id;
        let receive = move |core: Rc<Self>| async move {
            let partition = core.queues.partition(queue, index);
            let partition = partition.ok_or(ReceiveError::UnknownQueue { queue })?;
            let batch = match is_again {
                true => partition.receive_again(&want).await?,
                false => partition.receive(&want).await?,
            };
            let Batch { received, moving } = batch;
            if !moving.is_empty() {
                core.spawn(Rc::clone(&core).move_messages(queue, index, moving));
            }
            Ok(received)
        };
        let lane = definition.partitions[usize::from(index)].lane;
        self.run_at(lane, Effort::Work, receive).await.unwrap_or(Err(ReceiveError::Closing))
    }

    /// Waits until a receive is worth another try, or for so long.
    async fn wait_for_messages(self: &Rc<Self>, definition: &Definition, arrival: Duration, left: Duration) {
        let queue = definition.id;
        let lanes = (0_u16..).zip(definition.partitions.iter().map(|place| place.lane));
        let wait = move |core: Rc<Self>, index| async move {
            if let Some(partition) = core.queues.partition(queue, index) {
                // An end tells that the queue was deleted: another try finds out.
                let _ = partition.wait(arrival).await;
            }
        };
        self.wait_at(lanes, left, wait).await;
    }

    /// Moves messages that were received too often: each is in the dead-letter queue before it is gone from here. One that cannot be moved comes back in its time.
    async fn move_messages(self: Rc<Self>, queue: QueueId, index: u16, moving: Vec<(u64, Message)>) {
        let Some(definition) = self.queue_of(queue) else { return };
        let target = definition.settings.redrive.as_ref().and_then(|to| self.queue_named(&to.target));
        let (Some(target), Some(partition)) = (target, self.queues.partition(queue, index)) else { return };
        for (number, mut message) in moving {
            message.dead_letter_source = Some(definition.name.as_str().to_owned());
            message.content.delay_s = (!target.is_fifo()).then_some(0);
            if target.is_fifo() {
                message.sent = Timestamp(0);
            }
            let put = self.put_messages(target.id, vec![message]).await.pop();
            if let Some(Err(error)) = put {
                tracing::warn!(queue = %definition.name, to = %target.name, %error, "a message stays where it is");
            } else if let Err(error) = partition.remove(vec![number]).await {
                tracing::warn!(queue = %definition.name, %error, "a message that was moved may be moved again");
            }
        }
    }

    /// Deletes messages for ever.
    pub async fn delete_messages(
        self: &Rc<Self>,
        queue: QueueId,
        receipts: Vec<Receipt>,
    ) -> Vec<Result<(), ReceiptError>> {
        let items = receipts.into_iter().map(|receipt| (receipt, ())).collect();
        self.settle(queue, items, |partition, named| async move {
            let names: Vec<_> = named.into_iter().map(|(name, ())| name).collect();
            partition.delete(&names).await
        })
        .await
    }

    /// Hides messages for so long from now on; no time at all brings them back at once.
    pub async fn change_visibility(
        self: &Rc<Self>,
        queue: QueueId,
        changes: Vec<(Receipt, Duration)>,
    ) -> Vec<Result<(), ReceiptError>> {
        self.settle(queue, changes, |partition, named| async move { partition.hide(&named).await }).await
    }

    /// Takes each receipt, with what belongs to it, to its partition.
    async fn settle<T, F>(
        self: &Rc<Self>,
        queue: QueueId,
        items: Vec<(Receipt, T)>,
        run: impl Fn(Rc<Partition>, Vec<((u64, u32), T)>) -> F + Clone + Send + 'static,
    ) -> Vec<Result<(), ReceiptError>>
    where
        T: Send + 'static,
        F: Future<Output = Vec<Result<(), ReceiptError>>> + 'static,
    {
        let count = items.len();
        let Some(definition) = self.queue_of(queue) else {
            return vec![Err(ReceiptError::UnknownQueue { queue }); count];
        };
        let items = items.into_iter().map(|(receipt, item)| {
            let is_ours = receipt.queue == queue;
            (is_ours.then_some(receipt.partition), ((receipt.sequence, receipt.receives), item))
        });
        let lane_of =
            |index: u16| definition.partitions.get(usize::from(index)).map(|partition| partition.lane);
        self.settle_at(items.collect(), lane_of, move |core, index, items| {
            let (run, count) = (run.clone(), items.len());
            async move {
                match core.queues.partition(queue, index) {
                    Some(partition) => run(partition, items).await,
                    None => vec![Err(ReceiptError::UnknownQueue { queue }); count],
                }
            }
        })
        .await
    }

    /// Deletes every message that was sent before.
    pub async fn purge_queue(self: &Rc<Self>, queue: QueueId) -> Result<(), ReceiptError> {
        let purge = |partition: Rc<Partition>| async move { partition.purge().await };
        self.at_each(queue, purge).await.map(drop)
    }

    /// How many messages there are.
    pub async fn count_messages(self: &Rc<Self>, queue: QueueId) -> Result<Counts, ReceiptError> {
        let count = |partition: Rc<Partition>| async move { Ok(partition.count().await?) };
        let mut sum = Counts::default();
        for counts in self.at_each(queue, count).await? {
            sum.visible += counts.visible;
            sum.in_flight += counts.in_flight;
            sum.delayed += counts.delayed;
            sum.oldest = [sum.oldest, counts.oldest].into_iter().flatten().min();
        }
        Ok(sum)
    }

    /// Does the same at each partition of a queue.
    async fn at_each<T, F>(
        self: &Rc<Self>,
        queue: QueueId,
        run: impl Fn(Rc<Partition>) -> F + Clone + Send + 'static,
    ) -> Result<Vec<T>, ReceiptError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ReceiptError>> + 'static,
    {
        let definition = self.queue_of(queue).ok_or(ReceiptError::UnknownQueue { queue })?;
        let each = definition.partitions.iter().zip(0_u16..).map(|(place, index)| {
            let run = run.clone();
            let there = move |core: Rc<Self>| async move {
                let partition = core.queues.partition(queue, index);
                run(partition.ok_or(ReceiptError::UnknownQueue { queue })?).await
            };
            self.run_at(place.lane, Effort::Work, there)
        });
        let done = join_all(each).await;
        done.into_iter().map(|done| done.unwrap_or(Err(ReceiptError::Closing))).collect()
    }
}
