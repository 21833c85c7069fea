//! The columnar record batch: the same bytes in a producer's frame, in the log and in a fetch's answer.
//!
//! ```text
//! offset  size      field               little-endian
//! 0       4         magic               "TMB1"
//! 4       1         compression         of the data column: 0 none, 1 LZ4 block, 2 Zstandard frame
//! 5       1         flags               bit 0: one key for all records; bit 1: timestamps
//! 6       2         reserved            0
//! 8       4         record count n      1…65,536
//! 12      4         keys length         bytes of the key column
//! 16      4         data length         bytes of the data column as stored
//! 20      4         raw data length     bytes of the data column before compression
//! 24      8·n       timestamps          only with bit 1: milliseconds since the epoch
//! …       4·n       data ends           record i's data is raw[end(i-1)..end(i)], end(-1) = 0
//! …       4·n       key ends            without bit 0; with it the whole key column is every record's key
//! …       …         keys
//! …       …         data
//! ```
//!
//! Checking a batch takes O(records) and touches no data; only a reader of compressed data inflates it.

mod builder;
mod compression;
mod view;

pub use builder::{BatchBuilder, BuildError};
pub use compression::{Compression, CompressionError};
pub use view::{BatchError, BatchView, Record, Records};

/// Bytes of the fixed part.
pub const BATCH_HEADER_BYTES: usize = 24;

const MAGIC: [u8; 4] = *b"TMB1";
const FLAG_ONE_KEY: u8 = 1;
const FLAG_TIMESTAMPS: u8 = 2;

#[cfg(test)]
mod tests;
