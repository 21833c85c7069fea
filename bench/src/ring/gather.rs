//! What is to be sent: small pieces copied together, large ones lent, and the kernel's list of both.

use std::ptr;

use bytes::{Buf, Bytes};

/// Pieces in one message; the kernel takes 1,024.
const PIECES_MAX: usize = 256;

/// Pieces in their order, and how far they have been sent.
#[derive(Default)]
pub(crate) struct Gather {
    /// The small pieces, one behind the other.
    copied: Vec<u8>,
    pieces: Vec<Piece>,
    /// Pieces that are sent.
    sent: usize,
    iovecs: Vec<libc::iovec>,
    message: Option<Box<libc::msghdr>>,
}

enum Piece {
    /// A part of `copied`.
    Copied {
        start: usize,
        end: usize,
    },
    Shared(Bytes),
}

// SAFETY: the pointers in `iovecs` and `message` lead to memory that the gather itself owns and are made anew before each use.
#[expect(unsafe_code, reason = "raw pointers keep the type from being sent by itself")]
unsafe impl Send for Gather {}

impl Gather {
    /// Whether everything is sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.sent == self.pieces.len()
    }

    /// Queues a copy; returns it, so that it can be completed in place.
    pub(crate) fn copy(&mut self, bytes: &[u8]) -> &mut [u8] {
        let start = self.copied.len();
        self.copied.extend_from_slice(bytes);
        let new_end = self.copied.len();
        match self.pieces.last_mut() {
            Some(Piece::Copied { end, .. }) if *end == start => *end = new_end,
            _ => self.pieces.push(Piece::Copied { start, end: new_end }),
        }
        &mut self.copied[start..]
    }

    /// Queues bytes without copying them.
    pub(crate) fn share(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.pieces.push(Piece::Shared(bytes));
        }
    }

    /// Notes that so many bytes were sent.
    pub(crate) fn advance(&mut self, mut bytes: usize) {
        while let Some(piece) = self.pieces.get_mut(self.sent) {
            let length = match piece {
                Piece::Copied { start, end } => *end - *start,
                Piece::Shared(shared) => shared.len(),
            };
            if bytes < length {
                match piece {
                    Piece::Copied { start, .. } => *start += bytes,
                    Piece::Shared(shared) => shared.advance(bytes),
                }
                return;
            }
            bytes -= length;
            self.sent += 1;
        }
        self.pieces.clear();
        self.copied.clear();
        self.sent = 0;
    }

    /// The kernel's description of the next pieces, which lie still until this is changed.
    pub(super) fn message(&mut self) -> *const libc::msghdr {
        self.iovecs.clear();
        for piece in self.pieces[self.sent..].iter().take(PIECES_MAX) {
            let bytes = match piece {
                Piece::Copied { start, end } => &self.copied[*start..*end],
                Piece::Shared(shared) => shared,
            };
            // The kernel only reads from here.
            self.iovecs
                .push(libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() });
        }
        let message = self.message.get_or_insert_with(|| Box::new(blank()));
        message.msg_iov = self.iovecs.as_mut_ptr();
        message.msg_iovlen = self.iovecs.len();
        &raw const **message
    }
}

fn blank() -> libc::msghdr {
    libc::msghdr {
        msg_name: ptr::null_mut(),
        msg_namelen: 0,
        msg_iov: ptr::null_mut(),
        msg_iovlen: 0,
        msg_control: ptr::null_mut(),
        msg_controllen: 0,
        msg_flags: 0,
    }
}
