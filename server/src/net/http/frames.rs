//! Counts the frames of an HTTP/2 peer that ask for nothing: each costs the server work, and none is bounded by the number of requests.
//!
//! Looks at the heads of frames as they come, before hyper does. Promises that a peer may have a burst of them, some a second, and more for each request; and for what
//! it is sent, however long ago, as many windows as clients open. Leaves out frames that are bounded elsewhere: requests, and bodies in pieces of a reasonable size.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

/// Bytes of a frame's head (RFC 9113, section 4.1).
const HEAD_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;

/// Frames that may come at once.
const BURST: u64 = 1_000;
/// Frames that flow in at each look of the patrol, which are two a second.
const PER_LOOK: u64 = 50;
/// Frames that come with a request: settings, windows and a small piece of its body.
const PER_REQUEST: u64 = 16;
/// Bytes to the peer for which it may open a window once more: there are clients that open two for each 4 KiB that they read.
const BYTES_PER_FRAME: u64 = 1 << 10;
/// Windows that a peer may still open for what it was sent: of 16 MiB that are on their way or not read yet.
const WINDOWS_MAX: u64 = 16 << 10;
/// A write counts for so many bytes at least, since others open two for each frame that comes, however small it is.
const WRITE_BYTES_MIN: u64 = 4 << 10;
/// A piece of a body that is not its last has so many bytes, or it counts.
const PIECE_BYTES_MIN: u32 = 256;

/// What a peer may still send of frames that ask for nothing.
pub(super) struct Frames {
    left: u64,
    /// Windows that it may open beside these.
    windows: u64,
    head: [u8; HEAD_BYTES],
    /// Bytes of the head that are there.
    filled: usize,
    /// Bytes of the payload that are to come.
    payload: u32,
    /// Bytes that the peer was sent, and have brought it no frames yet.
    written: u64,
    /// The patrol's clock, and when it was last looked at.
    clock: Rc<Cell<u64>>,
    seen: u64,
}

impl Frames {
    /// Of a peer that has sent its preface.
    pub(super) fn new(clock: Rc<Cell<u64>>) -> Self {
        let seen = clock.get();
        Self {
            left: BURST,
            windows: 0,
            head: [0; HEAD_BYTES],
            filled: 0,
            payload: 0,
            written: 0,
            clock,
            seen,
        }
    }

