//! Texts in the JSON of an answer, found by the names before them and not by reading the whole: the generator's own work is to be small beside the server's.
//!
//! For texts without escapes, as those that the generator looks for are: base64, numbers and handles.

use memchr::{memchr, memmem};

/// The texts behind each `pattern`, which ends with the text's opening quote, up to the closing one.
pub(crate) fn texts<'b>(body: &'b [u8], pattern: &'b str) -> impl Iterator<Item = &'b [u8]> {
    let found = memmem::find_iter(body, pattern);
    found.filter_map(move |at| {
        let rest = body.get(at + pattern.len()..)?;
        rest.get(..memchr(b'"', rest)?)
    })
}

/// Bytes that a text in base64 stands for.
pub(crate) fn decoded_bytes(text: &[u8]) -> usize {
    let padding = text.iter().rev().take(2).filter(|byte| **byte == b'=').count();
    (text.len() / 4 * 3).saturating_sub(padding)
}

#[cfg(test)]
mod tests;
