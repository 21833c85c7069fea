//! The payload of a watermarks entry: next sequence numbers of owners whose last mention is about to be retired.

use tidemill_wire::{OwnerId, SequenceNumber};

use super::bytes::{Fields, Put};

/// Bytes of one row.
pub(crate) const WATERMARK_BYTES: usize = 16;

pub(crate) fn encode(rows: &[(OwnerId, SequenceNumber)]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(rows.len() * WATERMARK_BYTES);
    for (owner, next) in rows {
        payload.put_u64(owner.0);
        payload.put_u64(next.0);
    }
    payload
}

/// The rows; what is left of an incomplete last row is ignored, since the entry's checksum vouches for the payload.
pub(crate) fn decode(payload: &[u8]) -> impl Iterator<Item = (OwnerId, SequenceNumber)> + '_ {
    payload.chunks_exact(WATERMARK_BYTES).filter_map(|row| {
        let mut fields = Fields(row);
        Some((OwnerId(fields.u64()?), SequenceNumber(fields.u64()?)))
    })
}
