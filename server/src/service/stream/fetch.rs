//! Fetches from a shard that this core owns, at once or when there is something.
//!
//! A reader who waits is woken by the append itself, or by the time at which its quota allows it to go on; nothing is polled.

use std::cell::{Cell, RefMut};
use std::future::Future;
use std::num::{NonZeroU32, NonZeroU64};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_lite::future::or;
use tidemill_storage::{Env, Fetched, until};
use tidemill_wire::message::Position;
use tidemill_wire::{SequenceNumber, ShardIndex, StreamId};

use super::error::FetchError;
use super::pace;
use super::seat::Seat;
use super::table::{Gate, LocalShard, Streams, now_ns};
use crate::service::quota::{ShardQuota, Wait};

/// Bytes of headers and offsets that a fetch within its quota may bring beside keys and data.
const OVERHEAD_BYTES: u64 = 64 << 10;

/// Which rules a fetch goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadKind {
    /// As often as one likes; bytes as they flow in.
    Flow,
    /// A call that is counted, and that may have so many bytes at once, ahead of their time, when nothing was read for a while.
    Call {
        /// Keys and data at most.
        bytes_max: NonZeroU32,
        /// Records that are wanted: what comes ends with the batch that has the last of them, and only that is charged.
        records_max: u64,
    },
}

impl ReadKind {
    /// Bytes that may be read now.
    pub(super) fn readable(self, quota: &mut ShardQuota, now_ns: u64) -> Result<NonZeroU64, Wait> {
        match self {
            Self::Flow => quota.readable(now_ns),
            Self::Call { bytes_max, .. } => quota.readable_ahead(now_ns, bytes_max.into()),
        }
    }

    fn records_max(self) -> u64 {
        match self {
            Self::Flow => u64::MAX,
            Self::Call { records_max, .. } => records_max,
        }
    }
}

/// What is to be read.
#[derive(Clone, Copy, Debug)]
pub struct Fetch {
    /// Of this stream.
    pub stream: StreamId,
    /// This shard.
    pub shard: ShardIndex,
    /// From here.
    pub position: Position,
    /// Bytes of entries at most; at least one entry is delivered if there is any and the quota allows it.
    pub bytes_max: usize,
    /// How long to wait if there is none.
    pub wait: Duration,
    /// By which rules.
    pub kind: ReadKind,
}

/// What was read.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Runs of whole entries, exactly as in the log.
    pub entries: Vec<Bytes>,
    /// Bytes of all runs.
    pub bytes: usize,
    /// The first record that was wanted.
    pub from: SequenceNumber,
    /// Where the next fetch goes on.
    pub next: SequenceNumber,
    /// The oldest retained record.
    pub oldest: SequenceNumber,
    /// The number that the next appended record gets.
    pub end: SequenceNumber,
    /// The shard is closed and nothing follows.
    pub closed: bool,
}

impl<E: Env> Streams<E> {
    /// Reads a shard. When `enough` resolves, a fetch that waits ends with what there is: nothing.
    pub async fn fetch(
        &self,
        fetch: Fetch,
        enough: impl Future<Output = ()>,
    ) -> Result<Delivery, FetchError> {
        let reader = self.reader(&fetch, None)?;
        reader.read(&fetch, enough).await
    }

    /// The same for whoever sits in a seat, at whose rate it is.
    pub(super) async fn fetch_at(
        &self,
        fetch: Fetch,
        seat: &Rc<Seat>,
        enough: impl Future<Output = ()>,
    ) -> Result<Delivery, FetchError> {
        let reader = self.reader(&fetch, Some(Rc::clone(seat)))?;
        reader.read(&fetch, enough).await
    }

    fn reader(&self, fetch: &Fetch, seat: Option<Rc<Seat>>) -> Result<Reader<E>, FetchError> {
        let (stream, shard) = (fetch.stream, fetch.shard);
        let known = self.get(stream).ok_or(FetchError::UnknownStream { stream })?;
        let local = known.local(shard).ok_or(FetchError::UnknownShard { stream, shard })?;
        let (waiting, waiting_max) = (Rc::clone(&self.waiting), self.waiting_max);
        Ok(Reader { stream, local, seat, env: self.env.clone(), waiting, waiting_max })
    }
}

/// One fetch on its way. Holds no borrow of the table, so that streams come and go while it waits.
struct Reader<E: Env> {
    stream: StreamId,
    local: Rc<LocalShard<E>>,
    /// Whose rate it is, if not the shard's.
    seat: Option<Rc<Seat>>,
    env: E,
    waiting: Rc<Cell<u64>>,
    waiting_max: u64,
}