    /// The peer was sent bytes.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.written += (bytes as u64).max(WRITE_BYTES_MIN);
    }

    /// Looks at what came.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.refill();
        while !bytes.is_empty() {
            let skipped = bytes.len().min(self.payload as usize);
            bytes = bytes.get(skipped..).unwrap_or_default();
            self.payload -= u32::try_from(skipped).unwrap_or(self.payload);
            let Some(room) = self.head.get_mut(self.filled..).filter(|_| !bytes.is_empty()) else { break };
            let taken = bytes.len().min(room.len());
            let (first, rest) = bytes.split_at(taken);
            room.get_mut(..taken).unwrap_or_default().copy_from_slice(first);
            (bytes, self.filled) = (rest, self.filled + taken);
            if self.filled == HEAD_BYTES {
                self.filled = 0;
                self.count()?;
            }
        }
        Ok(())
    }

    fn refill(&mut self) {
        let looks = self.clock.get().saturating_sub(self.seen);
        self.seen = self.clock.get();
        self.grant(looks.saturating_mul(PER_LOOK));
        self.windows = self.windows.saturating_add(self.written / BYTES_PER_FRAME).min(WINDOWS_MAX);
        self.written %= BYTES_PER_FRAME;
    }

    fn grant(&mut self, frames: u64) {
        self.left = self.left.saturating_add(frames).min(BURST);
    }

    /// Counts the frame whose head has come.
    fn count(&mut self) -> io::Result<()> {
        let [high, middle, low, kind, flags, ..] = self.head;
        self.payload = u32::from_be_bytes([0, high, middle, low]);
        match kind {
            HEADERS => self.grant(PER_REQUEST),
            DATA if self.payload >= PIECE_BYTES_MIN || flags & END_STREAM != 0 => {}
            WINDOW_UPDATE if self.windows > 0 => self.windows -= 1,
            _ => {
                self.left = self.left.checked_sub(1).ok_or_else(|| {
                    io::Error::other(format!(
                        "the peer sends frames that ask for nothing, beyond {BURST} at once"
                    ))
                })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).expect("short").to_be_bytes();
        let head = [length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        [head.as_slice(), &vec![9; payload]].concat()
    }

    fn frames() -> (Frames, Rc<Cell<u64>>) {
        let clock = Rc::new(Cell::new(7));
        (Frames::new(Rc::clone(&clock)), clock)
    }

    /// How many of these are taken, up to some thousands.
    fn taken(frames: &mut Frames, bytes: &[u8]) -> usize {
        let taken = (0..5_000).take_while(|_| frames.read(bytes).is_ok()).count();
        // As if what was refused had not been sent.
        (frames.filled, frames.payload) = (0, 0);
        taken
    }

    #[test]
    fn frames_that_ask_for_nothing_are_bounded_and_flow_in() {
        for kind in [2, 3, 4, 6, 8, 9, 0xff] {
            let (mut frames, clock) = frames();
            let one = frame(kind, 0, 8);
            assert_eq!(taken(&mut frames, &one), 1_000, "{kind}");
            clock.set(9);
            assert_eq!(taken(&mut frames, &one), 100);
            let windows = if kind == WINDOW_UPDATE { 1 } else { 0 };
            frames.wrote(40_960);
            assert_eq!(taken(&mut frames, &one), 40 * windows, "what it was sent brings windows alone");
            frames.wrote(1);
            assert_eq!(taken(&mut frames, &one), 4 * windows);
            frames.read(&frame(HEADERS, 0, 100)).expect("a request");
            assert_eq!(taken(&mut frames, &one), 16);
            clock.set(u64::MAX);
            assert_eq!(taken(&mut frames, &one), 1_000, "what flows in is bounded as well");
        }
        let (mut frames, _) = frames();
        assert_eq!(taken(&mut frames, &frame(DATA, 0, 255)), 1_000);
        assert_eq!(taken(&mut frames, &frame(DATA, END_STREAM, 0)), 5_000);
        assert_eq!(taken(&mut frames, &frame(DATA, 0, 256)), 5_000);
        assert_eq!(taken(&mut frames, &frame(HEADERS, 0, 0)), 5_000);
    }

    /// A client that reads an answer late opens windows for all of it, long after it was written.
    #[test]
    fn windows_for_what_was_written_are_not_forgotten() {
        let (mut frames, _) = frames();
        for _ in 0..48 {
            frames.wrote(64 << 10);
            frames.read(&[]).expect("nothing came");
        }
        assert_eq!(taken(&mut frames, &frame(WINDOW_UPDATE, 0, 4)), 3_072 + 1_000);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_bytes_are_cut(
            kinds in prop::collection::vec((0_u8..10, 0_u8..2, 0_usize..600), 0..40),
            cuts in prop::collection::vec(1_usize..700, 1..40),
        ) {
            let bytes: Vec<u8> = kinds.iter().flat_map(|(kind, flags, payload)| frame(*kind, *flags, *payload)).collect();
            let (mut whole, _) = frames();
            whole.read(&bytes).expect("they are few");
            let (mut cut, _) = frames();
            let (mut rest, mut cuts) = (&bytes[..], cuts.into_iter().cycle());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(rest.len().min(cuts.next().expect("it goes round")));
                cut.read(piece).expect("they are few");
                rest = after;
            }
            prop_assert_eq!((whole.left, whole.filled, whole.payload), (cut.left, 0, 0));
        }
    }
}
