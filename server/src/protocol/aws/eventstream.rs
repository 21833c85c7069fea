//! Frames of `application/vnd.amazon.eventstream`: events one after the other in the body of an answer.
//!
//! ```text
//! 4      bytes of the frame, these and the last checksum included, big-endian
//! 4      bytes of its headers, big-endian
//! 4      CRC-32 of the eight bytes before
//! h      headers: for each 1 byte with the length of its name, the name, 1 byte with the type of its value, here always 7 = text,
//!        2 bytes with the length of the text, big-endian, and the text
//! n      payload
//! 4      CRC-32 of everything before
//! ```

use bytes::Bytes;

use super::Encoding;

/// The media type of a body of frames.
pub(super) const MEDIA_TYPE: &str = "application/vnd.amazon.eventstream";

/// What stands before the headers.
const PRELUDE_BYTES: usize = 12;
const CHECKSUM_BYTES: usize = 4;
/// The type of texts.
const TEXT: u8 = 7;

/// Frames an event of this type, whose payload is written in this encoding.
pub(super) fn event(kind: &str, encoding: Encoding, payload: &[u8]) -> Bytes {
    frame(
        &[(":event-type", kind), (":content-type", encoding.media_type()), (":message-type", "event")],
        payload,
    )
}

/// Frames the error that ends a stream of events.
pub(super) fn exception(name: &str, encoding: Encoding, payload: &[u8]) -> Bytes {
    frame(
        &[
            (":exception-type", name),
            (":content-type", encoding.media_type()),
            (":message-type", "exception"),
        ],
        payload,
    )
}

/// Headers and payload are of the server's own making, and far below what the lengths can count.
fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Bytes {
    let header_bytes: usize = headers.iter().map(|(name, value)| 4 + name.len() + value.len()).sum();
    let total = PRELUDE_BYTES + header_bytes + payload.len() + CHECKSUM_BYTES;
    let count =
        |bytes: usize| u32::try_from(bytes).expect("an event is bounded far below 4 GiB").to_be_bytes();
    let mut out = Vec::with_capacity(total);
    out.extend(count(total));
    out.extend(count(header_bytes));
    out.extend(crc32fast::hash(&out).to_be_bytes());
    for (name, value) in headers {
        out.push(u8::try_from(name.len()).expect("names of headers are short"));
        out.extend(name.as_bytes());
        out.push(TEXT);
        out.extend(u16::try_from(value.len()).expect("values of headers are short").to_be_bytes());
        out.extend(value.as_bytes());
    }
    out.extend(payload);
    out.extend(crc32fast::hash(&out).to_be_bytes());
    out.into()
}

#[cfg(test)]
pub(super) mod tests;
