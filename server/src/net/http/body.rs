//! The body of an answer: bytes in memory, and whatever is to be held until they are written.

use std::any::Any;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use super::patrol::Serving;

/// Bytes that are handed to hyper at a time. It takes the next when those before are written, so what is held by the body is held nearly
/// until the peer has taken it.
const FRAME_BYTES: usize = 64 << 10;

/// An answer's body, whole in memory.
#[derive(Default)]
pub struct Body {
    rest: Bytes,
    held: Vec<Box<dyn Any>>,
    serving: Option<Serving>,
}

impl Body {
    /// These bytes.
    #[must_use]
    pub fn new(bytes: Bytes) -> Self {
        Self { rest: bytes, held: Vec::new(), serving: None }
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

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(FRAME_BYTES);
        let frame = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
