//! The task of one shard: fetches or has pushed, and hands on what is new, through every lost connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidemill_wire::limits::FETCH_WAIT_MS_MAX;
use tidemill_wire::message::{
    ErrorCode, Failure, Fetch, Fetched, RequestBody, ResponseBody, Subscribe, SubscriptionEnded,
};
use tidemill_wire::{LaneId, StreamId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::cursor::{Accepted, Cursor, End};
use super::{Chunk, Message};
use crate::connection::{Answer, Subscription};
use crate::pool::Pool;
use crate::retry::Retry;
use crate::{ClientError, DeliveryMode, Window};

/// The least wait at the end of a shard, so that a reader does not spin there.
const WAIT_MIN: Duration = Duration::from_millis(1);
/// The least pause after a refusal for the read quota.
const THROTTLE_PAUSE_MIN: Duration = Duration::from_millis(1);

/// Reads one shard.
pub(super) struct Reader {
    pub(super) pool: Arc<Pool>,
    pub(super) stream: StreamId,
    pub(super) lane: LaneId,
    pub(super) cursor: Cursor,
    pub(super) delivery: DeliveryMode,
    pub(super) window: Window,
    pub(super) retry: Retry,
    pub(super) messages: mpsc::UnboundedSender<Message>,
    /// The server has too many readers that wait, so the next fetch does not.
    is_crowded: bool,
    /// A permit for each byte that may be on its way or wait for the caller.
    room: Arc<Semaphore>,
}

/// The bytes of a window, in range.
#[derive(Clone, Copy)]
struct Sizes {
    fetch: u32,
    prefetch: u32,
}

impl Reader {
    pub(super) fn new(
        pool: Arc<Pool>,
        stream: StreamId,
        (lane, cursor): (LaneId, Cursor),
        options: &crate::ConsumerOptions,
        messages: mpsc::UnboundedSender<Message>,
    ) -> Self {
        let retry = Retry::new(options.retry.unwrap_or(pool.options().retry));
        let (delivery, window) = (options.delivery, options.window);
        let room = Arc::new(Semaphore::new(sizes(&window).prefetch as usize));
        Self { pool, stream, lane, cursor, delivery, window, retry, messages, is_crowded: false, room }
    }

    /// Reads until the shard ends.
    pub(super) async fn run(&mut self) -> Result<End, ClientError> {
        loop {
            if let Some(end) = self.cursor.end() {
                return Ok(end);
            }
            let done = match self.delivery {
                DeliveryMode::Fetch => self.fetch(self.wait()).await,
                DeliveryMode::Push => self.follow().await,
            };
            self.is_crowded = false;
            if let Err(error) = done {
                self.pause(&error).await?;
            }
        }
    }

    /// How long the next fetch may wait: not at all while there is, or may be, something to read.
    fn wait(&self) -> Duration {
        let longest = Duration::from_millis(FETCH_WAIT_MS_MAX.into());
        let waits = self.cursor.is_caught_up() && !self.is_crowded;
        if waits { self.window.wait.clamp(WAIT_MIN, longest) } else { Duration::ZERO }
    }

    async fn fetch(&mut self, wait: Duration) -> Result<(), ClientError> {
        let Sizes { fetch: bytes_max, .. } = sizes(&self.window);
        let mut lease = Self::lease(&self.room, bytes_max).await;
        let connection = self.pool.lane(self.lane).await?;
        let fetch = Fetch {
            stream: self.stream,
            shard: self.cursor.shard(),
            position: self.cursor.position(),
            bytes_max,
            wait_ms: u32::try_from(wait.as_millis()).unwrap_or(FETCH_WAIT_MS_MAX),
        };
        let Answer { body, payload } = connection.request(RequestBody::Fetch(fetch), Bytes::new()).await?;
        let ResponseBody::Fetched(fetched) = body else { return Err(connection.misfit("fetch", &body)) };
        let used = split(&mut lease, payload.len());
        drop(lease);
        self.hand_on(&fetched, payload, used)
    }

    /// Has records pushed until the connection or the shard ends. Begins with a fetch: it tells at once where a position
    /// that is not a number lies, and what retention took away meanwhile.
    async fn follow(&mut self) -> Result<(), ClientError> {
        self.fetch(Duration::ZERO).await?;
        let (Some(next), None) = (self.cursor.next(), self.cursor.end()) else { return Ok(()) };
        let quarter = (sizes(&self.window).prefetch / 4).max(1);
        let mut credit = Self::lease(&self.room, quarter).await;
        let connection = self.pool.lane(self.lane).await?;
        let mut subscription = connection.subscribe(Subscribe {
            stream: self.stream,
            shard: self.cursor.shard(),
            position: tidemill_wire::message::Position::Sequence(next),
            credit_bytes: u64::from(quarter),
        })?;
        let room = Arc::clone(&self.room);
        while self.cursor.end().is_none() {
            tokio::select! {
                answer = subscription.next() => self.pushed(&subscription, answer?, &mut credit)?,
                more = Self::lease(&room, quarter) => {
                    credit.merge(more);
                    subscription.grant(u64::from(quarter));
                }
            }
        }
        Ok(())
    }

    fn pushed(
        &mut self,
        subscription: &Subscription,
        answer: Answer,
        credit: &mut OwnedSemaphorePermit,
    ) -> Result<(), ClientError> {
        match answer.body {
            ResponseBody::Fetched(fetched) => {
                let used = split(credit, answer.payload.len());
                self.hand_on(&fetched, answer.payload, used)
            }
            ResponseBody::SubscriptionEnded(ended) => self.ended(ended),
            ResponseBody::Failed(failure) => Err(ClientError::Refused(failure)),
            other => Err(subscription.connection().misfit("subscribe", &other)),
        }
    }

    fn ended(&mut self, ended: SubscriptionEnded) -> Result<(), ClientError> {
        let SubscriptionEnded { code, message, next_sequence } = ended;
        if code == ErrorCode::ShardClosed && self.cursor.next() == Some(next_sequence) {
            self.cursor.close();
            return Ok(());
        }
        Err(ClientError::Refused(Failure::new(code, message)))
    }

    fn hand_on(
        &mut self,
        fetched: &Fetched,
        payload: Bytes,
        lease: OwnedSemaphorePermit,
    ) -> Result<(), ClientError> {
        let is_first = self.cursor.next().is_none();
        let Accepted { start, pieces, damage } = self.cursor.accept(fetched, payload);
        self.retry.succeeded();
        if is_first || !pieces.is_empty() {
            let shard = self.cursor.shard();
            let chunk = Chunk { shard, start, pieces: pieces.into(), lease };
            // The consumer may be going away, which ends this task too.
            drop(self.messages.send(Message::Chunk(chunk)));
        }
        damage.map_or(Ok(()), Err)
    }

    /// Waits before another try, or gives the error back when there is to be none.
    async fn pause(&mut self, error: &ClientError) -> Result<(), ClientError> {
        let pause = match error {
            ClientError::Refused(failure) if failure.code == ErrorCode::ReadThrottled => {
                // The server is well, and the quota fills by itself.
                self.retry.succeeded();
                Duration::from_millis(failure.retry_after_ms.into()).max(THROTTLE_PAUSE_MIN)
            }
            ClientError::Refused(failure) if failure.code == ErrorCode::TooManyInFlight => {
                // A connection takes so many subscriptions; fetches take turns.
                self.delivery = DeliveryMode::Fetch;
                self.again(error)?
            }
            ClientError::Refused(failure) if failure.code == ErrorCode::Overloaded => {
                self.is_crowded = true;
                self.again(error)?
            }
            _ => self.again(error)?,
        };
        tracing::debug!(shard = %self.cursor.shard(), %error, ?pause, "read is tried again");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    fn again(&mut self, error: &ClientError) -> Result<Duration, ClientError> {
        self.retry.failed(error, self.pool.chance()).ok_or_else(|| error.clone())
    }

    async fn lease(room: &Arc<Semaphore>, bytes: u32) -> OwnedSemaphorePermit {
        Arc::clone(room).acquire_many_owned(bytes).await.expect("the room is never closed")
    }
}

fn sizes(window: &Window) -> Sizes {
    let fetch = window.fetch_bytes.max(1);
    Sizes { fetch, prefetch: window.prefetch_bytes.max(fetch) }
}

/// Takes the permits for `bytes` out of a lease; an entry may be larger than the whole lease.
fn split(lease: &mut OwnedSemaphorePermit, bytes: usize) -> OwnedSemaphorePermit {
    let bytes = bytes.min(lease.num_permits());
    lease.split(bytes).expect("no more than the lease has")
}
