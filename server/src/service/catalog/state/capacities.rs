//! Capacities in the catalog, of the streams that have another than the default.
//!
//! Apart from the stream itself, for the protocols that know of capacities see to them, and others have none.
//! Invariant: a stream that is provisioned is neither kept warm nor spread evenly (`tests::capacities`).

use std::collections::BTreeMap;

use tidemill_wire::{StreamId, StreamName, Timestamp};

use super::super::entity::Stream;
use super::super::error::{ChangeCapacityError, CreateStreamError, Inconsistency, TooManyShards};
use super::State;
use crate::service::capacity::{Capacity, CapacityChange, CapacityError, Mode, Terms};
use crate::service::commitment::{Commitment, CommitmentStatus};
use crate::service::peaks::Peaks;

/// What is known of capacities.
#[derive(Debug, Clone, Default)]
pub(super) struct Capacities {
    /// Of the streams that have another one than the default.
    of_streams: BTreeMap<StreamId, Capacity>,
    /// The peaks of those on demand that have had traffic.
    peaks: BTreeMap<StreamId, Peaks>,
    commitment: Commitment,
}

impl Capacities {
    /// What was known of a stream that is gone.
    pub(super) fn forget(&mut self, stream: StreamId) {
        self.of_streams.remove(&stream);
        self.peaks.remove(&stream);
    }
}

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
                self.capacities.of_streams.insert(stream, capacity);
            }
        }
        Ok(self)
    }

    /// Whether a stream has a capacity of its own.
    pub(in super::super) fn has_capacity(&self, stream: StreamId) -> bool {
        self.capacities.of_streams.contains_key(&stream)
    }

    /// The capacity of a stream.
    pub fn capacity(&self, stream: StreamId) -> Capacity {
        self.capacities.of_streams.get(&stream).copied().unwrap_or_default()
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
        let present = self.capacity(stream.id);
        let capacity = present.changed(change, self.terms(now))?;
        if present.mode != capacity.mode {
            self.check_mode(capacity.mode)?;
        }
        Ok((stream.clone(), capacity))
    }

    /// Checks the capacity of a stream that is to be created.
    pub(super) fn check_capacity(&self, capacity: Capacity, now: Timestamp) -> Result<(), CreateStreamError> {
        self.check_mode(capacity.mode)?;
        if capacity.mode == Mode::OnDemand {
            let warm = CapacityChange::Warm(capacity.warm_mib_per_second);
            capacity.changed(warm, self.terms(now))?;
        }
        Ok(())
    }

    /// Refuses one more stream of a mode if there are as many as there may be.
    fn check_mode(&self, mode: Mode) -> Result<(), CapacityError> {
        let limit = self.limits.account.on_demand_streams;
        let on_demand =
            self.capacities.of_streams.values().filter(|capacity| capacity.mode == Mode::OnDemand);
        if mode == Mode::OnDemand && on_demand.count() >= limit as usize {
            return Err(CapacityError::TooManyOnDemand { limit });
        }
        Ok(())
    }

    /// Refuses further open shards if all streams together would have too many.
    pub(super) fn check_growth(&self, more: usize) -> Result<(), TooManyShards> {
        let limit = self.limits.account.shards;
        let open = |stream: &Stream| stream.shards.iter().filter(|shard| shard.is_open()).count();
        let found = self.streams.values().map(open).sum::<usize>().saturating_add(more) as u64;
        // Who has more since before the bound was lowered may have fewer.
        if more > 0 && found > u64::from(limit) {
            return Err(TooManyShards { found, limit });
        }
        Ok(())
    }

    fn terms(&self, now: Timestamp) -> Terms {
        let is_committed = self.capacities.commitment.status(now) != CommitmentStatus::Disabled;
        Terms { now, is_committed, shards_max: self.limits.shards_per_stream }
    }

    /// A catalog with the account's commitment that was stored.
    pub(in super::super) fn with_commitment(mut self, commitment: Commitment) -> Self {
        self.set_commitment(commitment);
        self
    }

    /// The account's commitment.
    pub fn commitment(&self) -> Commitment {
        self.capacities.commitment
    }

    pub(super) fn set_commitment(&mut self, commitment: Commitment) {
        self.capacities.commitment = commitment;
    }

    /// A catalog with the peaks that were stored. Those of streams that are gone are left out.
    pub(in super::super) fn with_peaks(
        mut self,
        peaks: impl IntoIterator<Item = (StreamId, Peaks)>,
    ) -> Result<Self, Inconsistency> {
        for (stream, peaks) in peaks {
            if stream.get() >= self.counters.next_stream {
                return Err(Inconsistency(format!(
                    "peaks: the id {stream} of their stream has not been given out"
                )));
            }
            if self.names.contains_key(&stream) {
                self.set_peaks(stream, peaks);
            }
        }
        Ok(self)
    }

    /// The peaks of a stream's traffic, if it was on demand and had some.
    pub fn peaks(&self, stream: StreamId) -> Option<&Peaks> {
        self.capacities.peaks.get(&stream)
    }

    pub(super) fn set_peaks(&mut self, stream: StreamId, peaks: Peaks) {
        self.capacities.peaks.insert(stream, peaks);
    }

    /// Open shards that one stream may have.
    pub fn shards_per_stream(&self) -> u32 {
        self.limits.shards_per_stream
    }

    pub(super) fn set_capacity(&mut self, stream: StreamId, capacity: Capacity) {
        if capacity == Capacity::default() {
            self.capacities.of_streams.remove(&stream);
        } else {
            self.capacities.of_streams.insert(stream, capacity);
        }
    }
}
