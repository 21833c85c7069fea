//! The one home of io_uring: operations in, results out, buffers owned in between.
//!
//! Promises: an operation's buffers, paths, files and maps live until the kernel has completed it, also when nobody waits any more; a full
//! submission queue makes operations wait and never fails them; completions are never dropped by the kernel, since no more operations are
//! in flight than the completion queue has room for. Assumes no executor: futures wake by waker, and whoever drives the ring reads its eventfd
//! and calls [`Ring::reap`]. Leaves out retries of short transfers and the names of things: that is `disk`.
#![allow(
    unsafe_code,
    reason = "submission entries carry raw pointers; this file keeps what they point to alive"
)]

use std::{
    cell::RefCell,
    collections::VecDeque,
    ffi::CString,
    future::Future,
    io,
    ops::Range,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use io_uring::{IoUring, opcode, squeue, types};

use crate::{
    disk::Block,
    limits::{RING_COMPLETION_FACTOR, RING_ENTRIES, WRITE_BUFFERS_MAX},
};

/// A ring. Operations are handed to the kernel at once. Clones share it; it stays on its thread.
#[derive(Clone)]
pub struct Ring {
    inner: Rc<RefCell<Inner>>,
    eventfd: Rc<OwnedFd>,
}

struct Inner {
    ring: IoUring,
    slots: Vec<Slot>,
    free: Vec<usize>,
    backlog: VecDeque<squeue::Entry>,
    in_kernel: usize,
}

enum Slot {
    Free,
    Waiting { held: Held, waker: Option<Waker> },
    Abandoned { _held: Held },
    Done { held: Held, result: i32 },
}

/// What the kernel may touch until an operation completes.
enum Held {
    Write { _file: Rc<OwnedFd>, buffers: Vec<Bytes>, _iovecs: Vec<libc::iovec> },
    Read { _file: Rc<OwnedFd>, buffer: Vec<u8> },
    Block { _file: Rc<OwnedFd>, _block: Rc<Block> },
    File { _file: Rc<OwnedFd> },
    Path { _path: CString },
    Paths { _from: CString, _to: CString },
    Map { _map: Bytes },
    Time { _time: Box<types::Timespec> },
}

impl Ring {
    /// Makes a ring with its eventfd.
    pub fn new() -> io::Result<Self> {
        let ring =
            IoUring::builder().setup_cqsize(RING_ENTRIES * RING_COMPLETION_FACTOR).build(RING_ENTRIES)?;
        let eventfd = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?;
        ring.submitter().register_eventfd(eventfd.as_raw_fd())?;
        let inner =
            Inner { ring, slots: Vec::new(), free: Vec::new(), backlog: VecDeque::new(), in_kernel: 0 };
        Ok(Self { inner: Rc::new(RefCell::new(inner)), eventfd: Rc::new(eventfd) })
    }

    /// Readable when completions have arrived since it was last read. Reads of 8 bytes block while there are none.
    #[must_use]
    pub fn eventfd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }

    /// Takes in all completions, wakes who waits for them and hands over what waited for room. Returns how many there were.
    pub fn reap(&self) -> usize {
        let wakers = self.inner.borrow_mut().reap();
        let count = wakers.len();
        wakers.into_iter().flatten().for_each(Waker::wake);
        count
    }

    /// Operations that were asked for and have not completed.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        let inner = self.inner.borrow();
        inner.in_kernel + inner.backlog.len()
    }

    /// Blocks the thread until a completion arrives or `timeout` has passed. For drivers without another loop.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        let mut inner = self.inner.borrow_mut();
        inner.fill();
        if !inner.ring.completion().is_empty() {
            return Ok(());
        }
        let result = match timeout {
            None => inner.ring.submitter().submit_and_wait(1),
            Some(timeout) => {
                let timespec = types::Timespec::from(timeout);
                inner.ring.submitter().submit_with_args(1, &types::SubmitArgs::new().timespec(&timespec))
            }
        };
        match result {
            Ok(_) => Ok(()),
            Err(error) if passes(&error) || error.raw_os_error() == Some(libc::ETIME) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Writes the buffers from `position` in one operation. Returns the bytes written and the buffers.
    pub(crate) async fn write(
        &self,
        file: &Rc<OwnedFd>,
        position: u64,
        buffers: Vec<Bytes>,
        durable: bool,
    ) -> (io::Result<usize>, Vec<Bytes>) {
        let iovec =
            |buffer: &Bytes| libc::iovec { iov_base: buffer.as_ptr() as *mut _, iov_len: buffer.len() };
        let iovecs: Vec<libc::iovec> = buffers.iter().take(WRITE_BUFFERS_MAX).map(iovec).collect();
        let count = u32::try_from(iovecs.len()).expect("bounded by WRITE_BUFFERS_MAX");
        let entry = opcode::Writev::new(types::Fd(file.as_raw_fd()), iovecs.as_ptr(), count)
            .offset(position)
            .rw_flags(if durable { libc::RWF_DSYNC } else { 0 })
            .build();
        let (result, held) =
            self.operate(entry, Held::Write { _file: Rc::clone(file), buffers, _iovecs: iovecs }).await;
        let Held::Write { buffers, .. } = held else { unreachable!("a slot returns what it was given") };
        (transferred(result), buffers)
    }

    /// Reads up to the buffer's capacity from `position`, appending to nothing: what the buffer held is dropped.
    pub(crate) async fn read(
        &self,
        file: &Rc<OwnedFd>,
        position: u64,
        mut buffer: Vec<u8>,
    ) -> (io::Result<usize>, Vec<u8>) {
        buffer.clear();
        let room = u32::try_from(buffer.capacity()).unwrap_or(u32::MAX);
        let entry = opcode::Read::new(types::Fd(file.as_raw_fd()), buffer.as_mut_ptr(), room)
            .offset(position)
            .build();
        let (result, held) = self.operate(entry, Held::Read { _file: Rc::clone(file), buffer }).await;
        let Held::Read { mut buffer, .. } = held else { unreachable!("a slot returns what it was given") };
        let result = transferred(result);
        if let Ok(bytes) = &result {
            assert!(*bytes <= buffer.capacity(), "the kernel fills no more than it was given");
            // SAFETY: the kernel has written the first `bytes` bytes of the allocation, which are within its capacity.
            unsafe { buffer.set_len(*bytes) };
        }
        (result, buffer)
    }

    /// Reads from `position` into a block, from `at` on and up to `bytes` bytes, which nobody else reads into meanwhile. A read that would wait may
    /// be made to wait on another thread from the start; one past the page cache never waits on this one.
    pub(crate) async fn read_into(
        &self,
        file: &Rc<OwnedFd>,
        position: u64,
        block: &Rc<Block>,
        at: usize,
        bytes: usize,
        elsewhere: bool,
    ) -> io::Result<usize> {
        let (pointer, room) = block.rest(at);
        assert!(bytes <= room, "a read ends within its block");
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let flags = if elsewhere { squeue::Flags::ASYNC } else { squeue::Flags::empty() };
        let read = opcode::Read::new(types::Fd(file.as_raw_fd()), pointer, bytes).offset(position);
        let held = Held::Block { _file: Rc::clone(file), _block: Rc::clone(block) };
        let (result, _) = self.operate(read.build().flags(flags), held).await;
        transferred(result)
    }

    pub(crate) async fn flush(&self, file: &Rc<OwnedFd>, data_only: bool) -> io::Result<()> {
        let flags = if data_only { types::FsyncFlags::DATASYNC } else { types::FsyncFlags::empty() };
        let entry = opcode::Fsync::new(types::Fd(file.as_raw_fd())).flags(flags).build();
        self.done(entry, Held::File { _file: Rc::clone(file) }).await
    }

    /// Has the kernel begin to write a stretch of a file back. Waits for room in the disk's queue, and for nothing of it to be done.
    pub(crate) async fn write_back(&self, file: &Rc<OwnedFd>, window: Range<u64>) -> io::Result<()> {
        let bytes = u32::try_from(window.end - window.start).map_err(io::Error::other)?;
        let entry = opcode::SyncFileRange::new(types::Fd(file.as_raw_fd()), bytes)
            .offset(window.start)
            .flags(libc::SYNC_FILE_RANGE_WRITE)
            .build();
        self.done(entry, Held::File { _file: Rc::clone(file) }).await
    }

    pub(crate) async fn allocate(&self, file: &Rc<OwnedFd>, bytes: u64) -> io::Result<()> {
        let entry = opcode::Fallocate::new(types::Fd(file.as_raw_fd()), bytes).build();
        self.done(entry, Held::File { _file: Rc::clone(file) }).await
    }

    /// Gives the blocks of a stretch of a file back. Its bytes are zero then, and its size is what it was.
    pub(crate) async fn release(&self, file: &Rc<OwnedFd>, window: Range<u64>) -> io::Result<()> {
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        let entry = opcode::Fallocate::new(types::Fd(file.as_raw_fd()), window.end - window.start)
            .offset(window.start)
            .mode(mode)
            .build();
        self.done(entry, Held::File { _file: Rc::clone(file) }).await
    }

    /// Brings pages of a map into memory. `window` lies within the map and begins on a page.
    pub(crate) async fn populate(&self, map: &Bytes, window: Range<usize>) -> io::Result<()> {
        let Some(bytes) = map.get(window) else { return Err(io::Error::from_raw_os_error(libc::EINVAL)) };
        let length = libc::off_t::try_from(bytes.len()).map_err(io::Error::other)?;
        let entry = opcode::Madvise::new(bytes.as_ptr().cast(), length, libc::MADV_POPULATE_READ).build();
        self.done(entry, Held::Map { _map: map.clone() }).await
    }

    /// Resolves after `duration`, for those who have a ring and no other timer.
    pub(crate) async fn pause(&self, duration: Duration) {
        let time = Box::new(types::Timespec::from(duration));
        let entry = opcode::Timeout::new(&raw const *time).build();
        // The kernel reports a timeout that is over as an error, and there is nothing else to be told.
        self.operate(entry, Held::Time { _time: time }).await;
    }

    pub(crate) async fn open(&self, path: CString, flags: i32, mode: u32) -> io::Result<OwnedFd> {
        let entry = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr())
            .flags(flags | libc::O_CLOEXEC)
            .mode(mode)
            .build();
        let (result, _) = self.operate(entry, Held::Path { _path: path }).await;
        let number = i32::try_from(transferred(result)?).map_err(io::Error::other)?;
        // SAFETY: the kernel has just opened this descriptor for us, and nobody else knows it.
        Ok(unsafe { OwnedFd::from_raw_fd(number) })
    }

    pub(crate) async fn rename(&self, from: CString, to: CString) -> io::Result<()> {
        let here = types::Fd(libc::AT_FDCWD);
        let entry = opcode::RenameAt::new(here, from.as_ptr(), here, to.as_ptr()).build();
        self.done(entry, Held::Paths { _from: from, _to: to }).await
    }

    pub(crate) async fn unlink(&self, path: CString) -> io::Result<()> {
        let entry = opcode::UnlinkAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr()).build();
        self.done(entry, Held::Path { _path: path }).await
    }

    async fn done(&self, entry: squeue::Entry, held: Held) -> io::Result<()> {
        let (result, _) = self.operate(entry, held).await;
        transferred(result).map(|_| ())
    }

    /// `entry` points into what `held` owns on the heap, and nowhere else.
    fn operate(&self, entry: squeue::Entry, held: Held) -> Completion {
        let slot = self.inner.borrow_mut().begin(entry, held);
        Completion { ring: self.clone(), slot }
    }
}

