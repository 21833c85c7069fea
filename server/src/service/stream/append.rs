//! Appends to a shard that this core owns.

use std::future::Future;

use bytes::Bytes;
use tidemill_storage::{Appended, Env};
use tidemill_wire::message::Ack;
use tidemill_wire::{ShardIndex, StreamId};

use super::error::AppendError;
use super::table::Streams;

/// A checked batch for one shard.
#[derive(Clone, Debug)]
pub struct Append {
    /// The stream.
    pub stream: StreamId,
    /// The shard.
    pub shard: ShardIndex,
    /// When it is answered.
    pub ack: Ack,
    /// The batch, as it will lie in the log.
    pub batch: Bytes,
    /// Records in it, at least one.
    pub records: u32,
    /// Bytes of keys and data in it, which the quota counts.
    pub payload_bytes: u64,
}

impl<E: Env> Streams<E> {
    /// Charges the shard's quota and queues the batch, both in the order of the calls; the future is the acknowledgement. What the lane
    /// refuses is not charged, so that trying it again does not cost it twice.
    pub fn append(
        &self,
        append: Append,
    ) -> Result<impl Future<Output = Result<Appended, AppendError>> + use<E>, AppendError> {
        let Append { stream, shard, ack, batch, records, payload_bytes } = append;
        let known = self.get(stream).ok_or(AppendError::UnknownStream { stream })?;
        let local = known.local(shard).ok_or(AppendError::UnknownShard { stream, shard })?;
        if local.closed.get() {
            return Err(AppendError::ShardClosed { stream, shard });
        }
        let admitted = local.quota.borrow_mut().admit_write(self.now_ns(), payload_bytes, u64::from(records));
        admitted.map_err(|wait| AppendError::Throttled { shard, wait })?;
        let queued = local.lane.append(local.owner, batch, records, ack);
        Ok(async move {
            let outcome = queued.await;
            if outcome.is_err() {
                local.quota.borrow_mut().give_back_write(payload_bytes, u64::from(records));
            }
            match outcome {
                Err(tidemill_storage::AppendError::UnknownOwner(_)) => {
                    Err(AppendError::UnknownStream { stream })
                }
                Err(tidemill_storage::AppendError::Closed) => Err(AppendError::Closing),
                other => Ok(other?),
            }
        })
    }
}
