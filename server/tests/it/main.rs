//! The server over real sockets: each test starts a whole server on a directory of its own.

mod append;
mod bad_input;
mod bounds;
mod capacity;
mod catalog;
mod client;
mod fan_out;
mod fetch;
mod fixture;
mod http;
mod http2;
mod lifecycle;
mod messages;
mod queues;
mod quota;
mod reconcile;
mod reshard;
mod session;
mod sqs;
mod subscribe;
