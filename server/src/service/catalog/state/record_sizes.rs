//! How large the records of a stream may be, for streams of which AWS clients have said so.
//!
//! Apart from the stream itself, for the protocols that know such a bound see to it, and others have none.

use tidemill_wire::StreamId;

use super::super::error::{Inconsistency, RecordSizeError};
use super::State;

/// KiB of a record's key and data of a stream of which nobody has said anything, and the least that may be said.
pub const RECORD_KIB_MIN: u32 = 1_024;
/// The most that may be said.
pub const RECORD_KIB_MAX: u32 = 10_240;

impl State {
    /// A catalog with the sizes that were stored. Those of streams that are gone are left out, as consumers are.
    pub(in super::super) fn with_record_sizes(
        mut self,
        sizes: impl IntoIterator<Item = (StreamId, u32)>,
    ) -> Result<Self, Inconsistency> {
        for (stream, kib) in sizes {
            if stream.get() >= self.counters.next_stream {
                return Err(Inconsistency(format!(
                    "a record size: the id {stream} of its stream has not been given out"
                )));
            }
            if !(RECORD_KIB_MIN..=RECORD_KIB_MAX).contains(&kib) {
                return Err(Inconsistency(format!("stream {stream}: records of {kib} KiB are out of range")));
            }
            if self.names.contains_key(&stream) {
                self.record_sizes.insert(stream, kib);
            }
        }
        Ok(self)
    }

    /// Whether a stream has a bound of its own.
    pub(in super::super) fn has_record_size(&self, stream: StreamId) -> bool {
        self.record_sizes.contains_key(&stream)
    }

    /// KiB that a record of a stream may have.
    pub fn record_kib(&self, stream: StreamId) -> u32 {
        self.record_sizes.get(&stream).copied().unwrap_or(RECORD_KIB_MIN)
    }

    /// Whether a stream's records may have this size.
    pub(in super::super) fn plan_record_size(
        &self,
        stream: StreamId,
        kib: u32,
    ) -> Result<(), RecordSizeError> {
        if !self.names.contains_key(&stream) {
            return Err(RecordSizeError::Unknown { stream });
        }
        if !(RECORD_KIB_MIN..=RECORD_KIB_MAX).contains(&kib) {
            return Err(RecordSizeError::OutOfRange { kib });
        }
        Ok(())
    }
}
