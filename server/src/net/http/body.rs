//! The body of an answer: bytes in memory, or parts that are made when they can be written, and whatever is to be held until they are.

use std::any::Any;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_lite::Stream;
use hyper::body::{Frame, SizeHint};

use super::patrol::Serving;

/// Bytes that are handed to hyper at a time. It takes the next when those before are written, so what is held by the body is held nearly
/// until the peer has taken it.
const FRAME_BYTES: usize = 256 << 10;

/// A part of a body.
pub struct Part {
    bytes: Bytes,
    held: Box<dyn Any>,
}

/// An answer's body.
#[derive(Default)]
pub struct Body {
    rest: Bytes,
    /// What follows.
    parts: Option<Pin<Box<dyn Stream<Item = Part>>>>,
    /// Held for the part that is being written.
    held_for_part: Option<Box<dyn Any>>,
    held: Vec<Box<dyn Any>>,
    serving: Option<Serving>,
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

    /// The same, and holds something until the last frame is handed over or the peer has gone.
    #[must_use]
    pub fn holding(mut self, held: impl Any) -> Self {
        self.held.push(Box::new(held));
        self
    }

    /// Keeps the connection known as serving.
    pub(super) fn served_by(mut self, serving: Serving) -> Self {
        self.serving = Some(serving);
        self
    }
}

impl Part {
    /// These bytes.
    #[must_use]
    pub fn new(bytes: Bytes) -> Self {
        Self { bytes, held: Box::new(()) }
    }

    /// The same, and holds something until the next part is asked for.
    #[must_use]
    pub fn holding(self, held: impl Any) -> Self {
        Self { held: Box::new(held), ..self }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        while self.rest.is_empty() {
            self.held_for_part = None;
            let Some(parts) = &mut self.parts else { return Poll::Ready(None) };
            match ready!(parts.as_mut().poll_next(context)) {
                Some(Part { bytes, held }) => {
                    self.rest = bytes;
                    self.held_for_part = Some(held);
                }
                None => self.parts = None,
            }
        }
        let length = self.rest.len().min(FRAME_BYTES);
        let frame = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(frame))))
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
