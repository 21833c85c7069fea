//! Sockets on the executors: listeners, streams, and HTTP over them.
//!
//! A leaf: it moves bytes and knows nothing of what they mean. Each type lives on the core that made it.

mod http;
mod listener;
mod socket;

pub use http::{
    Body, HttpLimits, HttpPort, Part, Patrol, PatrolTimes, ReadBodyError, ServeError, Tls, TlsError,
    discard_body, read_body, serve_same,
};
pub use listener::{BindError, Bound, Listener, bind, bind_shared};
pub use socket::Socket;
