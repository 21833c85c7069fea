//! Requests on their way: many frames leave with one write, from the memory they were built in.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

use bytes::{Buf, Bytes};

/// Slices in one write: enough that small frames leave by the ten thousand bytes. The kernel takes 1,024.
const SLICES_PER_WRITE: usize = 256;

/// A request's frame, ready to send.
#[derive(Clone, Debug)]
pub(crate) struct RequestFrame {
    /// Header and message.
    pub(crate) head: Bytes,
    /// The raw bytes behind it, shared by all requests of a connection.
    pub(crate) body: Bytes,
}

/// The sending half of a connection.
#[derive(Default)]
pub(crate) struct Outbox {
    parts: VecDeque<Bytes>,
}

impl Outbox {
    /// Queues a frame.
    pub(crate) fn push(&mut self, frame: RequestFrame) {
        self.parts.extend([frame.head, frame.body].into_iter().filter(|part| !part.is_empty()));
    }

    /// Whether everything was handed to the socket.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Writes until nothing is left, or until the socket takes no more (`WouldBlock`).
    pub(crate) fn flush(&mut self, stream: &mut impl Write) -> io::Result<()> {
        while !self.parts.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
            let count = self.parts.len().min(SLICES_PER_WRITE);
            for (slice, part) in slices.iter_mut().zip(&self.parts) {
                *slice = IoSlice::new(part);
            }
            match stream.write_vectored(&slices[..count]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.parts.front_mut() {
            if written < first.len() {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.parts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