impl Inner {
    fn begin(&mut self, entry: squeue::Entry, held: Held) -> usize {
        let waiting = Slot::Waiting { held, waker: None };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = waiting;
                slot
            }
            None => {
                self.slots.push(waiting);
                self.slots.len() - 1
            }
        };
        self.backlog.push_back(entry.user_data(slot as u64));
        self.submit();
        slot
    }

    /// Moves operations into the submission queue while the completion queue has room for their results.
    fn fill(&mut self) {
        let mut queue = self.ring.submission();
        while self.in_kernel < RING_ENTRIES as usize {
            let Some(entry) = self.backlog.pop_front() else { break };
            // SAFETY: what the entry points to is owned by its slot, which is kept until the completion is reaped.
            if unsafe { queue.push(&entry) }.is_err() {
                self.backlog.push_front(entry);
                break;
            }
            self.in_kernel += 1;
        }
    }

    fn submit(&mut self) {
        self.fill();
        if let Err(error) = self.ring.submitter().submit() {
            // Entries that the kernel did not take stay in the queue, and the next submit or reap offers them again.
            assert!(passes(&error), "io_uring refuses operations: {error}");
        }
    }

    fn reap(&mut self) -> Vec<Option<Waker>> {
        let mut wakers = Vec::new();
        let completions: Vec<(usize, i32)> = {
            let queue = self.ring.completion();
            assert_eq!(queue.overflow(), 0, "in-flight operations are bounded by the completion queue");
            queue.map(|completion| (completion.user_data() as usize, completion.result())).collect()
        };
        for (slot, result) in completions {
            self.in_kernel -= 1;
            match std::mem::replace(&mut self.slots[slot], Slot::Free) {
                Slot::Waiting { held, waker } => {
                    self.slots[slot] = Slot::Done { held, result };
                    wakers.push(waker);
                }
                Slot::Abandoned { .. } => {
                    self.free.push(slot);
                    wakers.push(None);
                }
                Slot::Free | Slot::Done { .. } => unreachable!("an operation completes once"),
            }
        }
        if !self.backlog.is_empty() || !self.ring.submission().is_empty() {
            self.submit();
        }
        wakers
    }
}

