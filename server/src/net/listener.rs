//! Listening sockets: bound by the thread that starts the server, so that a port in use is told before anything else begins, and given to
//! the cores when they can serve.
#![allow(unsafe_code, reason = "the executor takes a descriptor it has not opened only as a raw number")]

use std::io;
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::thread::sleep;
use std::time::Duration;

use glommio::net::TcpListener;
use socket2::{Domain, Protocol, SockAddr, Socket as RawSocket, TcpKeepalive, Type};

use super::socket::Socket;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 1_024;
/// A peer that is silent for this long is asked whether it is still there, and given up after the same time again.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// Questions within that time.
const KEEPALIVE_PROBES: u32 = 4;

/// How often a port that is in use is tried again, for 5 s in all: after `kill -9` the kernel takes down the rings of the process by and by, and until then an accept that was in flight holds its
/// socket, though the process is gone and waited for.
const IN_USE_RETRIES: u32 = 250;
/// Between two tries.
const IN_USE_RETRY: Duration = Duration::from_millis(20);

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Why not.
    pub source: io::Error,
}

/// A bound socket that does not listen yet. Peers are refused until it does.
#[derive(Debug)]
pub struct Bound {
    socket: RawSocket,
    /// Its address, with the port that was chosen if any port would do.
    pub address: SocketAddr,
}

/// A listening socket of one core.
pub struct Listener {
    listener: TcpListener,
}

/// Binds one socket, on the thread that starts the server: it may wait.
pub fn bind(address: SocketAddr) -> Result<Bound, BindError> {
    for _ in 0..IN_USE_RETRIES {
        match bind_one(address, false) {
            Err(error) if error.source.kind() == io::ErrorKind::AddrInUse => sleep(IN_USE_RETRY),
            bound => return bound,
        }
    }
    bind_one(address, false)
}

/// Binds one socket for each of `count` cores to the same address; the kernel divides connections among them.
pub fn bind_shared(address: SocketAddr, count: u32) -> Result<Vec<Bound>, BindError> {
    // Sockets that share a port also share it with another server of the same user, so the port must be free for a socket that shares
    // with nobody first.
    let alone = bind(address)?;
    let address = alone.address;
    drop(alone);
    (0..count).map(|_| bind_one(address, true)).collect()
}

fn bind_one(address: SocketAddr, shared: bool) -> Result<Bound, BindError> {
    let fail = |source| BindError { address, source };
    let socket = open(address, shared).map_err(fail)?;
    let bound = socket.local_addr().map_err(fail)?;
    let bound = bound.as_socket().ok_or_else(|| fail(io::Error::from(io::ErrorKind::AddrNotAvailable)))?;
    Ok(Bound { socket, address: bound })
}

fn open(address: SocketAddr, shared: bool) -> io::Result<RawSocket> {
    let domain = if address.is_ipv6() { Domain::IPV6 } else { Domain::IPV4 };
    let socket = RawSocket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    // Accepted sockets take these over.
    socket.set_tcp_nodelay(true)?;
    let probes = KEEPALIVE / (KEEPALIVE_PROBES + 1);
    let keepalive =
        TcpKeepalive::new().with_time(KEEPALIVE).with_interval(probes).with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

impl Bound {
    /// Begins to listen, on the executor that runs this thread.
    pub fn listen(self) -> io::Result<Listener> {
        self.socket.listen(BACKLOG)?;
        // SAFETY: the number comes from a descriptor that is given up here, so the listener is its only owner.
        let listener = unsafe { TcpListener::from_raw_fd(self.socket.into_raw_fd()) };
        Ok(Listener { listener })
    }
}

impl Listener {
    /// The next connection.
    pub async fn accept(&self) -> io::Result<Socket> {
        let stream = self.listener.accept().await.map_err(io::Error::from)?;
        Ok(Socket::new(stream))
    }
}

#[cfg(test)]
mod tests;
