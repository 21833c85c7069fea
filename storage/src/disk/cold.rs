//! Reading what is not in memory, past the page cache.
//!
//! A page fault would stop every task of the core, and so would the copying and allocating of a read through the page cache: with the kernel's read-ahead
//! that is milliseconds at a time. Past it the disk writes into a block by itself. Where a file system cannot do that, a worker of the ring
//! waits and copies. Leaves out what is in memory.

use std::{
    cell::{Cell, OnceCell},
    ffi::CString,
    io,
    ops::Range,
    os::fd::{AsRawFd, OwnedFd},
    rc::Rc,
};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::{
    block::{ALIGNMENT, Block, Blocks},
    gate::{Gate, Passage},
};
use crate::{
    limits::{COLD_TURN_WINDOWS, COLD_TURNS},
    ring::Ring,
};

/// What the files of a disk share.
pub(super) struct Cold {
    ring: Ring,
    blocks: Blocks,
    gate: Gate,
    /// The file system has not refused to go past the page cache.
    direct: Cell<bool>,
}

/// A file as cold reads see it.
pub(super) struct ColdFile {
    descriptor: Rc<OwnedFd>,
    /// The same file, past the page cache; opened when it is first needed.
    direct: OnceCell<Rc<OwnedFd>>,
}

/// Where some of a window's bytes are read to.
struct Part {
    /// Of the file.
    start: u64,
    /// In the block.
    at: usize,
    bytes: usize,
}

impl ColdFile {
    pub(super) fn new(descriptor: Rc<OwnedFd>) -> Self {
        Self { descriptor, direct: OnceCell::new() }
    }
}

impl Cold {
    pub(super) fn new(ring: Ring, gate: Gate) -> Rc<Self> {
        Rc::new(Self { ring, blocks: Blocks::new(), gate, direct: Cell::new(true) })
    }

    /// Waits until so many bytes may be read past this home.
    pub(super) async fn pass(&self, bytes: usize) -> Passage {
        self.gate.pass(bytes).await
    }

    /// Reads windows of a file. `None` while too much of what was read before is still held.
    pub(super) async fn read(
        &self,
        file: &ColdFile,
        windows: &[Range<u64>],
    ) -> io::Result<Option<Vec<Bytes>>> {
        let (shares, places, bytes) = divide(windows, self.gate.turn_bytes())?;
        let Some(block) = self.blocks.take(bytes) else { return Ok(None) };
        let block = Rc::new(block);
        let reads = stream::iter(&shares).map(|share| self.read_share(file, &block, share));
        reads.buffer_unordered(COLD_TURNS).try_collect::<()>().await?;
        let whole = block.filled().expect("all reads into the block have completed");
        let cut = |(window, place): (&Range<u64>, &usize)| {
            whole.slice(*place..place + (window.end - window.start) as usize)
        };
        Ok(Some(windows.iter().zip(&places).map(cut).collect()))
    }

    /// Reads what may be read in one turn.
    async fn read_share(&self, file: &ColdFile, block: &Rc<Block>, share: &[Part]) -> io::Result<()> {
        let _passage = self.gate.pass(share.iter().map(|part| part.bytes).sum()).await;
        let reads = stream::iter(share).map(|part| self.read_part(file, block, part));
        reads.buffer_unordered(COLD_TURN_WINDOWS).try_collect::<()>().await
    }

    async fn read_part(&self, file: &ColdFile, block: &Rc<Block>, part: &Part) -> io::Result<()> {
        let mut done = 0;
        while done < part.bytes {
            let (start, at, bytes) = (part.start + done as u64, part.at + done, part.bytes - done);
            match self.read_some(file, block, start, at, bytes).await {
                // The next read begins at a multiple again.
                Ok(moved) if moved >= ALIGNMENT.min(bytes) => done += moved / ALIGNMENT * ALIGNMENT,
                Ok(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn read_some(
        &self,
        file: &ColdFile,
        block: &Rc<Block>,
        start: u64,
        at: usize,
        bytes: usize,
    ) -> io::Result<usize> {
        if let Some(direct) = self.direct(file).await {
            match self.ring.read_into(&direct, start, block, at, bytes, false).await {
                Err(error) if refuses(&error) => self.direct.set(false),
                result => return result,
            }
        }
        self.ring.read_into(&file.descriptor, start, block, at, bytes, true).await
    }

    /// As if the file system had.
    #[cfg(test)]
    pub(super) fn refuse_direct(&self) {
        self.direct.set(false);
    }

    async fn direct(&self, file: &ColdFile) -> Option<Rc<OwnedFd>> {
        if let Some(direct) = file.direct.get() {
            return Some(Rc::clone(direct));
        }
        if !self.direct.get() {
            return None;
        }
        // By its number: a segment's name may change at any time.
        let path = CString::new(format!("/proc/self/fd/{}", file.descriptor.as_raw_fd())).ok()?;
        match self.ring.open(path, libc::O_RDONLY | libc::O_DIRECT, 0).await {
            Ok(direct) => Some(Rc::clone(file.direct.get_or_init(|| Rc::new(direct)))),
            Err(error) => {
                // A process that is out of descriptors may have one the next time.
                self.direct.set(!refuses(&error));
                None
            }
        }
    }
}

/// Cuts windows into shares of one turn of `turn_bytes` each. Returns these, where in a block each window begins, and the bytes of the block.
fn divide(windows: &[Range<u64>], turn_bytes: usize) -> io::Result<(Vec<Vec<Part>>, Vec<usize>, usize)> {
    let mut shares: Vec<Vec<Part>> = Vec::new();
    let mut places = Vec::with_capacity(windows.len());
    let (mut at, mut room) = (0, 0);
    for window in windows {
        let mut start = window.start / ALIGNMENT as u64 * ALIGNMENT as u64;
        places.push(at + (window.start - start) as usize);
        let length = usize::try_from(window.end.saturating_sub(start)).map_err(io::Error::other)?;
        let mut left = length.next_multiple_of(ALIGNMENT);
        while left > 0 {
            if room == 0 || shares.last().is_none_or(|share| share.len() == COLD_TURN_WINDOWS) {
                shares.push(Vec::new());
                room = turn_bytes;
            }
            let bytes = left.min(room);
            if let Some(share) = shares.last_mut() {
                share.push(Part { start, at, bytes });
            }
            (start, at, left, room) = (start + bytes as u64, at + bytes, left - bytes, room - bytes);
        }
    }
    Ok((shares, places, at))
}

/// Whether the file system does not read past the page cache at all.
fn refuses(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP | libc::ENOENT))
}
