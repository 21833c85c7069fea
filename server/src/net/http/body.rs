//! The body of an answer: bytes in memory, or parts that are made when they can be written, and whatever is to be held until they are.
//!
//! What is held goes along with each piece of the bytes, for a piece keeps the memory of the whole: hyper lets go of the body when it has the last piece, and of
//! the piece when the peer has taken it.

use std::any::Any;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_lite::Stream;
use hyper::body::{Frame, SizeHint};

use super::patrol::Serving;
use super::taking::{TakenPiece, Taking};

/// Bytes that are handed to hyper at a time. It takes the next when those before are nearly written.
const FRAME_BYTES: usize = 256 << 10;

/// Whatever it is.
type Held = Option<Rc<dyn Any>>;

/// A part of a body.
pub struct Part {
    bytes: Bytes,
    held: Held,
}

/// Bytes on their way to the peer.
pub struct Piece {
    bytes: Bytes,
    /// For the part and for the body.
    _held: [Held; 2],
    /// Tells that some of it was taken.
    watch: Option<TakenPiece>,
}

/// An answer's body.
#[derive(Default)]
pub struct Body {
    rest: Bytes,
    /// What follows.
    parts: Option<Pin<Box<dyn Stream<Item = Part>>>>,
    /// Held for the part that is being written.
    held_for_part: Held,
    held: Held,
    serving: Option<Serving>,
    taking: Option<Rc<Taking>>,
}

impl Body {
    /// These bytes.
    #[must_use]
    pub fn new(bytes: Bytes) -> Self {
        Self { rest: bytes, ..Self::default() }
    }

    /// Parts as they come. The next one is asked for when the peer can take it.
    #[must_use]
    pub fn in_pieces(parts: impl Stream<Item = Part> + 'static) -> Self {
        Self { parts: Some(Box::pin(parts)), ..Self::default() }
    }

    /// The same, and holds something until the last byte is written or the peer has gone.
    #[must_use]
    pub fn holding(mut self, held: impl Any) -> Self {
        self.held = and(self.held, held);
        self
    }

    /// The same, if there is something to be held.
    #[must_use]
    pub fn holding_any(self, held: Option<impl Any>) -> Self {
        match held {
            Some(held) => self.holding(held),
            None => self,
        }
    }

    /// Keeps the connection known as serving.
    pub(super) fn served_by(mut self, serving: Serving) -> Self {
        self.taking = serving.watch_answer(self.parts.is_none());
        self.serving = Some(serving);
        self
    }
}

impl Part {
    /// These bytes.
    #[must_use]
    pub fn new(bytes: Bytes) -> Self {
        Self { bytes, held: None }
    }

    /// The same, and holds something until the part is written.
    #[must_use]
    pub fn holding(self, held: impl Any) -> Self {
        Self { held: and(self.held, held), ..self }
    }

    /// The same, if there is something to be held.
    #[must_use]
    pub fn holding_any(self, held: Option<impl Any>) -> Self {
        match held {
            Some(held) => self.holding(held),
            None => self,
        }
    }
}

/// Both.
fn and(before: Held, held: impl Any) -> Held {
    Some(match before {
        None => Rc::new(held),
        Some(before) => Rc::new((before, held)),
    })
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, bytes: usize) {
        self.bytes.advance(bytes);
        if let Some(watch) = &self.watch {
            watch.advance();
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Piece;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Infallible>>> {
        while self.rest.is_empty() {
            self.held_for_part = None;
            let Some(parts) = &mut self.parts else { return Poll::Ready(None) };
            match ready!(parts.as_mut().poll_next(context)) {
                Some(Part { bytes, held }) => {
                    self.rest = bytes;
                    self.held_for_part = held;
                }
                None => self.parts = None,
            }
        }
        let length = self.rest.len().min(FRAME_BYTES);
        let bytes = self.rest.split_to(length);
        let held = [self.held_for_part.clone(), self.held.clone()];
        let watch = self.taking.as_ref().map(Taking::hand);
        Poll::Ready(Some(Ok(Frame::data(Piece { bytes, _held: held, watch }))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.parts.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.parts {
            None => SizeHint::with_exact(self.rest.len() as u64),
            Some(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::body::Body as _;

    use super::*;

    fn next(body: &mut Body) -> Option<Piece> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        match Pin::new(body).poll_frame(&mut context) {
            Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
            _ => None,
        }
    }

    /// Takes a body's pieces as hyper does, and then lets go of them one by one.
    #[track_caller]
    fn check(mut body: Body, room: &Rc<()>, pieces: usize) {
        let mut taken: Vec<Piece> = Vec::new();
        while let Some(piece) = next(&mut body) {
            taken.push(piece);
        }
        assert!(body.is_end_stream());
        drop(body);
        assert_eq!(taken.len(), pieces);
        while let Some(mut piece) = taken.pop() {
            piece.advance(piece.remaining() - 1);
            assert!(Rc::strong_count(room) > 1, "room was given back with {} bytes to go", piece.remaining());
        }
        assert_eq!(Rc::strong_count(room), 1);
    }

    #[test]
    fn what_is_held_for_an_answer_is_held_until_its_last_byte_is_written() {
        let room = Rc::new(());
        for (bytes, pieces) in [(1, 1), (FRAME_BYTES, 1), (FRAME_BYTES + 1, 2), (3 * FRAME_BYTES, 3)] {
            let body = Body::new(vec![7; bytes].into()).holding(Rc::clone(&room)).holding("another");
            check(body, &room, pieces);
        }
        drop(Body::new(Bytes::from_static(b"unread")).holding(Rc::clone(&room)));
        assert_eq!(Rc::strong_count(&room), 1);
    }

    #[test]
    fn what_is_held_for_a_part_is_held_until_the_part_is_written() {
        let (first, second) = (Rc::new(()), Rc::new(()));
        let part = |bytes: usize, room: &Rc<()>| Part::new(vec![7; bytes].into()).holding(Rc::clone(room));
        let parts = [part(FRAME_BYTES + 1, &first), part(1, &second)];
        let mut body = Body::in_pieces(futures_lite::stream::iter(parts));
        let mut taken: Vec<Piece> = std::iter::from_fn(|| next(&mut body)).collect();
        drop(body);
        let held = || [&first, &second].map(|room| Rc::strong_count(room) > 1);
        assert_eq!((taken.len(), held()), (3, [true, true]));
        taken.remove(0);
        assert_eq!(held(), [true, true]);
        taken.remove(0);
        assert_eq!(held(), [false, true]);
        taken.clear();
        assert_eq!(held(), [false, false]);
    }
}
