//! Answers as they come: one large buffer, whole frames lent out of it.

use std::io::{self, Read};

use tidemill_wire::frame::{self, FRAME_HEADER_BYTES, FrameError};
use tidemill_wire::limits::FRAME_BYTES_MAX;

use crate::http;

/// One frame, in the buffer's memory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Received<'a> {
    /// The flatbuffers message.
    pub(crate) message: &'a [u8],
    /// The bytes behind it.
    pub(crate) body: &'a [u8],
}

/// The receiving half of a connection.
pub(crate) struct Inbox {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Tells how much the first message is going to take, as far as it can be told.
    announced: fn(&[u8]) -> usize,
}

impl Inbox {
    /// A buffer of so many bytes; it grows when a frame needs more.
    pub(crate) fn new(bytes: usize) -> Self {
        Self::with(bytes.max(FRAME_HEADER_BYTES), |received| {
            let lengths = frame::peek(received, FRAME_BYTES_MAX).ok().flatten();
            lengths.map_or(FRAME_HEADER_BYTES, |lengths| lengths.total)
        })
    }

    /// The same for answers over HTTP.
    pub(crate) fn of_http(bytes: usize) -> Self {
        Self::with(bytes.max(1), |received| {
            let head = http::head(received).ok().flatten();
            head.map_or(0, |head| match head.form {
                http::Form::Whole(body) => head.bytes.saturating_add(body),
                http::Form::Chunks => head.bytes,
            })
        })
    }

    fn with(bytes: usize, announced: fn(&[u8]) -> usize) -> Self {
        Self { buffer: vec![0; bytes], start: 0, end: 0, announced }
    }

    /// What has come and was not taken.
    pub(crate) fn received(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Takes so many bytes, or none until they are there.
    pub(crate) fn take(&mut self, bytes: usize) -> Option<&[u8]> {
        let taken = self.buffer[self.start..self.end].get(..bytes)?;
        self.start += bytes;
        Some(taken)
    }

    /// Reads once, as much as there is room for. 0 means that the other side has closed.
    pub(crate) fn fill(&mut self, stream: &mut impl Read) -> io::Result<usize> {
        self.make_room();
        let bytes = stream.read(&mut self.buffer[self.end..])?;
        self.end += bytes;
        Ok(bytes)
    }

    /// Gives the buffer away to be received into, and says from where on.
    pub(crate) fn lend(&mut self) -> (Vec<u8>, usize) {
        self.make_room();
        (std::mem::take(&mut self.buffer), self.end)
    }

    /// Takes the lent buffer back with so many more bytes in it.
    pub(crate) fn take_back(&mut self, buffer: Vec<u8>, received: usize) {
        self.buffer = buffer;
        self.end += received;
    }

    /// The next whole frame, or `None` until more is read.
    pub(crate) fn next(&mut self) -> Result<Option<Received<'_>>, FrameError> {
        let received = &self.buffer[self.start..self.end];
        let Some(lengths) = frame::peek(received, FRAME_BYTES_MAX)? else { return Ok(None) };
        let Some(whole) = received.get(FRAME_HEADER_BYTES..lengths.total) else { return Ok(None) };
        self.start += lengths.total;
        let (message, body) = whole.split_at(lengths.message);
        Ok(Some(Received { message, body }))
    }

    /// Moves the rest to the front, so that an emptied buffer is used from its warm start again, and grows for a frame
    /// that does not fit.
    fn make_room(&mut self) {
        let rest = self.end - self.start;
        // What is not told may still take more than is there.
        let needed = (self.announced)(self.received()).max(rest + 1);
        if rest == 0 || self.start + needed > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, rest);
        }
        if needed > self.buffer.len() {
            self.buffer.resize(needed.next_power_of_two(), 0);
        }
    }
}

#[cfg(test)]
mod tests;
