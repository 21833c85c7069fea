//! The real disk: files written through a ring into the page cache and read through a map of the same pages.
//!
//! Owns descriptors, maps and the completion of short transfers. Promises that no call blocks its core, but for `list`, `create_directory` and the
//! mapping itself. What is not in memory is read past the page cache: a replay takes no page from those who have theirs there. Any environment may use it; it
//! needs only a [`Ring`] that somebody drives. Leaves out when to write, flush or populate.
#![allow(unsafe_code, reason = "mapping a file is unsafe, since another process could shrink it")]

use std::{
    ffi::CString,
    io,
    ops::Range,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
};

use bytes::{Buf, Bytes};

use crate::{
    env::{Access, Disk, File, WriteMode},
    error::{Cause, DiskError, Operation},
    failpoint::{Step, enter},
    limits::{CHUNK_BYTES, PAGE_BYTES, WRITE_BUFFERS_MAX},
    ring::Ring,
};

mod block;
mod cold;
mod gate;
mod pace;
mod turns;

pub(crate) use block::Block;

use cold::{Cold, ColdFile};
use gate::Gate;

/// Pages whose residency is asked for at a time.
const PAGES_ASKED_MAX: usize = 256;

/// The file system, through a ring.
#[derive(Clone)]
pub struct RingDisk {
    ring: Ring,
    gate: Gate,
    cold: Rc<Cold>,
}

impl RingDisk {
    /// The file system through `ring`, which somebody has to drive. While something is being made durable, reads of what is not in memory get `cold_bytes_per_second_min` at least.
    #[must_use]
    pub fn new(ring: Ring, cold_bytes_per_second_min: u64) -> Self {
        let gate = Gate::new(ring.clone(), cold_bytes_per_second_min);
        Self { cold: Cold::new(ring.clone(), gate.clone()), gate, ring }
    }

    /// The ring underneath.
    #[must_use]
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    async fn open_mapped(
        &self,
        path: PathBuf,
        flags: i32,
        allocate: Option<u64>,
    ) -> Result<RingFile, DiskError> {
        let operation = if allocate.is_some() { Operation::Create } else { Operation::Open };
        let fail = |operation, error| failure(operation, &path, 0, &error);
        let descriptor =
            self.ring.open(c_path(&path)?, flags, 0o640).await.map_err(|e| fail(operation, e))?;
        let descriptor = Rc::new(descriptor);
        if let Some(bytes) = allocate {
            self.ring.allocate(&descriptor, bytes).await.map_err(|e| fail(operation, e))?;
        }
        let status = rustix::fs::fstat(descriptor.as_fd()).map_err(|e| fail(Operation::Open, e.into()))?;
        let bytes = u64::try_from(status.st_size).unwrap_or(0);
        let map = map(&descriptor, bytes).map_err(|e| fail(Operation::Map, e))?;
        let path = std::cell::RefCell::new(path.clone());
        let cold = (Rc::clone(&self.cold), ColdFile::new(Rc::clone(&descriptor)));
        let (ring, gate) = (self.ring.clone(), self.gate.clone());
        Ok(RingFile(Rc::new(Inner { ring, gate, descriptor, cold, map, bytes, path })))
    }
}

impl Disk for RingDisk {
    type File = RingFile;

    async fn create(&self, path: PathBuf, bytes: u64) -> Result<RingFile, DiskError> {
        let passage = enter(Step::Create, &path);
        let result =
            self.open_mapped(path.clone(), libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, Some(bytes)).await;
        if matches!(&result, Err(error) if error.is_full()) {
            // What was allocated before the disk was full would keep others from the rest.
            self.remove(path).await?;
        }
        passage.leave();
        result
    }

    async fn open(&self, path: PathBuf, access: Access) -> Result<RingFile, DiskError> {
        let flags = match access {
            Access::Read => libc::O_RDONLY,
            Access::Write => libc::O_RDWR,
        };
        self.open_mapped(path, flags, None).await
    }

