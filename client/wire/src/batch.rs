//! The columnar record batch: the same bytes in a producer's frame, in the log and in a fetch's answer.
//!
//! The layout is drawn in `docs/format/record-batch.md`. Checking a batch takes O(records) and touches no data; only
//! a reader of compressed data inflates it, and a batch cannot claim to inflate to more than its codec could reach
//! from the bytes that are there.

mod builder;
mod columns;
mod compression;
mod plan;
mod select;
mod view;

pub use builder::BatchBuilder;
pub use columns::BuildError;
pub use compression::{Compression, CompressionError, UnknownCompression};
pub use plan::{BatchFill, BatchPlan};
pub use select::SelectError;
pub use view::{BatchError, BatchView, Record, Records};

/// Bytes of the fixed part.
pub const BATCH_HEADER_BYTES: usize = 24;

const MAGIC: [u8; 4] = *b"TMB1";
const FLAG_ONE_KEY: u8 = 1;
const FLAG_TIMESTAMPS: u8 = 2;

/// Bytes of keys and data in a batch that was checked before, from its header alone; `None` if the bytes begin no batch.
///
/// For whoever walks entries of the log and counts them against a quota without reading every record's offsets.
#[must_use]
pub fn payload_bytes_of(batch: &[u8]) -> Option<u64> {
    let header = batch.first_chunk::<BATCH_HEADER_BYTES>().filter(|header| header[..4] == MAGIC)?;
    let field = |at: usize| {
        u64::from(u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]))
    };
    Some(field(12) + field(16))
}

/// Where the data column begins in a batch that was checked before, from its header alone; `None` if the bytes begin no batch.
///
/// For whoever reads or writes a record's first bytes in place, as a load generator does.
#[must_use]
pub fn data_offset_of(batch: &[u8]) -> Option<usize> {
    let header = batch.first_chunk::<BATCH_HEADER_BYTES>().filter(|header| header[..4] == MAGIC)?;
    let field = |at: usize| {
        u64::from(u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]))
    };
    let has = |flag: u8| header[5] & flag != 0;
    let per_record = 4 + if has(FLAG_ONE_KEY) { 0 } else { 4 } + if has(FLAG_TIMESTAMPS) { 8 } else { 0 };
    usize::try_from(BATCH_HEADER_BYTES as u64 + field(8) * per_record + field(12)).ok()
}

#[cfg(test)]
mod tests;
