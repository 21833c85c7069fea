//! What is asked of queues over streams, wherever their partitions are.
//!
//! Owns the way to partitions: a receive looks at one after the other, each time beginning with the next. Leaves out what partitions decide.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tidemill_wire::{LaneId, QueueId};

use super::core::Core;
use super::env::CoreEnv;
use super::errand::Effort;
use crate::service::queue::over_stream::{
    Named, Place, Side, Source, StreamPartition, StreamQueues, StreamReceipt, StreamReceived, Wanted,
};
use crate::service::queue::{ReceiptError, ReceiveError};
use crate::service::stream::Definition;
use crate::service::stream_queue::StreamQueue;

/// A partition of a queue on one of the server's cores.
type Partition = StreamPartition<CoreEnv>;

/// What a consumer wants of a queue over a stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamReceive {
    /// From this queue.
    pub queue: QueueId,
    /// Which of its records.
    pub side: Side,
    /// So many at most.
    pub records_max: usize,
    /// How long they are hidden from others; the queue's setting if it is not given.
    pub visibility: Option<Duration>,
    /// How long to wait for one if there is none.
    pub wait: Duration,
}

/// What all cores are told of queues over streams.
#[derive(Clone, Debug)]
pub enum StreamQueueNews {
    /// A queue is new or has changed.
    TakeIn(Arc<StreamQueue>),
    /// Every core has taken in the queue: it may be found.
    Name(QueueId),
    /// A queue was deleted.
    Forget(QueueId),
}

impl Core {
    /// The queues over streams, as this core knows them.
    pub fn stream_queues(&self) -> &StreamQueues<CoreEnv> {
        &self.stream_queues
    }

    /// Takes in news of queues over streams.
    pub(super) fn hear_of_stream_queue(&self, news: &StreamQueueNews) {
        match news {
            StreamQueueNews::TakeIn(queue) => {
                // One whose stream has gone meanwhile goes with it.
                if let Some(stream) = self.streams.get(queue.stream) {
                    self.stream_queues.take_in(queue, &Arc::new(source(stream.definition())));
                }
            }
            StreamQueueNews::Name(queue) => self.stream_queues.name(*queue),
            StreamQueueNews::Forget(queue) => self.stream_queues.forget(*queue),
        }
    }

    /// Has a new queue begin where its stream is now. Where that fails it begins with what has arrived since it was created.
    pub async fn begin_stream_queue(self: &Rc<Self>, queue: &StreamQueue) {
        let id = queue.id;
        let begun = lanes(queue).map(|(index, lane)| {
            let begin = move |core: Rc<Self>| async move {
                match core.stream_queues.partition(id, index) {
                    Some(partition) => partition.begin().await,
                    None => Err(ReceiveError::UnknownQueue { queue: id }),
                }
            };
            self.run_at(lane, Effort::Work, begin)
        });
        for begun in join_all(begun).await.into_iter().flatten() {
            if let Err(error) = begun {
                tracing::warn!(queue = %queue.name, %error, "a queue begins with what has arrived since it was created");
            }
        }
    }

    /// Receives records, which are hidden from others then.
    pub async fn receive_records(
        self: &Rc<Self>,
        receive: StreamReceive,
    ) -> Result<Vec<StreamReceived>, ReceiveError> {
        let StreamReceive { queue, side, wait, .. } = receive;
        let arrival = self.monotonic();
        let deadline = arrival.saturating_add(wait);
        let mut waiting = None;
        loop {
            let definition = self.stream_queues.get(queue).ok_or(ReceiveError::UnknownQueue { queue })?;
            let received = self.receive_records_now(&definition, &receive).await;
            let left = deadline.saturating_sub(self.monotonic());
            // Whoever waits is served when fewer are in flight.
            let is_wanting = match &received {
                Ok(received) => received.is_empty(),
                Err(error) => matches!(error, ReceiveError::OverLimit { .. }),
            };
            if !is_wanting || left.is_zero() || self.stopping.has_happened() {
                return received;
            }
            if waiting.is_none() {
                waiting = Some(self.queues.begin_to_wait()?);
            }
            let wait = move |core: Rc<Self>, index| async move {
                if let Some(partition) = core.stream_queues.partition(queue, index) {
                    // An end tells that the queue was deleted: another try finds out.
                    let _ = partition.wait(side, arrival).await;
                }
            };
            self.wait_at(lanes(&definition), left, wait).await;
        }
    }

