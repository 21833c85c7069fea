//! Buffers for large frames, used again: memory that was touched before takes bytes several times as fast as new memory.

use async_channel::{Receiver, Sender};
use bytes::Bytes;

use super::limits::{BUFFER_BYTES_MIN, IDLE_BUFFERS_MAX, IDLE_BYTES_MAX};

/// Sizes from `BUFFER_BYTES_MIN` on, each twice the one before.
const SIZES: usize = 11;

const _: () = assert!(BUFFER_BYTES_MIN << (SIZES - 1) >= tidemill_wire::limits::FRAME_BYTES_MAX as usize + 4);

/// The buffers of one core.
#[derive(Debug)]
pub(super) struct BufferPool {
    sizes: [Shelf; SIZES],
}

/// Idle buffers of one size.
#[derive(Debug)]
struct Shelf {
    home: Sender<Vec<u8>>,
    idle: Receiver<Vec<u8>>,
}

/// A buffer that goes back to its pool. Its bytes are always initialised, whoever had it before.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// Where it goes; the last view of a frame may be dropped on another core.
    home: Sender<Vec<u8>>,
}

impl BufferPool {
    pub(super) fn new() -> Self {
        let shelf = |size: usize| {
            let fitting = IDLE_BYTES_MAX / (BUFFER_BYTES_MIN << size);
            let (home, idle) = async_channel::bounded(fitting.clamp(1, IDLE_BUFFERS_MAX));
            Shelf { home, idle }
        };
        Self { sizes: std::array::from_fn(shelf) }
    }

    /// A buffer of at least `bytes` bytes, which is at most the largest frame.
    pub(super) fn take(&self, bytes: usize) -> Buffer {
        let doublings = bytes.div_ceil(BUFFER_BYTES_MIN).next_power_of_two().ilog2() as usize;
        let size = doublings.min(SIZES - 1);
        let Shelf { home, idle } = &self.sizes[size];
        let bytes = idle.try_recv().unwrap_or_else(|_| vec![0; BUFFER_BYTES_MIN << size]);
        Buffer { bytes, home: home.clone() }
    }
}

impl Buffer {
    pub(super) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The first `bytes` bytes, to be shared; the buffer goes home with the last view.
    pub(super) fn freeze(self, bytes: usize) -> Bytes {
        Bytes::from_owner(self).slice(..bytes)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // With enough idle buffers at home, or no home any more, the memory is given back.
        let _ = self.home.try_send(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests;