    fn list(&self, directory: &Path) -> Result<Vec<String>, DiskError> {
        let fail = |error: io::Error| failure(Operation::List, directory, 0, &error);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(directory).map_err(fail)? {
            names.push(entry.map_err(fail)?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create_directory(&self, directory: &Path) -> Result<(), DiskError> {
        let fail = |e: io::Error| failure(Operation::CreateDirectory, directory, 0, &e);
        let missing: Vec<&Path> = directory.ancestors().take_while(|path| !path.is_dir()).collect();
        std::fs::create_dir_all(directory).map_err(fail)?;
        // A new name is in the directory above, and must not go with the power.
        for path in missing {
            let Some(parent) = path.parent() else { continue };
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            std::fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(fail)?;
        }
        Ok(())
    }

    async fn rename(&self, file: &RingFile, to: PathBuf) -> Result<(), DiskError> {
        let from = file.0.path.borrow().clone();
        let passage = enter(Step::Rename, &from);
        let result = self.ring.rename(c_path(&from)?, c_path(&to)?).await;
        result.map_err(|e| failure(Operation::Rename, &from, 0, &e))?;
        file.0.path.replace(to);
        passage.leave();
        Ok(())
    }

    async fn remove(&self, path: PathBuf) -> Result<(), DiskError> {
        let passage = enter(Step::Remove, &path);
        self.ring.unlink(c_path(&path)?).await.map_err(|e| failure(Operation::Remove, &path, 0, &e))?;
        passage.leave();
        Ok(())
    }

    async fn resize(&self, path: PathBuf, bytes: u64) -> Result<(), DiskError> {
        let fail = |error| failure(Operation::Resize, &path, 0, &error);
        let passage = enter(Step::Resize, &path);
        let flags = libc::O_RDWR | libc::O_CREAT;
        let descriptor = Rc::new(self.ring.open(c_path(&path)?, flags, 0o640).await.map_err(fail)?);
        let status = rustix::fs::fstat(descriptor.as_fd()).map_err(|e| fail(e.into()))?;
        let before = u64::try_from(status.st_size).unwrap_or(0);
        let cut = |bytes| rustix::fs::ftruncate(&descriptor, bytes).map_err(|e| fail(e.into()));
        if before > bytes {
            // The blocks go through the ring; what is left to this core is a number in the inode.
            self.ring.release(&descriptor, bytes..before).await.map_err(fail)?;
            cut(bytes)?;
        }
        // Also where the size is right: a file that was interrupted while it shrank has holes.
        let allocated = self.ring.allocate(&descriptor, bytes).await.map_err(fail);
        if matches!(&allocated, Err(error) if error.is_full()) {
            if before == 0 {
                self.remove(path.clone()).await?;
            } else {
                cut(before.min(bytes))?;
            }
        }
        passage.leave();
        allocated
    }

    async fn sync_directory(&self, directory: PathBuf) -> Result<(), DiskError> {
        let fail = |error| failure(Operation::SyncDirectory, &directory, 0, &error);
        let passage = enter(Step::SyncDirectory, &directory);
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let descriptor = self.ring.open(c_path(&directory)?, flags, 0).await.map_err(fail)?;
        self.ring.flush(&Rc::new(descriptor), false).await.map_err(fail)?;
        passage.leave();
        Ok(())
    }
}

/// An open, mapped file.
#[derive(Clone)]
pub struct RingFile(Rc<Inner>);

struct Inner {
    ring: Ring,
    gate: Gate,
    descriptor: Rc<OwnedFd>,
    cold: (Rc<Cold>, ColdFile),
    map: Arc<Map>,
    bytes: u64,
    path: std::cell::RefCell<PathBuf>,
}

/// A map of a whole file; there is none of an empty file.
type Map = Option<memmap2::Mmap>;

/// Holds a map for a view. Each view has one, so their number tells whether any is left.
struct View(Arc<Map>);

impl AsRef<[u8]> for View {
    fn as_ref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl RingFile {
    fn failure(&self, operation: Operation, offset: u64, error: &io::Error) -> DiskError {
        failure(operation, &self.0.path.borrow(), offset, error)
    }

    fn short(&self, operation: Operation, offset: u64, wanted: u64, moved: u64) -> DiskError {
        DiskError {
            operation,
            path: self.0.path.borrow().clone(),
            offset,
            cause: Cause::Short { wanted, moved },
        }
    }

    /// What a write is, for failpoints.
    fn step(&self, position: u64, bytes: u64, mode: WriteMode) -> Step {
        let is_page = mode == WriteMode::Durable && bytes == PAGE_BYTES;
        match position {
            0 if is_page => Step::WriteHeader,
            last if is_page && last.checked_add(PAGE_BYTES) == Some(self.0.bytes) => Step::WriteTrailer,
            _ => Step::Write,
        }
    }
}

impl File for RingFile {
    async fn write(&self, position: u64, mut buffers: Vec<Bytes>, mode: WriteMode) -> Result<(), DiskError> {
        let mut wanted: u64 = buffers.iter().map(|buffer| buffer.len() as u64).sum();
        assert!(position.checked_add(wanted).is_some_and(|end| end <= self.0.bytes), "a file never grows");
        let several = buffers.len() > WRITE_BUFFERS_MAX;
        let durable = mode == WriteMode::Durable && !several;
        let passage = enter(self.step(position, wanted, mode), &self.0.path.borrow());
        if passage.ends_amid() {
            buffers = first_half(buffers, &mut wanted);
        }
        let _durable = durable.then(|| self.0.gate.durable());
        let mut moved = 0;
        while moved < wanted {
            let at = position + moved;
            let (result, returned) = self.0.ring.write(&self.0.descriptor, at, buffers, durable).await;
            match result {
                Ok(0) => return Err(self.short(Operation::Write, at, wanted, moved)),
                Ok(bytes) => {
                    moved += bytes as u64;
                    buffers = rest_of(returned, bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => buffers = returned,
                Err(error) => return Err(self.failure(Operation::Write, at, &error)),
            }
        }
        if mode == WriteMode::Durable && several {
            self.flush().await?;
        }
        passage.leave();
        Ok(())
    }

    async fn flush(&self) -> Result<(), DiskError> {
        let passage = enter(Step::Flush, &self.0.path.borrow());
        let _durable = self.0.gate.durable();
        let result = self.0.ring.flush(&self.0.descriptor, true).await;
        result.map_err(|e| self.failure(Operation::Flush, 0, &e))?;
        passage.leave();
        Ok(())
    }

    async fn write_back(&self, window: Range<u64>) -> Result<(), DiskError> {
        let offset = window.start;
        match self.0.ring.write_back(&self.0.descriptor, window).await {
            // Unlike a flush the kernel does not try again by itself; the pages are as dirty as they were.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOMEM | libc::EAGAIN | libc::EINTR)) => {
                Ok(())
            }
            result => result.map_err(|e| self.failure(Operation::WriteBack, offset, &e)),
        }
    }

    async fn fetch(&self, windows: Vec<Range<u64>>) -> Result<Vec<Bytes>, DiskError> {
        let mut found: Vec<Bytes> = windows.iter().map(|window| self.view(window.clone())).collect();
        let cold = |bytes: &Bytes| !is_resident(bytes);
        let absent: Vec<usize> = (0..found.len()).filter(|index| cold(&found[*index])).collect();
        if absent.is_empty() {
            return Ok(found);
        }
        let offset = windows[absent[0]].start;
        let wanted: Vec<Range<u64>> = absent.iter().map(|index| windows[*index].clone()).collect();
        let (shared, file) = &self.0.cold;
        let read = shared.read(file, &wanted).await;
        match read.map_err(|e| self.failure(Operation::Read, offset, &e))? {
            Some(read) => absent.into_iter().zip(read).for_each(|(index, bytes)| found[index] = bytes),
            // Peers that take their bytes late hold all the memory there is for them: others' have to stay in the page cache.
            None => {
                let bytes = wanted.iter().map(|window| window.end.saturating_sub(window.start)).sum::<u64>();
                let _passage = shared.pass(usize::try_from(bytes).unwrap_or(usize::MAX)).await;
                for window in wanted {
                    self.populate(window).await?;
                }
            }
        }
        Ok(found)
    }

    async fn read(&self, position: u64, bytes: usize) -> Result<Bytes, DiskError> {
        let mut whole: Vec<u8> = Vec::new();
        while whole.len() < bytes {
            let at = position + whole.len() as u64;
            let buffer = Vec::with_capacity(bytes - whole.len());
            let (result, buffer) = self.0.ring.read(&self.0.descriptor, at, buffer).await;
            match result {
                Ok(0) => return Err(self.short(Operation::Read, at, bytes as u64, whole.len() as u64)),
                Ok(_) if whole.is_empty() => whole = buffer,
                Ok(_) => whole.extend_from_slice(&buffer),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failure(Operation::Read, at, &error)),
            }
        }
        whole.truncate(bytes);
        Ok(Bytes::from(whole))
    }

    async fn populate(&self, window: Range<u64>) -> Result<(), DiskError> {
        let end = window.end.min(self.0.bytes);
        let mut start = window.start / PAGE_BYTES * PAGE_BYTES;
        let map = self.view(0..self.0.bytes);
        while start < end {
            let stop = end.min(start + CHUNK_BYTES);
            let result = self.0.ring.populate(&map, start as usize..stop as usize).await;
            result.map_err(|e| self.failure(Operation::Populate, start, &e))?;
            start = stop;
        }
        Ok(())
    }

    fn is_resident(&self, window: Range<u64>) -> bool {
        is_resident(&self.view(window))
    }

    fn view(&self, window: Range<u64>) -> Bytes {
        let end = window.end.min(self.0.bytes);
        let start = window.start.min(end);
        Bytes::from_owner(View(Arc::clone(&self.0.map))).slice(start as usize..end as usize)
    }

    fn is_viewed(&self) -> bool {
        Arc::strong_count(&self.0.map) > 1
    }

    fn bytes(&self) -> u64 {
        self.0.bytes
    }
}

/// The first half of what is to be written, whose bytes are `wanted` then.
fn first_half(mut buffers: Vec<Bytes>, wanted: &mut u64) -> Vec<Bytes> {
    *wanted /= 2;
    let mut left = usize::try_from(*wanted).unwrap_or(usize::MAX);
    for buffer in &mut buffers {
        buffer.truncate(left);
        left -= buffer.len();
    }
    buffers.retain(|buffer| !buffer.is_empty());
    buffers
}

/// Whether touching the bytes would not wait for the disk at this moment. They may be anywhere in memory.
#[must_use]
pub fn is_resident(bytes: &Bytes) -> bool {
    let skew = bytes.as_ptr() as usize % PAGE_BYTES as usize;
    let (mut at, mut pages) =
        (bytes.as_ptr().wrapping_sub(skew), (skew + bytes.len()).div_ceil(PAGE_BYTES as usize));
    let mut states = [0_u8; PAGES_ASKED_MAX];
    while pages > 0 && !bytes.is_empty() {
        let asked = pages.min(PAGES_ASKED_MAX);
        let length = asked * PAGE_BYTES as usize;
        // SAFETY: the kernel writes one byte for each of `asked` pages, for which there is room, and looks at addresses only.
        let result = unsafe { libc::mincore(at.cast_mut().cast(), length, states.as_mut_ptr()) };
        if result != 0 || states[..asked].iter().any(|state| state & 1 == 0) {
            return false;
        }
        at = at.wrapping_add(length);
        pages -= asked;
    }
    true
}

/// What is left of the buffers after their first `bytes` bytes.
fn rest_of(buffers: Vec<Bytes>, mut bytes: usize) -> Vec<Bytes> {
    let cut = |mut buffer: Bytes| {
        let step = bytes.min(buffer.len());
        buffer.advance(step);
        bytes -= step;
        (!buffer.is_empty()).then_some(buffer)
    };
    buffers.into_iter().filter_map(cut).collect()
}

fn map(descriptor: &OwnedFd, bytes: u64) -> io::Result<Arc<Map>> {
    let length = usize::try_from(bytes).map_err(io::Error::other)?;
    if length == 0 {
        return Ok(Arc::new(None));
    }
    // SAFETY: segment files are never shrunk, by this crate's rule and under the data directory's lock, so no page of the map can vanish. Pages
    // that are being written are not handed out as a view before the write has completed, and are not written again while a view of them is held.
    let map = unsafe { memmap2::MmapOptions::new().len(length).map(descriptor) }?;
    Ok(Arc::new(Some(map)))
}

fn c_path(path: &Path) -> Result<CString, DiskError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| DiskError {
        operation: Operation::Open,
        path: path.to_owned(),
        offset: 0,
        cause: Cause::Os(libc::EINVAL),
    })
}

fn failure(operation: Operation, path: &Path, offset: u64, error: &io::Error) -> DiskError {
    let cause = Cause::Os(error.raw_os_error().unwrap_or(libc::EIO));
    DiskError { operation, path: path.to_owned(), offset, cause }
}

#[cfg(test)]
mod tests;
