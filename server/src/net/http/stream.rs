//! A socket as hyper and rustls want it, plain or under TLS.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use futures_lite::io::{AsyncRead, AsyncWrite};
use futures_rustls::server::TlsStream;
use hyper::rt::{Read, ReadBufCursor, Write};

use super::frames::Frames;
use super::patrol::Watched;
use crate::net::Socket;

/// Bytes that are read at a time.
pub(super) const READ_BYTES: usize = 64 << 10;

/// Where the connections of a port read to, one after the other. Its memory is always initialised, hyper's is not.
pub(super) type Scratch = Rc<RefCell<Vec<u8>>>;

/// A socket that tells its watch when bytes come, and when none can go.
pub(super) struct WatchedSocket {
    pub(super) socket: Rc<Socket>,
    pub(super) watched: Rc<Watched>,
}

/// What is between us and the peer.
pub(super) enum Transport {
    Plain(WatchedSocket),
    Tls(Box<TlsStream<WatchedSocket>>),
}

/// A connection's bytes, both ways.
pub(super) struct Stream {
    transport: Transport,
    scratch: Scratch,
    /// What was read to find out which version the peer speaks.
    ahead: Bytes,
    /// In HTTP/2, what else the peer may send.
    frames: Option<Frames>,
}

impl Stream {
    pub(super) fn new(transport: Transport, scratch: Scratch) -> Self {
        Self { transport, scratch, ahead: Bytes::new(), frames: None }
    }

    /// Has the frames counted that come after what was read ahead.
    pub(super) fn count_frames(&mut self, frames: Frames) {
        self.frames = Some(frames);
    }

    fn wrote(&mut self, written: &Poll<io::Result<usize>>) {
        if let (Some(frames), Poll::Ready(Ok(bytes))) = (&mut self.frames, written) {
            frames.wrote(*bytes);
        }
    }

    /// Reads whatever is there; nothing when the peer has finished.
    pub(super) fn poll_some(&mut self, context: &mut Context<'_>, most: usize) -> Poll<io::Result<Bytes>> {
        let scratch = Rc::clone(&self.scratch);
        let mut scratch = scratch.borrow_mut();
        self.poll_into(context, &mut scratch, most).map_ok(Bytes::copy_from_slice)
    }

    /// Gives back what was read ahead.
    pub(super) fn unread(&mut self, bytes: Bytes) {
        self.ahead = bytes;
    }

    fn poll_into<'a>(
        &mut self,
        context: &mut Context<'_>,
        scratch: &'a mut [u8],
        most: usize,
    ) -> Poll<io::Result<&'a [u8]>> {
        // A peer that sends without a pause must not keep the core from the others.
        if pin!(glommio::yield_if_needed()).poll(context).is_pending() {
            return Poll::Pending;
        }
        let room = most.min(scratch.len());
        let target = &mut scratch[..room];
        let read = std::task::ready!(match &mut self.transport {
            Transport::Plain(socket) => Pin::new(socket).poll_read(context, target),
            Transport::Tls(stream) => Pin::new(&mut **stream).poll_read(context, target),
        })?;
        Poll::Ready(Ok(scratch.get(..read).unwrap_or_default()))
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut target: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let most = target.remaining();
        if self.ahead.has_remaining() {
            let length = self.ahead.len().min(most);
            target.put_slice(&self.ahead.split_to(length));
            return Poll::Ready(Ok(()));
        }
        let scratch = Rc::clone(&self.scratch);
        let mut scratch = scratch.borrow_mut();
        let bytes = std::task::ready!(self.poll_into(context, &mut scratch, most))?;
        if let Some(frames) = &mut self.frames {
            frames.read(bytes)?;
        }
        target.put_slice(bytes);
        Poll::Ready(Ok(()))
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.transport {
            Transport::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Transport::Tls(stream) => Pin::new(&mut **stream).poll_write(context, bytes),
        };
        self.wrote(&written);
        written
    }

    /// The socket takes one piece at a time: small ones go together, in the memory of the port, and a large one as it is.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut filled = pieces.iter().filter(|piece| !piece.is_empty());
        let Some(first) = filled.next() else { return Poll::Ready(Ok(0)) };
        let scratch = Rc::clone(&self.scratch);
        let mut scratch = scratch.borrow_mut();
        if first.len() >= scratch.len() || filled.next().is_none() {
            return self.poll_write(context, first);
        }
        let mut gathered = 0;
        for piece in pieces {
            let room = scratch.get_mut(gathered..).unwrap_or_default();
            let length = piece.len().min(room.len());
            if let (Some(room), Some(piece)) = (room.get_mut(..length), piece.get(..length)) {
                room.copy_from_slice(piece);
            }
            gathered += length;
        }
        self.poll_write(context, scratch.get(..gathered).unwrap_or_default())
    }

    /// Without this hyper would copy each answer into memory of the connection, which keeps it.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(socket) => Pin::new(socket).poll_flush(context),
            Transport::Tls(stream) => Pin::new(&mut **stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(socket) => Pin::new(socket).poll_close(context),
            Transport::Tls(stream) => Pin::new(&mut **stream).poll_close(context),
        }
    }
}

impl AsyncRead for WatchedSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = self.socket.poll_read(context, buffer);
        if matches!(read, Poll::Ready(Ok(bytes)) if bytes > 0) {
            self.watched.received();
        }
        read
    }
}

impl AsyncWrite for WatchedSocket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.socket.poll_write(context, bytes);
        self.watched.blocked(written.is_pending());
        written
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.shut(Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}
