//! HTTP on the executors: hyper over our sockets, HTTP/1.1 and HTTP/2 with prior knowledge on one port.
//!
//! Promises that a peer costs no more than [`HttpLimits`] say, in memory and in time: slow heads, idle connections and answers that are not taken
//! are ended by the [`Patrol`] of the port, slow bodies by whoever reads them. Leaves out what requests mean.

mod body;
mod connection;
mod frames;
mod patrol;
mod read;
mod same;
mod stream;
mod taking;
mod tls;

pub use body::{Body, Part};
pub use connection::{HttpLimits, HttpPort, ServeError};
pub use patrol::{Patrol, PatrolTimes};
pub use read::{ReadBodyError, discard_body, read_body};
pub use same::serve_same;
pub use tls::{Tls, TlsError};
