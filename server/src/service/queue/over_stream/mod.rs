//! Queues over streams: consumers share a stream's records, acknowledge them, and get those again that they have not acknowledged in time.
//!
//! The records stay where they are, in the logs of the stream's shards; a queue has a position in each shard and what is known of the records that are out, acknowledged ahead
//! of others, or dead letters. It has a partition in every lane, which sees to the shards of that lane with one journal, so a shard that is new needs nothing but to be there.
//! Leaves out where a partition's core is, and what a stream is.

mod ledger;
mod operation;
mod partition;
mod records;
mod source;
mod table;
mod walk;

pub use super::shard_event::Side;
#[cfg(test)]
pub(super) use ledger::Ledger;
pub use operation::{Named, StreamReceipt, StreamReceived};
pub use partition::{Counted, StreamPartition, Wanted};
pub use source::{Place, Source};
pub use table::StreamQueues;