    /// Looks at each partition, until one gives something: each more would cost a flush more.
    async fn receive_records_now(
        self: &Rc<Self>,
        definition: &StreamQueue,
        receive: &StreamReceive,
    ) -> Result<Vec<StreamReceived>, ReceiveError> {
        let setting = Duration::from_secs(u64::from(definition.settings.visibility_s));
        let visibility = receive.visibility.unwrap_or(setting);
        let (queue, count) = (definition.id, definition.partitions.len().max(1));
        let wanted = Wanted { side: receive.side, records_max: receive.records_max, visibility };
        let first = self.queues.turn() % count;
        let mut refused = None;
        for (index, lane) in lanes(definition).cycle().skip(first).take(count) {
            let there = move |core: Rc<Self>| async move {
                let partition = core.stream_queues.partition(queue, index);
                partition.ok_or(ReceiveError::UnknownQueue { queue })?.receive(&wanted).await
            };
            match self.run_at(lane, Effort::Work, there).await.unwrap_or(Err(ReceiveError::Closing)) {
                Ok(received) if received.is_empty() => {}
                // Others may have something all the same.
                Err(error) => refused = refused.or(Some(error)),
                received => return received,
            }
        }
        refused.map_or(Ok(Vec::new()), Err)
    }

    /// Acknowledges records: they are not given again.
    pub async fn acknowledge_records(
        self: &Rc<Self>,
        queue: QueueId,
        side: Side,
        receipts: Vec<StreamReceipt>,
    ) -> Vec<Result<(), ReceiptError>> {
        let items = receipts.into_iter().map(|receipt| (receipt, ())).collect();
        self.settle_records(queue, side, items, move |partition, items| async move {
            let records: Vec<Named> = items.into_iter().map(|(named, ())| named).collect();
            partition.acknowledge(side, &records).await
        })
        .await
    }

    /// Hides records for so long from now on; no time at all brings them back at once.
    pub async fn hide_records(
        self: &Rc<Self>,
        queue: QueueId,
        side: Side,
        changes: Vec<(StreamReceipt, Duration)>,
    ) -> Vec<Result<(), ReceiptError>> {
        self.settle_records(queue, side, changes, move |partition, changes| async move {
            partition.hide(side, &changes).await
        })
        .await
    }

    /// Brings dead letters back among the others.
    pub async fn restore_records(
        self: &Rc<Self>,
        queue: QueueId,
        receipts: Vec<StreamReceipt>,
    ) -> Vec<Result<(), ReceiptError>> {
        let items = receipts.into_iter().map(|receipt| (receipt, ())).collect();
        self.settle_records(queue, Side::Dead, items, |partition, items| async move {
            let records: Vec<Named> = items.into_iter().map(|(named, ())| named).collect();
            partition.restore(&records).await
        })
        .await
    }

    /// Takes each receipt of this queue and side, with what belongs to it, to its partition.
    async fn settle_records<T, F>(
        self: &Rc<Self>,
        queue: QueueId,
        side: Side,
        items: Vec<(StreamReceipt, T)>,
        run: impl Fn(Rc<Partition>, Vec<(Named, T)>) -> F + Clone + Send + 'static,
    ) -> Vec<Result<(), ReceiptError>>
    where
        T: Send + 'static,
        F: Future<Output = Vec<Result<(), ReceiptError>>> + 'static,
    {
        let count = items.len();
        let Some(definition) = self.stream_queues.get(queue) else {
            return vec![Err(ReceiptError::UnknownQueue { queue }); count];
        };
        let items = items.into_iter().map(|(receipt, item)| {
            let is_ours = receipt.queue == queue && receipt.side == side;
            (is_ours.then_some(receipt.partition), (receipt.named, item))
        });
        let lane_of =
            |index: u16| definition.partitions.get(usize::from(index)).map(|partition| partition.lane);
        self.settle_at(items.collect(), lane_of, move |core, index, items| {
            let (run, count) = (run.clone(), items.len());
            async move {
                match core.stream_queues.partition(queue, index) {
                    Some(partition) => run(partition, items).await,
                    None => vec![Err(ReceiptError::UnknownQueue { queue }); count],
                }
            }
        })
        .await
    }
}

fn lanes(queue: &StreamQueue) -> impl Iterator<Item = (u16, LaneId)> + Clone {
    (0_u16..).zip(queue.partitions.iter().map(|partition| partition.lane))
}

/// A stream as the queues over it see it.
pub(super) fn source(stream: &Definition) -> Source {
    let place = |shard: &crate::service::stream::Shard| Place {
        shard: shard.index,
        lane: shard.lane,
        owner: shard.owner,
        is_open: shard.is_open(),
    };
    Source { shards: stream.shards().iter().map(place).collect(), retention_ms: stream.retention_ms() }
}
