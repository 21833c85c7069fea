//! One TCP connection to the server, in both directions.
//!
//! Owns the handshake and the receiving buffer. Promises that one read takes in as many answers as have come. Leaves out what
//! requests mean, and the load itself, which goes through the ring.

mod control;
mod inbox;

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

pub(crate) use control::{Control, refusal};
pub(crate) use inbox::{Inbox, Received};

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

/// Opens a connection to the first address of a host and port that answers.
pub(crate) fn connect_any(server: &str) -> Result<(TcpStream, SocketAddr), BenchError> {
    let unresolved = |source| BenchError::Resolve { address: server.to_owned(), source };
    let addresses = server.to_socket_addrs().map_err(unresolved)?;
    let mut failure = unresolved(io::ErrorKind::NotFound.into());
    for address in addresses {
        match connect(address) {
            Ok(stream) => return Ok((stream, address)),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}