/// One of the fetches that wait; dropped, it no longer does.
struct Waiting(Rc<Cell<u64>>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl<E: Env> Reader<E> {
    async fn read(&self, fetch: &Fetch, enough: impl Future<Output = ()>) -> Result<Delivery, FetchError> {
        let mut enough = pin!(enough);
        let deadline = self.env.monotonic().saturating_add(fetch.wait);
        if matches!(fetch.kind, ReadKind::Call { .. }) {
            let admitted = self.quota().admit_call(now_ns(&self.env));
            admitted.map_err(|wait| self.throttled(wait))?;
        }
        let from = self.locate(fetch.position).await?;
        let mut over = false;
        loop {
            let attempt = self.attempt(from, fetch).await?;
            let left = deadline.saturating_sub(self.env.monotonic());
            match attempt {
                Ok(delivery) if !delivery.entries.is_empty() || delivery.closed || over || left.is_zero() => {
                    return Ok(delivery);
                }
                Err(wait) if over || wait.duration() > left => {
                    return Err(self.throttled(wait));
                }
                Err(wait) => {
                    let _waiting = self.wait_in_line()?;
                    over = self.until(wait.duration(), enough.as_mut(), std::future::pending()).await;
                }
                Ok(delivery) => {
                    let _waiting = self.wait_in_line()?;
                    // The end and not `from`, which lies below it when all that followed has expired.
                    over = self.until(left, enough.as_mut(), self.appended(delivery.end)).await;
                }
            }
        }
    }

    /// Resolves when there are records from `end` on, or the shard is closed or gone. Not because its lane takes no appends any more: the watch
    /// is over at once then, and whoever looked again for each of these would never let the core go.
    async fn appended(&self, end: SequenceNumber) {
        let LocalShard { lane, owner, gate, .. } = &*self.local;
        let closed = until(self.local.changed(), || (gate.get() == Gate::Closed).then_some(()));
        let watch = async {
            lane.watch(*owner, end).await;
            if lane.bounds(*owner).is_ok_and(|bounds| bounds.next <= end) {
                std::future::pending::<()>().await;
            }
        };
        or(closed, watch).await;
    }

    /// The number that a position means now.
    async fn locate(&self, position: Position) -> Result<SequenceNumber, FetchError> {
        let LocalShard { lane, owner, .. } = &*self.local;
        let unknown = || self.unknown();
        match position {
            Position::Sequence(sequence) => Ok(sequence),
            Position::Oldest => lane.bounds(*owner).map(|bounds| bounds.oldest).map_err(|_| unknown()),
            Position::Newest => lane.bounds(*owner).map(|bounds| bounds.next).map_err(|_| unknown()),
            Position::Timestamp(time) => {
                lane.sequence_at(*owner, time).await.map_err(|error| self.error(error))
            }
        }
    }

    /// Reads what is there and allowed, or tells how long the quota has to be waited for.
    async fn attempt(
        &self,
        from: SequenceNumber,
        &Fetch { bytes_max, kind, .. }: &Fetch,
    ) -> Result<Result<Delivery, Wait>, FetchError> {
        let readable = kind.readable(&mut self.quota(), now_ns(&self.env));
        // Without a byte to spend the lane is asked for as little as it gives, to see whether there is anything at all.
        // Else it is asked for more than is allowed, since the quota does not count what entries and batches add to keys and data;
        // what is too much is cut off before it is charged.
        let allowed =
            readable.map_or(1, |bytes| bytes.get().saturating_mul(2).saturating_add(OVERHEAD_BYTES));
        let bytes = bytes_max.min(usize::try_from(allowed).unwrap_or(usize::MAX));
        let LocalShard { lane, owner, .. } = &*self.local;
        let fetched = lane.fetch_records(*owner, from, bytes, kind.records_max()).await;
        let mut fetched = fetched.map_err(|error| self.error(error))?;
        if !fetched.entries.is_empty() {
            let mut quota = self.quota();
            if let Err(wait) = pace::admit(&mut quota, now_ns(&self.env), kind, &mut fetched) {
                return Ok(Err(wait));
            }
        }
        let delivery = self.delivery(fetched);
        self.local.count_delivery(&delivery, self.env.now());
        Ok(Ok(delivery))
    }

    fn throttled(&self, wait: Wait) -> FetchError {
        self.local.count_refused_read();
        FetchError::Throttled { shard: self.local.index, wait }
    }

    /// What it is charged to.
    fn quota(&self) -> RefMut<'_, ShardQuota> {
        self.seat.as_ref().map_or_else(|| self.local.quota.borrow_mut(), |seat| seat.quota())
    }

    fn delivery(&self, fetched: Fetched) -> Delivery {
        let Fetched { entries, bytes, from, next, oldest, end } = fetched;
        let closed = self.local.gate.get() == Gate::Closed && next >= end;
        Delivery { entries, bytes, from, next, oldest, end, closed }
    }

    /// Waits for the first of the three; tells whether it was not worth waiting any longer.
    async fn until(
        &self,
        time: Duration,
        enough: impl Future<Output = ()>,
        event: impl Future<Output = ()>,
    ) -> bool {
        let enough = async {
            enough.await;
            true
        };
        let event = async {
            or(event, self.env.sleep(time)).await;
            false
        };
        or(event, enough).await
    }

    fn wait_in_line(&self) -> Result<Waiting, FetchError> {
        if self.waiting.get() >= self.waiting_max {
            return Err(FetchError::TooManyWaiting { limit: self.waiting_max });
        }
        self.waiting.set(self.waiting.get() + 1);
        Ok(Waiting(Rc::clone(&self.waiting)))
    }

    /// The lane has forgotten the shard while it was read: with its stream, or alone, because its records are over.
    fn unknown(&self) -> FetchError {
        let stream = self.stream;
        match self.local.gate.get() {
            Gate::Over => FetchError::UnknownShard { stream, shard: self.local.index },
            Gate::Open | Gate::Held | Gate::Closed => FetchError::UnknownStream { stream },
        }
    }

    fn error(&self, error: tidemill_storage::FetchError) -> FetchError {
        match error {
            tidemill_storage::FetchError::UnknownOwner(_) => self.unknown(),
            tidemill_storage::FetchError::BeyondEnd { from, end } => FetchError::BeyondEnd { from, end },
            tidemill_storage::FetchError::Damaged(damage) => FetchError::Damaged(damage),
            tidemill_storage::FetchError::Disk(error) => FetchError::Disk(error),
        }
    }
}
