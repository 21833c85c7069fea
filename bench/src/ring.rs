//! The generator's home of io_uring: a plain ring for each thread, which sends, receives and waits.
//!
//! Buffers go in by value and come back with the completion, so nothing that the kernel may touch can be freed or changed meanwhile; what is
//! still in the kernel when a ring ends is given up rather than freed. Leaves out sockets' lives and what the bytes mean.
#![allow(
    unsafe_code,
    reason = "submission entries carry raw pointers; this file keeps what they point to alive"
)]

mod gather;

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use io_uring::{IoUring, opcode, squeue, types};

pub(crate) use gather::Gather;

/// Submissions between two calls of the kernel; more are handed over in several calls.
const RING_ENTRIES: u32 = 1_024;
/// Completions the kernel has room for without keeping a list of its own.
const COMPLETIONS_MAX: u32 = 32_768;

/// A ring; it stays on its thread.
pub(crate) struct Ring {
    ring: IoUring,
    held: Vec<Held>,
    free: Vec<usize>,
    in_kernel: usize,
}

/// What an operation has borrowed.
enum Held {
    Nothing,
    Receive { line: u32, buffer: Vec<u8> },
    Send { line: u32, gather: Box<Gather> },
    Write { tag: u32, buffer: Vec<u8> },
}

/// A finished operation, with what was lent to it.
pub(crate) enum Completion {
    /// Bytes were received behind those that were in the buffer; 0 means that the other side has closed.
    Received { line: u32, buffer: Vec<u8>, result: io::Result<usize> },
    /// Bytes were handed to the socket.
    Sent { line: u32, gather: Box<Gather>, result: io::Result<usize> },
    /// Bytes were written to the file.
    Written { tag: u32, buffer: Vec<u8>, result: io::Result<usize> },
}

impl Ring {
    /// A ring for `operations` at a time.
    pub(crate) fn new(operations: usize) -> io::Result<Self> {
        let completions = u32::try_from(operations.next_power_of_two())
            .unwrap_or(u32::MAX)
            .clamp(2 * RING_ENTRIES, COMPLETIONS_MAX);
        let mut builder = IoUring::builder();
        builder.setup_cqsize(completions).setup_single_issuer().setup_defer_taskrun();
        let ring = builder.build(RING_ENTRIES).or_else(|error| match error.raw_os_error() {
            // Kernels before 6.1 do not know these two, which save wake-ups and nothing else.
            Some(libc::EINVAL) => IoUring::builder().setup_cqsize(completions).build(RING_ENTRIES),
            _ => Err(error),
        })?;
        Ok(Self { ring, held: Vec::new(), free: Vec::new(), in_kernel: 0 })
    }

    /// Operations that have not completed.
    pub(crate) fn in_kernel(&self) -> usize {
        self.in_kernel
    }

    /// Receives once into the buffer from `start` on.
    pub(crate) fn receive(
        &mut self,
        line: u32,
        socket: &impl AsFd,
        mut buffer: Vec<u8>,
        start: usize,
    ) -> io::Result<()> {
        let room = buffer.get_mut(start..).unwrap_or_default();
        let length = u32::try_from(room.len()).unwrap_or(u32::MAX);
        let socket = types::Fd(socket.as_fd().as_raw_fd());
        let entry = opcode::Recv::new(socket, room.as_mut_ptr(), length).build();
        self.push(entry, Held::Receive { line, buffer })
    }

    /// Sends what is gathered, as much as one message takes.
    pub(crate) fn send(&mut self, line: u32, socket: &impl AsFd, mut gather: Box<Gather>) -> io::Result<()> {
        // Asked to wait for all, the kernel itself goes on after a part.
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        let message = gather.message();
        let entry =
            opcode::SendMsg::new(types::Fd(socket.as_fd().as_raw_fd()), message).flags(flags as u32).build();
        self.push(entry, Held::Send { line, gather })
    }

    /// Writes the buffer at a position of the file, through to the disk if asked.
    pub(crate) fn write(
        &mut self,
        tag: u32,
        file: &impl AsFd,
        position: u64,
        buffer: Vec<u8>,
        bytes: usize,
        is_durable: bool,
    ) -> io::Result<()> {
        let part = buffer.get(..bytes).ok_or(io::ErrorKind::InvalidInput)?;
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        let entry = opcode::Write::new(types::Fd(file.as_fd().as_raw_fd()), part.as_ptr(), length)
            .offset(position)
            .rw_flags(if is_durable { libc::RWF_DSYNC } else { 0 })
            .build();
        self.push(entry, Held::Write { tag, buffer })
    }

    /// Hands over what is queued and waits for a completion, or until `timeout` has passed. One of zero asks for a completion all the same: the kernel
    /// shows none to a ring with deferred work that only hands over.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let result = match timeout {
            None => self.ring.submitter().submit_and_wait(1),
            Some(timeout) => {
                let timespec = types::Timespec::from(timeout);
                self.ring.submitter().submit_with_args(1, &types::SubmitArgs::new().timespec(&timespec))
            }
        };
        match result {
            Ok(_) => Ok(()),
            Err(error) if passes(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The next completion that has arrived.
    pub(crate) fn next(&mut self) -> Option<Completion> {
        let completed = self.ring.completion().next()?;
        let (index, result) = (completed.user_data() as usize, completed.result());
        let held = self.held.get_mut(index).map_or(Held::Nothing, |held| mem::replace(held, Held::Nothing));
        self.free.push(index);
        self.in_kernel -= 1;
        let result = usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result));
        match held {
            Held::Receive { line, buffer } => Some(Completion::Received { line, buffer, result }),
            Held::Send { line, gather } => Some(Completion::Sent { line, gather, result }),
            Held::Write { tag, buffer } => Some(Completion::Written { tag, buffer, result }),
            Held::Nothing => unreachable!("each operation completes once, with the number it was given"),
        }
    }

    fn push(&mut self, entry: squeue::Entry, held: Held) -> io::Result<()> {
        let index = self.free.pop().unwrap_or_else(|| {
            self.held.push(Held::Nothing);
            self.held.len() - 1
        });
        self.held[index] = held;
        let entry = entry.user_data(index as u64);
        loop {
            // SAFETY: the buffers behind the entry's pointers are in `held[index]`, on the heap where moving their owner does not move
            // them; they leave it only with the operation's completion, and are leaked if the ring ends before that.
            if unsafe { self.ring.submission().push(&entry) }.is_ok() {
                self.in_kernel += 1;
                return Ok(());
            }
            match self.ring.submit() {
                Ok(_) => {}
                Err(error) if passes(&error) => {}
                Err(error) => {
                    self.held[index] = Held::Nothing;
                    self.free.push(index);
                    return Err(error);
                }
            }
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if self.in_kernel > 0 {
            // The kernel may still write there.
            mem::forget(mem::take(&mut self.held));
        }
    }
}

/// Errors of waiting that mean: look again.
fn passes(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY | libc::ETIME))
}

#[cfg(test)]
mod tests;
