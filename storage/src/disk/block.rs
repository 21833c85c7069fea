//! Memory that cold reads fill: used again, bounded, and aligned as a disk wants it.
//!
//! Promises that what is handed out never exceeds its bound, wherever it is dropped: the bytes of a read may end on another core. Leaves out who reads what.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
};

use bytes::Bytes;

use crate::limits::{COLD_BLOCK_BYTES, COLD_BYTES_MAX, IDLE_BLOCKS_MAX};

/// Positions, lengths and memory of a read past the page cache are multiples of this.
pub(super) const ALIGNMENT: usize = 4096;

/// Memory of a block that is used again, with room to begin at a multiple.
const BLOCK_SIZE: usize = COLD_BLOCK_BYTES + ALIGNMENT;

/// Where blocks come from.
pub(super) struct Blocks {
    home: Arc<Home>,
    idle: RefCell<Receiver<Vec<u8>>>,
}

/// Where blocks go back to, from any core.
struct Home {
    /// Bytes that are handed out.
    out: AtomicUsize,
    /// Blocks on their way back or there.
    idle: AtomicUsize,
    back: Sender<Vec<u8>>,
}

impl Blocks {
    pub(super) fn new() -> Self {
        let (back, idle) = channel();
        let home = Home { out: AtomicUsize::new(0), idle: AtomicUsize::new(0), back };
        Self { home: Arc::new(home), idle: RefCell::new(idle) }
    }

    /// Memory for so many bytes; `None` while too much is out.
    pub(super) fn take(&self, bytes: usize) -> Option<Block> {
        let size = bytes.max(COLD_BLOCK_BYTES) + ALIGNMENT;
        let out = self.home.out.load(Ordering::Relaxed);
        if out > 0 && out + size > COLD_BYTES_MAX {
            return None;
        }
        let mut memory = self.memory(size);
        self.home.out.fetch_add(size, Ordering::Relaxed);
        let base = memory.as_mut_ptr();
        let start = base.align_offset(ALIGNMENT);
        let memory = Memory { bytes: memory, home: Arc::clone(&self.home) };
        Some(Block { base: base.wrapping_add(start), bytes, start, memory })
    }

    fn memory(&self, size: usize) -> Vec<u8> {
        let idle = if size == BLOCK_SIZE { self.idle.borrow_mut().try_recv().ok() } else { None };
        if idle.is_some() {
            self.home.idle.fetch_sub(1, Ordering::Relaxed);
        }
        idle.unwrap_or_else(|| vec![0; size])
    }
}

/// Memory that goes home when it is dropped.
struct Memory {
    bytes: Vec<u8>,
    home: Arc<Home>,
}

impl Drop for Memory {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.home.out.fetch_sub(bytes.len(), Ordering::Relaxed);
        if bytes.len() != BLOCK_SIZE {
            return;
        }
        if self.home.idle.fetch_add(1, Ordering::Relaxed) < IDLE_BLOCKS_MAX {
            // The disk may be gone, and with it whoever could use this again.
            drop(self.home.back.send(bytes));
        } else {
            self.home.idle.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A block that is being filled. Nobody looks at it meanwhile but the kernel.
pub(crate) struct Block {
    base: *mut u8,
    bytes: usize,
    start: usize,
    memory: Memory,
}

impl Block {
    /// Where its bytes from `at` on are in memory, and how many there are.
    pub(crate) fn rest(&self, at: usize) -> (*mut u8, usize) {
        assert!(at <= self.bytes, "a read begins within its block");
        (self.base.wrapping_add(at), self.bytes - at)
    }

    /// Its bytes, when nothing fills it any more.
    pub(super) fn filled(self: Rc<Self>) -> Option<Bytes> {
        let Self { bytes, start, memory, .. } = Rc::into_inner(self)?;
        Some(Bytes::from_owner(Filled(memory)).slice(start..start + bytes))
    }
}

struct Filled(Memory);

impl AsRef<[u8]> for Filled {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

#[cfg(test)]
mod tests;
