//! Appends to a shard that this core owns.

use std::rc::Rc;

use bytes::Bytes;
use tidemill_storage::{AppendSink, Appended, Env};
use tidemill_wire::message::Ack;
use tidemill_wire::{ShardIndex, StreamId};

use super::error::AppendError;
use super::table::{Gate, LocalShard, Streams};

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

/// What a queued append has cost its shard. As long as it is there, the append counts as under way.
pub struct Charge<E: Env> {
    stream: StreamId,
    shard: Rc<LocalShard<E>>,
    payload_bytes: u64,
    records: u32,
}

impl<E: Env> Charge<E> {
    /// What the lane says about the append, in the words of streams. What was not stored is not charged, so that trying it again does not
    /// cost it twice.
    pub fn settle(
        &self,
        outcome: &Result<Appended, tidemill_storage::AppendError>,
    ) -> Result<Appended, AppendError> {
        let error = match outcome {
            Ok(appended) => return Ok(*appended),
            Err(error) => error,
        };
        self.shard.quota.borrow_mut().give_back_write(self.payload_bytes, u64::from(self.records));
        Err(match error {
            tidemill_storage::AppendError::UnknownOwner(_) => {
                AppendError::UnknownStream { stream: self.stream }
            }
            tidemill_storage::AppendError::Closed => AppendError::Closing,
            other => AppendError::Lane(other.clone()),
        })
    }
}

impl<E: Env> Drop for Charge<E> {
    fn drop(&mut self) {
        let left = self.shard.under_way.get() - 1;
        self.shard.under_way.set(left);
        if left == 0 && self.shard.gate.get() == Gate::Held {
            self.shard.tell();
        }
    }
}

impl<E: Env> Streams<E> {
    /// Charges the shard's quota and queues the batch, both in the order of the calls. `sink` is told what became of it, with `token`, and has the
    /// charge settle it.
    pub fn append(
        &self,
        append: Append,
        sink: Rc<dyn AppendSink>,
        token: u64,
    ) -> Result<Charge<E>, AppendError> {
        let Append { stream, shard, payload_bytes, records, .. } = append;
        let local = self.local(stream, shard)?;
        match local.gate.get() {
            Gate::Open => {}
            Gate::Held => return Err(AppendError::ShardMoving { stream, shard }),
            Gate::Closed | Gate::Over => return Err(AppendError::ShardClosed { stream, shard }),
        }
        let mut quota = local.quota.borrow_mut();
        if quota.limits_writes() {
            let admitted = quota.admit_write(self.now_ns(), payload_bytes, u64::from(records));
            admitted.map_err(|wait| {
                local.count_refused_append();
                AppendError::Throttled { shard, wait }
            })?;
        }
        drop(quota);
        local.count_append(&append);
        let Append { ack, batch, .. } = append;
        let queued = local.lane.append_to(sink, token, local.owner, batch, records, ack);
        local.under_way.set(local.under_way.get() + 1);
        let charge = Charge { stream, shard: local, payload_bytes, records };
        match queued {
            Ok(()) => Ok(charge),
            Err(error) => Err(charge.settle(&Err(error)).expect_err("it was not queued")),
        }
    }
}