impl Drop for Inner {
    /// The kernel may still write into buffers or read from them: they are freed after the last completion.
    fn drop(&mut self) {
        self.backlog.clear();
        while self.in_kernel > 0 {
            match self.ring.submitter().submit_and_wait(1) {
                Ok(_) => {
                    self.reap();
                }
                Err(error) if passes(&error) => {}
                Err(_) => {
                    // Nothing tells any more when the buffers are free, so they are kept for ever.
                    std::mem::forget(std::mem::take(&mut self.slots));
                    return;
                }
            }
        }
    }
}

/// An operation in flight. Dropping it leaves the operation to itself.
struct Completion {
    ring: Ring,
    slot: usize,
}

impl Future for Completion {
    type Output = (i32, Held);

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut inner = self.ring.inner.borrow_mut();
        let state = &mut inner.slots[self.slot];
        match std::mem::replace(state, Slot::Free) {
            Slot::Done { held, result } => {
                inner.free.push(self.slot);
                drop(inner);
                self.get_mut().slot = usize::MAX;
                Poll::Ready((result, held))
            }
            Slot::Waiting { held, .. } => {
                *state = Slot::Waiting { held, waker: Some(context.waker().clone()) };
                Poll::Pending
            }
            Slot::Free | Slot::Abandoned { .. } => {
                unreachable!("a completion is polled until it is ready, not after")
            }
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if self.slot == usize::MAX {
            return;
        }
        let mut inner = self.ring.inner.borrow_mut();
        let state = &mut inner.slots[self.slot];
        match std::mem::replace(state, Slot::Free) {
            Slot::Waiting { held, .. } => *state = Slot::Abandoned { _held: held },
            Slot::Done { .. } => inner.free.push(self.slot),
            Slot::Free | Slot::Abandoned { .. } => {
                unreachable!("a completion owns its slot until it is dropped")
            }
        }
    }
}

fn transferred(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

/// Whether a failed submit is worth offering again.
fn passes(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY))
}
