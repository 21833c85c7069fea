//! Puts frames together from what is read.
//!
//! Small frames are cut from one copy of everything that a read brought; a large frame is received into a buffer of its own, straight from
//! the socket. An idle connection holds nothing.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tidemill_wire::frame::{self, FRAME_HEADER_BYTES, Frame, FrameError, FrameLengths};

use super::buffers::Buffer;
use super::limits::{LARGE_BEGINNING_BYTES, SMALL_FRAME_BYTES_MAX};
use crate::gate::budget::Permit;
use crate::net::Socket;

/// The frames of one connection on their way in.
#[derive(Debug)]
pub(super) struct Assembler {
    frame_bytes_max: u32,
    /// The beginning of a small frame, or less than a frame's lengths.
    tail: Vec<u8>,
    large: Option<Large>,
    /// The last frame was large, so the next one probably is.
    after_large: bool,
}

#[derive(Debug)]
struct Large {
    buffer: Buffer,
    filled: usize,
    total: usize,
    permit: Permit,
}

/// What a read brought.
#[derive(Debug)]
pub(super) enum Input {
    /// Bytes that begin with a frame, or with the beginning of a large or bad one.
    Chunk(Bytes),
    /// One large frame whose memory is admitted already.
    Large(Frame, Permit),
    /// The peer has finished. `torn` tells whether it did so within a frame.
    End { torn: bool },
}

/// What a chunk begins with.
#[derive(Debug)]
pub(super) enum Cut {
    /// A whole frame.
    Frame(FrameLengths),
    /// A large frame of so many bytes whose rest is to be received.
    Large(usize),
    /// Less than a small frame.
    Rest,
}

impl Assembler {
    pub(super) fn new(frame_bytes_max: u32) -> Self {
        Self { frame_bytes_max, tail: Vec::new(), large: None, after_large: false }
    }

    /// Bytes at least that are missing of a frame that has begun; 0 between frames.
    pub(super) fn missing(&self) -> usize {
        match &self.large {
            Some(large) => large.total - large.filled,
            None if self.tail.is_empty() => 0,
            None => match frame::peek(&self.tail, self.frame_bytes_max) {
                Ok(Some(lengths)) => lengths.total.saturating_sub(self.tail.len()).max(1),
                Ok(None) | Err(_) => 1,
            },
        }
    }

    /// Reads until there is something to do.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        socket: &Socket,
        scratch: &mut [u8],
    ) -> Poll<io::Result<Input>> {
        if self.large.is_some() {
            return self.poll_large(context, socket);
        }
        loop {
            // Of a large frame that follows another only the beginning is read here, and the rest straight into its buffer.
            let window =
                if self.after_large { scratch.len().min(LARGE_BEGINNING_BYTES) } else { scratch.len() };
            let bytes = ready!(socket.poll_read(context, &mut scratch[..window]))?;
            self.after_large = false;
            let read = scratch.get(..bytes).unwrap_or_default();
            if read.is_empty() {
                return Poll::Ready(Ok(Input::End { torn: !self.tail.is_empty() }));
            }
            if self.tail.is_empty() && self.is_chunk(read) {
                return Poll::Ready(Ok(Input::Chunk(Bytes::copy_from_slice(read))));
            }
            self.tail.extend_from_slice(read);
            if self.is_chunk(&self.tail) {
                return Poll::Ready(Ok(Input::Chunk(Bytes::from(std::mem::take(&mut self.tail)))));
            }
        }
    }

    fn poll_large(&mut self, context: &mut Context<'_>, socket: &Socket) -> Poll<io::Result<Input>> {
        let large = self.large.as_mut().expect("the caller has looked");
        while large.filled < large.total {
            let missing = &mut large.buffer.as_mut()[large.filled..large.total];
            let bytes = ready!(socket.poll_read(context, missing))?;
            if bytes == 0 {
                return Poll::Ready(Ok(Input::End { torn: true }));
            }
            large.filled += bytes;
        }
        self.after_large = true;
        let Large { buffer, total, permit, .. } = self.large.take().expect("it was there a moment ago");
        let mut whole = buffer.freeze(total);
        let lengths = frame::peek(&whole, self.frame_bytes_max);
        let Ok(Some(lengths)) = lengths else { unreachable!("the same bytes were looked at before") };
        Poll::Ready(Ok(Input::Large(split(&mut whole, lengths.total, lengths.message), permit)))
    }

    /// Whether there is anything to do with these bytes but to read more.
    fn is_chunk(&self, bytes: &[u8]) -> bool {
        match frame::peek(bytes, self.frame_bytes_max) {
            Ok(None) => false,
            Ok(Some(lengths)) => bytes.len() >= lengths.total || lengths.total > SMALL_FRAME_BYTES_MAX,
            Err(_) => true,
        }
    }

    /// Looks at the first frame of a chunk.
    pub(super) fn cut(&self, chunk: &[u8]) -> Result<Cut, FrameError> {
        match frame::peek(chunk, self.frame_bytes_max)? {
            Some(lengths) if chunk.len() >= lengths.total => Ok(Cut::Frame(lengths)),
            Some(lengths) if lengths.total > SMALL_FRAME_BYTES_MAX => Ok(Cut::Large(lengths.total)),
            Some(_) | None => Ok(Cut::Rest),
        }
    }

    /// Keeps the rest of a chunk that was less than a small frame.
    pub(super) fn keep(&mut self, rest: &[u8]) {
        self.tail.extend_from_slice(rest);
    }

    /// Receives the rest of a large frame into `buffer`, which has room for all `total` bytes of it.
    pub(super) fn keep_large(&mut self, rest: &[u8], mut buffer: Buffer, total: usize, permit: Permit) {
        let (beginning, _) = buffer.as_mut().split_at_mut(rest.len());
        beginning.copy_from_slice(rest);
        self.large = Some(Large { buffer, filled: rest.len(), total, permit });
    }
}

/// Splits a whole frame off; the lengths were checked against each other and against the bytes.
fn split(bytes: &mut Bytes, total: usize, message: usize) -> Frame {
    let mut whole = bytes.split_to(total);
    whole.advance(FRAME_HEADER_BYTES);
    let message = whole.split_to(message);
    Frame { message, body: whole }
}
