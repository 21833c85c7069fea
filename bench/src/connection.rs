//! One TCP connection to the server, in both directions.
//!
//! Owns the handshake and the two buffers. Promises that nothing is copied on the way out and that one read takes in as many
//! answers as have come. Leaves out what requests mean.

mod control;
mod inbox;
mod outbox;

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub(crate) use control::{Control, refusal};
pub(crate) use inbox::{Inbox, Received};
pub(crate) use outbox::{Outbox, RequestFrame};

use crate::error::BenchError;

/// How long a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens a connection that sends small frames at once.
pub(crate) fn connect(address: SocketAddr) -> Result<TcpStream, BenchError> {
    let open = || {
        let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    open().map_err(|source| BenchError::Connect { address, source })
}

/// Sleeps until the socket can be read, or written if that is wanted, or until `timeout` is over.
pub(crate) fn wait(stream: &TcpStream, want_write: bool, timeout: Duration) -> io::Result<()> {
    let flags = if want_write { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
    let mut sockets = [PollFd::from_borrowed_fd(stream.as_fd(), flags)];
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    match poll(&mut sockets, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
