//! Frames of the native protocol: how a message and its raw body lie in the byte stream.
//!
//! They are drawn in `docs/protocol/native.md`. Cutting frames copies nothing: message and body are slices of what
//! was received.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::limits::MESSAGE_BYTES_MAX;

/// Bytes of the two length fields.
pub const FRAME_HEADER_BYTES: usize = 8;

/// One whole frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The flatbuffers message, not yet verified.
    pub message: Bytes,
    /// The raw bytes behind it.
    pub body: Bytes,
}

/// Why received bytes are not a frame. The connection cannot go on: the next frame's start is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The frame is larger than the receiver allows.
    #[error("frame of {length} bytes is over the limit of {limit} bytes")]
    TooLarge {
        /// The announced length.
        length: u32,
        /// The receiver's limit.
        limit: u32,
    },
    /// The frame has no room for its own message length.
    #[error("frame of {length} bytes is too short for a message")]
    TooShort {
        /// The announced length.
        length: u32,
    },
    /// The message does not fit the frame, or is over its own limit.
    #[error(
        "message of {message} bytes does not fit a frame of {length} bytes (limit {MESSAGE_BYTES_MAX} bytes)"
    )]
    Message {
        /// The announced length of the message.
        message: u32,
        /// The frame's length.
        length: u32,
    },
}

/// The lengths at a frame's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLengths {
    /// Bytes of the whole frame on the wire, the length field included.
    pub total: usize,
    /// Bytes of the message.
    pub message: usize,
}

/// Reads the lengths of the frame that begins at `received`, or `None` while fewer than eight bytes are there.
pub fn peek(received: &[u8], limit: u32) -> Result<Option<FrameLengths>, FrameError> {
    let Some(length) = read_u32(received, 0) else { return Ok(None) };
    if length > limit {
        return Err(FrameError::TooLarge { length, limit });
    }
    if length < 4 {
        return Err(FrameError::TooShort { length });
    }
    let Some(message) = read_u32(received, 4) else { return Ok(None) };
    if message > length - 4 || message > MESSAGE_BYTES_MAX {
        return Err(FrameError::Message { message, length });
    }
    Ok(Some(FrameLengths { total: length as usize + 4, message: message as usize }))
}

/// Cuts the first whole frame off `received`, or returns `None` while it is incomplete.
pub fn cut(received: &mut BytesMut, limit: u32) -> Result<Option<Frame>, FrameError> {
    let Some(lengths) = peek(received, limit)? else { return Ok(None) };
    if received.len() < lengths.total {
        return Ok(None);
    }
    let mut whole = received.split_to(lengths.total).freeze();
    whole.advance(FRAME_HEADER_BYTES);
    let message = whole.split_to(lengths.message);
    Ok(Some(Frame { message, body: whole }))
}

/// Appends a frame's header and message to `out`; `body_bytes` bytes of body must follow.
///
/// # Panics
/// The message is over [`MESSAGE_BYTES_MAX`] or the frame over 4 GiB, which the bounds on all their parts exclude.
pub fn put(out: &mut BytesMut, message: &[u8], body_bytes: usize) {
    assert!(
        message.len() <= MESSAGE_BYTES_MAX as usize,
        "no peer takes a message of {} bytes",
        message.len()
    );
    let length = u32::try_from(4 + message.len() + body_bytes).expect("a frame is bounded far below 4 GiB");
    let message_length = u32::try_from(message.len()).expect("shorter than its frame");
    out.reserve(FRAME_HEADER_BYTES + message.len());
    out.put_u32_le(length);
    out.put_u32_le(message_length);
    out.put_slice(message);
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(field.try_into().ok()?))
}

#[cfg(test)]
mod tests;
