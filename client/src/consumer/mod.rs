//! Reads records: from any position, one or all shards, tail or bounded replay.
//!
//! A task for each shard reads ahead, as far as the prefetch window allows; the consumer merges what they hand on in the
//! order of its arrival. A shard's window is held by what was received until the caller has taken it.

mod cursor;
mod event;
mod plan;
mod reader;

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tidemill_wire::message::{ErrorCode, Failure, StreamDescription};
use tidemill_wire::{SequenceNumber, ShardIndex};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::AbortHandle;

use self::cursor::{End, Piece};
pub use self::event::{ConsumedBatch, ConsumedRecord, Event, Gap};
use self::plan::{Assignment, Plan};
use self::reader::Reader;
use crate::pool::Pool;
use crate::{Admin, ClientError, ConsumerOptions};

/// Reads the records of one stream. Made by [`Client::consumer`](crate::Client::consumer).
///
/// Each shard's records come in order, each once, also when the connection is lost in between; shards are merged as their
/// records arrive. Records that retention took before they could be read are reported as a [`Gap`]. Entries and
/// batches are checked against their checksums. A lost connection is opened again as the
/// [`RetryPolicy`](crate::RetryPolicy) says; when it gives up, or when stored bytes are damaged, the error ends that shard.
///
/// It is a [`Stream`](futures_util::Stream) as well.
#[derive(Debug)]
pub struct Consumer {
    shared: Arc<Shared>,
    messages: mpsc::UnboundedReceiver<Message>,
    /// What is being yielded.
    current: Option<Chunk>,
    positions: BTreeMap<ShardIndex, SequenceNumber>,
    /// Records still to be yielded, if there is a bound.
    left: Option<u64>,
    /// Shards whose data turned out to be damaged when it was inflated.
    damaged: Vec<ShardIndex>,
}

/// What the consumer and its tasks share.
#[derive(Debug)]
struct Shared {
    pool: Arc<Pool>,
    description: StreamDescription,
    options: ConsumerOptions,
    plan: Mutex<Plan>,
    tasks: Mutex<BTreeMap<ShardIndex, AbortHandle>>,
}

/// What a shard's task hands on.
#[derive(Debug)]
enum Message {
    Chunk(Chunk),
    Failed(ClientError),
}

/// What is new in one answer.
#[derive(Debug)]
struct Chunk {
    shard: ShardIndex,
    /// Where the cursor was before it.
    start: SequenceNumber,
    pieces: VecDeque<Piece>,
    /// Its part of the shard's window, free again when the last piece is taken.
    #[expect(dead_code, reason = "held for its drop")]
    lease: OwnedSemaphorePermit,
}

impl Consumer {
    pub(crate) fn new(
        pool: Arc<Pool>,
        description: StreamDescription,
        options: ConsumerOptions,
    ) -> Result<Self, ClientError> {
        let mut plan = Plan::new(options.clone(), &description);
        if let Some(shard) = plan.missing() {
            let text = format!("stream {} has no shard {shard}", description.name);
            return Err(ClientError::Refused(Failure::new(ErrorCode::UnknownShard, text)));
        }
        let first = plan.first();
        let positions = first.iter().filter_map(|a| Some((a.cursor.shard(), a.cursor.next()?))).collect();
        let left = options.count;
        let (sender, messages) = mpsc::unbounded_channel();
        let (plan, tasks) = (Mutex::new(plan), Mutex::default());
        let shared = Arc::new(Shared { pool, description, options, plan, tasks });
        if left != Some(0) {
            shared.start(first, &sender);
        }
        Ok(Self { shared, messages, current: None, positions, left, damaged: Vec::new() })
    }

