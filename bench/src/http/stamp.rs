//! A time in the first characters of a text in base64, to know when a record was meant to leave.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A time of eight bytes and one more, so that it is a whole number of characters.
pub(crate) const STAMP_CHARS: usize = 12;

/// A time as the first characters of a text. What is decoded of it begins with the time.
pub(crate) fn stamp(time_ns: u64) -> [u8; STAMP_CHARS] {
    let mut bytes = [0; STAMP_CHARS / 4 * 3];
    if let Some(first) = bytes.first_chunk_mut() {
        *first = time_ns.to_le_bytes();
    }
    let mut text = [0; STAMP_CHARS];
    STANDARD.encode_slice(bytes, &mut text).expect("nine bytes are twelve characters");
    text
}

/// The time that a text begins with.
pub(crate) fn read_stamp(text: &[u8]) -> Option<u64> {
    let mut bytes = [0; STAMP_CHARS / 4 * 3];
    STANDARD.decode_slice(text.get(..STAMP_CHARS)?, &mut bytes).ok()?;
    bytes.first_chunk().map(|first| u64::from_le_bytes(*first))
}

/// Bytes in base64.
pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests;
