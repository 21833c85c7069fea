//! Queues: producers send, consumers receive, work and delete; what is not deleted in time comes back.
//!
//! Owns what a queue is, what its partitions decide, and how both are written to the lanes' logs. Decisions are pure (`state`): a request and the time in, an event out,
//! which is written before the answer goes. A queue over a stream (`over_stream`) gives a stream's records in the same way. Leaves out HTTP, AWS and where a partition's core is.

mod ask;
mod attempts;
mod choice;
mod chores;
mod dedup;
mod format;
mod format_of_shard;
#[cfg(test)]
mod fuzz;
mod gone;
mod groups;
mod journal;
mod log;
mod message;
mod move_task;
mod operation;
pub mod over_stream;
mod partition;
mod recorder;
mod shard_event;
mod snapshot;
mod state;
mod table;
mod tail;
mod waiters;

use super::queue_definition as definition;

pub use chores::{CancelError as MoveCancelError, Chores, PURGE_PERIOD, Refused as MoveRefused};
pub use dedup::Room as KnownRoom;
pub use definition::{
    Allow, Definition, Fifo, Partition, QueueId, QueueName, QueueNameError, QueueSettings, Redrive, Scope,
    ThroughputLimit,
};
pub use message::{
    Attribute, AttributeValue, Message, MessageId, NewMessage, content_deduplication, is_fifo_id, is_plain,
    partition_of, plain_text,
};
pub use move_task::{MoveError, Status as MoveStatus, Target as MoveTarget, Task as MoveTask};
pub use operation::{
    Counts, Receipt, ReceiptError, Receive, ReceiveError, Received, SendError, Sent, Unreadable,
};
pub use partition::{Batch, Partition as LocalPartition, Want};
pub use table::Queues;
