//! Appends records: batches them by shard, keeps their order, waits out refusals.
//!
//! `send` puts a record into its shard's open batch, under one lock and without waiting unless the buffer is full. A worker
//! task for each shard that is used takes batches when they are full or have lingered, and sees each to its end.

mod append;
mod batch;
mod delivery;
mod record;
mod refresh;
mod shard_queue;
mod state;
mod worker;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidemill_wire::ShardIndex;
use tidemill_wire::batch::BATCH_HEADER_BYTES;
use tidemill_wire::message::StreamDescription;
use tokio::sync::{Notify, Semaphore, TryAcquireError};

pub use self::delivery::Delivery;
pub use self::record::{Receipt, Record};
use self::state::State;
use crate::pool::Pool;
use crate::route::Route;
use crate::{ClientError, ProducerOptions, ProtocolError, SendError};

/// What a record takes of the buffer beside its bytes.
const RECORD_OVERHEAD_BYTES: usize = 32;
/// Bytes of an append's frame beside the batch, with room to spare.
const APPEND_FRAME_BYTES: usize = 256;

/// Appends records to one stream. Made by [`Client::producer`](crate::Client::producer); cheap to clone.
///
/// Records are batched by shard. With [`ordered`](ProducerOptions::ordered), the default, the records of one key that are
/// sent one after the other are stored in that order: a shard has one unanswered append at a time, a refused batch is sent
/// again before any later one, and batches grow while they wait. A batch that fails for good is left out, and later ones
/// go on.
///
/// Dropping the last clone lets what was taken be sent in the background; [`close`](Self::close) waits for it.
#[derive(Clone, Debug)]
pub struct Producer {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.lock().close();
    }
}

/// What the handles and the workers share.
#[derive(Debug)]
struct Shared {
    pool: Arc<Pool>,
    options: ProducerOptions,
    state: Mutex<State>,
    /// A permit for each byte of the buffer.
    room: Semaphore,
    /// Held by the one worker that asks for the shard map.
    refreshing: tokio::sync::Mutex<()>,
    /// Told when a batch of a paused shard is under way no more.
    landed: Notify,
}

impl Producer {
    pub(crate) fn new(
        pool: Arc<Pool>,
        description: StreamDescription,
        options: ProducerOptions,
    ) -> Result<Self, ClientError> {
        let route = Route::new(description).map_err(|error| pool.protocol(ProtocolError::Routing(error)))?;
        let retry = options.retry.unwrap_or(pool.options().retry);
        let frame_bytes_max = pool.frame_bytes_max().saturating_sub(APPEND_FRAME_BYTES);
        let room = Semaphore::new(options.buffer_bytes_max.clamp(1, u32::MAX as usize));
        let state = Mutex::new(State::new(route, options.clone(), retry, frame_bytes_max));
        let shared = Shared {
            pool,
            options,
            state,
            room,
            refreshing: tokio::sync::Mutex::default(),
            landed: Notify::new(),
        };
        Ok(Self { handle: Arc::new(Handle { shared: Arc::new(shared) }) })
    }

    /// Takes a record, as soon as there is room for it. Records of one key that are given one after the other are stored in
    /// that order. Dropping the future before it is ready leaves the record out.
    pub async fn send(&self, record: Record<'_>) -> Result<Delivery, SendError> {
        self.put(None, record).await
    }

    /// As [`send`](Self::send), to a shard of the caller's choice whatever the key. When that shard is closed before the
    /// record is stored, the record fails instead of moving on.
    pub async fn send_to_shard(&self, shard: ShardIndex, record: Record<'_>) -> Result<Delivery, SendError> {
        self.put(Some(shard), record).await
    }

    /// Sends what is waiting without lingering, and waits for the answers. Fails with the first failure of any record since
    /// the last flush, so that a caller who drops all deliveries still learns of it.
    pub async fn flush(&self) -> Result<(), SendError> {
        let fates = {
            let mut state = self.shared().lock();
            state.hurry();
            state.fates()
        };
        for fate in fates {
            fate.ended().await;
        }
        self.shared().lock().take_failure().map_or(Ok(()), Err)
    }

    /// Takes no more records, from this clone or another, and flushes.
    pub async fn close(self) -> Result<(), SendError> {
        self.shared().lock().close();
        self.shared().room.close();
        self.flush().await
    }

    /// The stream as the producer knows it.
    #[must_use]
    pub fn stream(&self) -> StreamDescription {
        self.shared().lock().description().clone()
    }

    async fn put(&self, shard: Option<ShardIndex>, record: Record<'_>) -> Result<Delivery, SendError> {
        let shared = self.shared();
        record.check()?;
        shared.check_frame(&record)?;
        let charge = shared.charge(&record);
        let permit = match shared.room.try_acquire_many(charge) {
            Ok(permit) => permit,
            Err(TryAcquireError::Closed) => return Err(SendError::Closed),
            Err(TryAcquireError::NoPermits) => {
                // What lingers holds the room, so it goes first.
                shared.lock().hurry();
                shared.room.acquire_many(charge).await.map_err(|_| SendError::Closed)?
            }
        };
        let entered = shared.lock().enter(shard, record, charge as usize)?;
        permit.forget();
        if let Some(shard) = entered.unserved {
            worker::serve(Arc::clone(shared), shard);
        }
        Ok(entered.delivery)
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock is a broken invariant, which the next assertion will show again.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Permits that a record takes; one that is larger than the whole buffer takes all of it.
    fn charge(&self, record: &Record<'_>) -> u32 {
        let whole = self.options.buffer_bytes_max.clamp(1, u32::MAX as usize);
        let charge = (record.bytes() + RECORD_OVERHEAD_BYTES).min(whole);
        u32::try_from(charge).expect("a record is bounded far below 4 GiB")
    }

    fn check_frame(&self, record: &Record<'_>) -> Result<(), SendError> {
        let bytes = BATCH_HEADER_BYTES + record.bytes() + APPEND_FRAME_BYTES;
        let limit = self.pool.frame_bytes_max();
        if bytes > limit { Err(SendError::FrameTooLarge { bytes, limit }) } else { Ok(()) }
    }

    fn free(&self, bytes: usize) {
        self.room.add_permits(bytes);
    }
}
