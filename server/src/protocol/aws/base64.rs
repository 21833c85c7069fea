//! Base64 of records, with the processor's wide registers: without them it is the largest part of a large call after its digest.
//!
//! Promises to take and to give exactly what the plain implementation does; where the fast one refuses, the plain one has the last word.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64_simd::STANDARD as FAST;

/// Appends the text of these bytes.
pub(super) fn encode_into(bytes: &[u8], out: &mut Vec<u8>) {
    FAST.encode_append(bytes, out);
}

/// Appends the bytes that a text means; `out` may have more in it than before if it means none.
pub(super) fn decode_into(text: &[u8], out: &mut Vec<u8>) -> Result<(), base64::DecodeError> {
    let before = out.len();
    if FAST.decode_append(text, out).is_ok() {
        return Ok(());
    }
    out.truncate(before);
    STANDARD.decode_vec(text, out)
}

/// How many bytes a text means, if it means any.
pub(super) fn decoded_bytes(text: &[u8]) -> usize {
    let padding = text.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
    (text.len() / 4 * 3).saturating_sub(padding)
}

/// The bytes that a text means.
pub(super) fn decode(text: &[u8]) -> Result<Vec<u8>, base64::DecodeError> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    decode_into(text, &mut out).map(|()| out)
}

#[cfg(test)]
mod tests;