    /// The next event, or `None` when every shard has reached its end. An error ends its shard; the others go on. Dropping
    /// the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Event, ClientError>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// As [`next`](Self::next), for hand-written futures.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Event, ClientError>>> {
        loop {
            if self.left == Some(0) {
                self.shared.stop();
                return Poll::Ready(None);
            }
            if let Some(chunk) = &mut self.current {
                let shard = chunk.shard;
                if let Some(piece) = chunk.pieces.pop_front() {
                    return Poll::Ready(Some(self.open(shard, piece)));
                }
                self.current = None;
            }
            match ready!(self.messages.poll_recv(context)) {
                None => return Poll::Ready(None),
                Some(Message::Failed(error)) => return Poll::Ready(Some(Err(error))),
                Some(Message::Chunk(chunk)) if self.damaged.contains(&chunk.shard) => {}
                Some(Message::Chunk(chunk)) => {
                    self.positions.entry(chunk.shard).or_insert(chunk.start);
                    self.current = Some(chunk);
                }
            }
        }
    }

    /// For each shard the number after the last record that was yielded, to go on from there later by
    /// [`Start::Positions`](crate::Start::Positions). A shard that has yielded nothing is there if its beginning is known. A
    /// batch counts as a whole, even if its iterator was not used up.
    #[must_use]
    pub fn positions(&self) -> BTreeMap<ShardIndex, SequenceNumber> {
        self.positions.clone()
    }

    /// The stream as it was when the consumer was made.
    #[must_use]
    pub fn stream(&self) -> &StreamDescription {
        &self.shared.description
    }

    fn open(&mut self, shard: ShardIndex, piece: Piece) -> Result<Event, ClientError> {
        let entry = match piece {
            Piece::Gap(gap) => {
                self.positions.insert(shard, gap.to);
                return Ok(Event::Gap(gap));
            }
            Piece::Entry(entry) => entry,
        };
        let sequence = entry.first;
        let mut batch = entry.into_batch(shard).map_err(|error| {
            self.damaged.push(shard);
            self.shared.stop_shard(shard);
            self.current = None;
            ClientError::Batch { shard, sequence, source: Arc::new(error.into()) }
        })?;
        if let Some(left) = &mut self.left {
            batch.truncate(*left);
            *left -= batch.len() as u64;
        }
        self.positions.insert(shard, batch.next_sequence());
        Ok(Event::Records(batch))
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl futures_util::Stream for Consumer {
    type Item = Result<Event, ClientError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_next(context)
    }
}

impl Shared {
    fn start(self: &Arc<Self>, shards: Vec<Assignment>, messages: &mpsc::UnboundedSender<Message>) {
        for Assignment { cursor, lane } in shards {
            let shard = cursor.shard();
            let stream = self.description.id;
            let reader =
                Reader::new(Arc::clone(&self.pool), stream, (lane, cursor), &self.options, messages.clone());
            let task = tokio::spawn(Arc::clone(self).read(shard, reader));
            lock(&self.tasks).insert(shard, task.abort_handle());
        }
    }

    /// Reads one shard to its end, then starts those that waited for it.
    async fn read(self: Arc<Self>, shard: ShardIndex, mut reader: Reader) {
        let followed = match reader.run().await {
            Ok(end) => self.follow_up(shard, end).await,
            Err(error) => Err(error),
        };
        match followed {
            Ok(next) => self.start(next, &reader.messages),
            // The consumer may be going away.
            Err(error) => drop(reader.messages.send(Message::Failed(error))),
        }
    }

    async fn follow_up(&self, shard: ShardIndex, end: End) -> Result<Vec<Assignment>, ClientError> {
        let is_split = end == End::Closed && lock(&self.plan).grows();
        let fresh = if is_split {
            let name = &self.description.name;
            Some(Admin::new(Arc::clone(&self.pool)).describe_stream(name).await?)
        } else {
            None
        };
        Ok(lock(&self.plan).ended(shard, fresh.as_ref()))
    }

    fn stop(&self) {
        lock(&self.tasks).values().for_each(AbortHandle::abort);
    }

    fn stop_shard(&self, shard: ShardIndex) {
        if let Some(task) = lock(&self.tasks).get(&shard) {
            task.abort();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code that runs under these locks leaves them half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
