//! Capacities in the catalog, of the streams that have another than the default.
//!
//! Apart from the stream itself, for the protocols that know of capacities see to them, and others have none.
//! Invariant: a stream that is provisioned is neither kept warm nor spread evenly (`tests::capacities`).

use tidemill_wire::StreamId;

use super::super::error::Inconsistency;
use super::State;
use crate::service::capacity::Capacity;

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

    pub(super) fn set_capacity(&mut self, stream: StreamId, capacity: Capacity) {
        if capacity == Capacity::default() {
            self.capacities.remove(&stream);
        } else {
            self.capacities.insert(stream, capacity);
        }
    }
}
