//! Capacities in the catalog, of the streams that have another than the default.
//!
//! Apart from the stream itself, for the protocols that know of capacities see to them, and others have none.
//! Invariant: a stream that is provisioned is neither kept warm nor spread evenly (`tests::capacities`).

use tidemill_wire::{StreamId, StreamName, Timestamp};

use super::super::entity::Stream;
use super::super::error::{ChangeCapacityError, CreateStreamError, Inconsistency};
use super::State;
use crate::service::capacity::{Capacity, CapacityChange, Mode, Terms};
use crate::service::commitment::{Commitment, CommitmentStatus};

impl State {
    /// A catalog with the capacities that were stored. Those of streams that are gone are left out, as consumers are.
    pub(in super::super) fn with_capacities(
        mut self,
        capacities: impl IntoIterator<Item = (StreamId, Capacity)>,
    ) -> Result<Self, Inconsistency> {
        for (stream, capacity) in capacities {
            if stream.get() >= self.counters.next_stream {
                return Err(Inconsistency(format!(
                    "a capacity: the id {stream} of its stream has not been given out"
                )));
            }
            if self.names.contains_key(&stream) {
                self.capacities.insert(stream, capacity);
            }
        }
        Ok(self)
    }

    /// Whether a stream has a capacity of its own.
    pub(in super::super) fn has_capacity(&self, stream: StreamId) -> bool {
        self.capacities.contains_key(&stream)
    }

    /// The capacity of a stream.
    pub fn capacity(&self, stream: StreamId) -> Capacity {
        self.capacities.get(&stream).copied().unwrap_or_default()
    }

    /// A stream, and its capacity as it would be.
    pub(in super::super) fn plan_capacity(
        &self,
        name: &StreamName,
        change: CapacityChange,
        now: Timestamp,
    ) -> Result<(Stream, Capacity), ChangeCapacityError> {
        let unknown = || ChangeCapacityError::Unknown { name: name.clone() };
        let stream = self.streams.get(name).ok_or_else(unknown)?;
        let queues = self.stream_queues_of(stream.id).count();
        if queues > 0 && matches!(change, CapacityChange::Mode(Mode::Provisioned, _)) {
            return Err(ChangeCapacityError::HasQueues { name: name.clone(), queues });
        }
        let capacity = self.capacity(stream.id).changed(change, self.terms(now))?;
        Ok((stream.clone(), capacity))
    }

    /// Checks the capacity of a stream that is to be created.
    pub(super) fn check_capacity(&self, capacity: Capacity, now: Timestamp) -> Result<(), CreateStreamError> {
        if capacity.mode == Mode::OnDemand {
            let warm = CapacityChange::Warm(capacity.warm_mib_per_second);
            capacity.changed(warm, self.terms(now))?;
        }
        Ok(())
    }

    fn terms(&self, now: Timestamp) -> Terms {
        let is_committed = self.commitment.status(now) != CommitmentStatus::Disabled;
        Terms { now, is_committed, shards_max: self.limits.shards_per_stream }
    }

    /// A catalog with the account's commitment that was stored.
    pub(in super::super) fn with_commitment(mut self, commitment: Commitment) -> Self {
        self.commitment = commitment;
        self
    }

    /// The account's commitment.
    pub fn commitment(&self) -> Commitment {
        self.commitment
    }

    /// Open shards that one stream may have.
    pub fn shards_per_stream(&self) -> u32 {
        self.limits.shards_per_stream
    }

    pub(super) fn set_capacity(&mut self, stream: StreamId, capacity: Capacity) {
        if capacity == Capacity::default() {
            self.capacities.remove(&stream);
        } else {
            self.capacities.insert(stream, capacity);
        }
    }
}
