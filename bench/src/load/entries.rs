//! Runs of entries as a server sends them, checked to be whole and without a gap.
//!
//! Every entry's header is read, so a record that is missing or comes twice is an error; its data is received and not looked at.

use bytes::Bytes;
use tidemill_wire::batch::payload_bytes_of;
use tidemill_wire::entry::{ENTRY_HEADER_BYTES, EntryError, EntryHeader, EntryKind};
use tidemill_wire::message::Fetched;
use tidemill_wire::numbered::NumberedBatch;

use crate::error::BenchError;

/// Goes over the batches of a run. Returns the bytes of keys and data in it.
pub(super) fn walk(
    fetched: &Fetched,
    run: &[u8],
    mut batch: impl FnMut(&EntryHeader, &[u8]),
) -> Result<u64, BenchError> {
    let mut bytes = 0;
    let mut due = None;
    let mut offset = 0;
    while let Some(rest) = run.get(offset..).filter(|rest| !rest.is_empty()) {
        let fault = |source| BenchError::Entry { offset, source };
        let header = EntryHeader::decode(rest).map_err(fault)?;
        let payload = rest.get(ENTRY_HEADER_BYTES..header.length as usize).ok_or_else(|| {
            fault(EntryError::Truncated { needed: header.length as usize, found: rest.len() })
        })?;
        if header.kind == EntryKind::Watermarks {
            return Err(fault(EntryError::Kind { kind: header.kind as u8 }));
        }
        // The first entry may begin before the record that was asked for.
        let expected = due.unwrap_or(header.base_sequence.min(fetched.from_sequence));
        if header.base_sequence != expected {
            return Err(BenchError::Gap { expected, found: header.base_sequence });
        }
        due = Some(header.next_sequence());
        bytes += payload_bytes(&header, payload)?;
        batch(&header, payload);
        offset += header.stride();
    }
    let end = due.unwrap_or(fetched.from_sequence);
    if end != fetched.next_sequence {
        return Err(BenchError::Gap { expected: fetched.next_sequence, found: end });
    }
    Ok(bytes)
}

fn payload_bytes(entry: &EntryHeader, payload: &[u8]) -> Result<u64, BenchError> {
    // A batch as it was appended tells by its header; what compaction has left of others has to be taken apart.
    if let Some(bytes) = payload_bytes_of(payload).filter(|_| entry.kind == EntryKind::Batch) {
        return Ok(bytes);
    }
    let numbered = NumberedBatch::parse(entry, Bytes::copy_from_slice(payload))
        .map_err(|source| BenchError::StoredBatch { base: entry.base_sequence, source })?;
    let batch = numbered.as_ref().and_then(NumberedBatch::batch);
    Ok(batch.map_or(0, |batch| batch.payload_bytes() as u64))
}

#[cfg(test)]
mod tests;
