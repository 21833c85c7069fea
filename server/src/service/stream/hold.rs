//! Holds shards while it is decided whether and where they end.
//!
//! Invariant: from the moment a shard is held until it is released it takes no appends, and its end is told when all that it took before is stable
//! (`tests::a_held_shard_ends_behind_all_that_it_took`). So whoever writes the end down writes the last word, or writes nothing and the shard goes on.

use std::rc::Rc;

use tidemill_storage::{Env, until};
use tidemill_wire::{SequenceNumber, ShardIndex, StreamId, Timestamp};

use super::error::HoldError;
use super::table::{Gate, LocalShard, Streams};

/// Shards of this core that are held.
pub struct Held<E: Env> {
    shards: Vec<Rc<LocalShard<E>>>,
}

/// Where a held shard ends if it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldEnd {
    /// The shard.
    pub shard: ShardIndex,
    /// The number after its last record.
    pub next: SequenceNumber,
    /// When its last record was appended, if it has one.
    pub last_append: Option<Timestamp>,
}

impl<E: Env> Streams<E> {
    /// Holds those of these shards that this core owns; the stream counts as moving from here on.
    pub fn hold(&self, stream: StreamId, shards: &[ShardIndex]) -> Held<E> {
        self.moving.borrow_mut().insert(stream);
        let local =
            self.get(stream).map(|known| shards.iter().filter_map(|shard| known.local(*shard)).collect());
        let held = Held { shards: local.unwrap_or_default() };
        held.shards.iter().for_each(|shard| shard.gate.set(Gate::Held));
        held
    }

    /// The change is over, whether or not it has come about: shards that were held are open or closed as the newest definition says, and those who wait are told.
    pub fn release(&self, stream: StreamId) {
        let known = self.get(stream);
        for (known, shard) in known.iter().flat_map(|known| known.locals().map(move |shard| (known, shard))) {
            let gate = known.gate_of(shard.index);
            if shard.gate.replace(gate) != gate {
                shard.tell();
            }
        }
        self.end_move(stream);
    }

    /// Whether shards of a stream are being changed.
    pub fn is_moving(&self, stream: StreamId) -> bool {
        self.moving.borrow().contains(&stream)
    }

    /// Resolves when no shards of a stream are being changed.
    pub async fn rest(&self, stream: StreamId) {
        until(&self.moved, || (!self.is_moving(stream)).then_some(())).await;
    }

    pub(super) fn end_move(&self, stream: StreamId) {
        if self.moving.borrow_mut().remove(&stream) {
            self.moved.notify();
        }
    }
}

impl<E: Env> Held<E> {
    /// Waits until all that the shards took is settled and stable, and tells where they end.
    pub async fn ends(&self) -> Result<Vec<HeldEnd>, HoldError> {
        let mut ends = Vec::with_capacity(self.shards.len());
        for shard in &self.shards {
            until(shard.changed(), || (shard.under_way.get() == 0).then_some(())).await;
            shard.lane.flush().await.map_err(HoldError::Disk)?;
            let bounds =
                shard.lane.bounds(shard.owner).map_err(|_| HoldError::Gone { shard: shard.index })?;
            ends.push(HeldEnd {
                shard: shard.index,
                next: bounds.next,
                last_append: bounds.last_append_time,
            });
        }
        Ok(ends)
    }
}
