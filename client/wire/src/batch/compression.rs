//! Compression of the data column, by the client only: the home of the LZ4 and Zstandard crates.

use std::fmt;

use crate::limits::BATCH_DATA_RAW_BYTES_MAX;

/// An LZ4 match of 255 bytes costs at least one.
const LZ4_RATIO_MAX: u64 = 255;
/// A Zstandard block of 128 KiB costs at least its header of three bytes and one more.
const ZSTD_RATIO_MAX: u64 = 32_768;

/// How the data column is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Compression {
    /// As it is.
    #[default]
    None = 0,
    /// One LZ4 block ([format](https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md)).
    Lz4 = 1,
    /// One Zstandard frame ([RFC 8878](https://www.rfc-editor.org/rfc/rfc8878)).
    Zstd = 2,
}

/// Why a data column could not be inflated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    /// The compressed bytes are not what their codec writes.
    #[error("{codec} data is damaged: {reason}")]
    Damaged {
        /// The codec named by the batch.
        codec: Compression,
        /// The decoder's words.
        reason: String,
    },
    /// The inflated size is not what the batch says.
    #[error("{codec} data inflates to {found} bytes, the batch says {expected}")]
    Length {
        /// The codec named by the batch.
        codec: Compression,
        /// What the batch says.
        expected: usize,
        /// What came out.
        found: usize,
    },
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        })
    }
}

/// The text is none of `none`, `lz4` and `zstd`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("compression {found:?} is not known, expected none, lz4 or zstd")]
pub struct UnknownCompression {
    /// The text.
    pub found: String,
}

impl std::str::FromStr for Compression {
    type Err = UnknownCompression;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::None),
            "lz4" => Ok(Self::Lz4),
            "zstd" => Ok(Self::Zstd),
            _ => Err(UnknownCompression { found: text.to_owned() }),
        }
    }
}

impl Compression {
    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::None),
            1 => Some(Self::Lz4),
            2 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The most bytes that so many stored ones can inflate to, at most [`BATCH_DATA_RAW_BYTES_MAX`].
    pub(super) fn raw_bytes_max(self, stored: u32) -> u64 {
        let reach = match self {
            Self::None => return stored.into(),
            Self::Lz4 => u64::from(stored) * LZ4_RATIO_MAX,
            Self::Zstd => u64::from(stored) * ZSTD_RATIO_MAX,
        };
        reach.min(BATCH_DATA_RAW_BYTES_MAX.into())
    }

    /// Compresses a column; `None` when that would not make it smaller.
    pub(super) fn deflate(self, raw: &[u8]) -> Option<Vec<u8>> {
        let packed = match self {
            Self::None => return None,
            Self::Lz4 => lz4_flex::block::compress(raw),
            Self::Zstd => zstd::bulk::compress(raw, ZSTD_LEVEL).ok()?,
        };
        (packed.len() < raw.len()).then_some(packed)
    }

    /// Inflates a column that the batch says has `raw_bytes` bytes, which the view has found to be within
    /// [`raw_bytes_max`](Self::raw_bytes_max).
    pub(super) fn inflate(self, stored: &[u8], raw_bytes: usize) -> Result<Vec<u8>, CompressionError> {
        let damaged = |reason: String| CompressionError::Damaged { codec: self, reason };
        let raw = match self {
            Self::None => stored.to_vec(),
            Self::Lz4 => {
                lz4_flex::block::decompress(stored, raw_bytes).map_err(|e| damaged(e.to_string()))?
            }
            Self::Zstd => zstd::bulk::decompress(stored, raw_bytes).map_err(|e| damaged(e.to_string()))?,
        };
        if raw.len() != raw_bytes {
            return Err(CompressionError::Length { codec: self, expected: raw_bytes, found: raw.len() });
        }
        Ok(raw)
    }
}

/// Zstandard's own default: logs shrink about four times at a few hundred MB/s.
const ZSTD_LEVEL: i32 = 3;
