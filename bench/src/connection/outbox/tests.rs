//! Every byte leaves once and in order, however little a write takes.

use std::io::{self, IoSlice, Write};

use bytes::Bytes;

use super::{Outbox, RequestFrame};

/// Takes at most `step` bytes in each write, and refuses every third one.
struct Narrow {
    step: usize,
    writes: usize,
    taken: Vec<u8>,
}

impl Write for Narrow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.writes += 1;
        if self.writes.is_multiple_of(3) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let offered: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let taken = offered.len().min(self.step);
        self.taken.extend_from_slice(&offered[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn frames_leave_in_order_through_partial_writes() {
    for step in [1, 9, 100, 100_000] {
        let mut outbox = Outbox::default();
        let mut expected = Vec::new();
        for number in 0..100_u8 {
            let head = Bytes::from(vec![number; 8]);
            let body = Bytes::from(vec![number; usize::from(number % 3) * 50]);
            expected.extend_from_slice(&head);
            expected.extend_from_slice(&body);
            outbox.push(RequestFrame { head, body });
        }
        let mut socket = Narrow { step, writes: 0, taken: Vec::new() };
        while !outbox.is_empty() {
            if let Err(error) = outbox.flush(&mut socket) {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            }
        }
        assert!(socket.taken == expected);
    }
}
