//! One connection's socket, read and written at the same time by two tasks of its core.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::io::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;

/// A connected socket.
pub struct Socket {
    /// Borrowed within a poll and never across one.
    stream: RefCell<TcpStream>,
    written: Cell<u64>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream: RefCell::new(stream), written: Cell::new(0) }
    }

    /// Whoever is at the other end, for logs.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.stream.borrow().peer_addr().ok()
    }

    /// Fails writes with [`io::ErrorKind::TimedOut`] whose peer takes nothing for longer than this.
    pub fn limit_write(&self, time: Option<Duration>) -> io::Result<()> {
        self.stream.borrow().set_write_timeout(time).map_err(io::Error::from)
    }

    /// Reads what is there, at most `buffer`; 0 bytes mean that the peer has finished.
    pub fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_read(context, buffer)
    }

    /// Writes as much as the kernel takes.
    pub fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.stream.borrow_mut()).poll_write(context, bytes);
        if let Poll::Ready(Ok(bytes)) = written {
            self.written.set(self.written.get() + bytes as u64);
        }
        written
    }

    /// Bytes that the kernel has taken so far.
    pub fn written(&self) -> u64 {
        self.written.get()
    }

    /// Writes everything.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = poll_fn(|context| self.poll_write(context, bytes)).await?;
            if written == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero));
            }
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// Ends one or both directions. A peer that has gone already is as good.
    pub fn shut(&self, how: Shutdown) {
        let stream = self.stream.borrow();
        let ended = std::pin::pin!(stream.shutdown(how));
        // The executor does it at once, so one poll is enough.
        let mut context = Context::from_waker(std::task::Waker::noop());
        let _ = ended.poll(&mut context);
    }
}
