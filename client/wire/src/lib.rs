//! The bytes that Tidemill's clients, server and disk agree on.
//!
//! Owns the native protocol's frames and messages, the columnar record batch, the log entry, the
//! sequence numbers of its records, and the routing of partition keys to shards. Promises that no sequence of bytes makes it panic or allocate more than a
//! stated multiple of the input. Leaves out all I/O, clocks and state.

pub mod attributes;
pub mod batch;
pub mod digest;
pub mod entry;
pub mod frame;
pub mod fuzz;
mod generated;
pub mod ids;
pub mod limits;
pub mod message;
pub mod numbered;
pub mod routing;
#[cfg(test)]
mod samples;

pub use ids::{
    LaneId, OwnerId, QueueId, QueueName, RequestId, SequenceNumber, ShardIndex, StreamId, StreamName,
    Timestamp,
};
