//! Calls of the AWS protocols over HTTP/1.1, as clients make them: signed, on connections that are kept.
//!
//! Owns the form of requests, their signatures, and where an answer ends. Promises that a request is signed as AWS's public description of Signature Version 4 says, its
//! body included. Leaves out what calls mean, and the load itself, which goes through the ring.

mod answer;
mod caller;
mod scan;
mod signer;
mod stamp;

pub use answer::HttpError;
pub(crate) use answer::{Form, chunk, head};
pub(crate) use caller::Caller;
pub(crate) use scan::{decoded_bytes, texts};
pub(crate) use signer::{Digest, Service, Signer};
pub(crate) use stamp::{STAMP_CHARS, encode, read_stamp, stamp};
