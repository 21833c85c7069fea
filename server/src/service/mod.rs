//! What the server serves, in its own vocabulary: services decide, and others do the input and output.

pub mod capacity;
pub mod catalog;
pub mod commitment;
pub mod consumer;
pub mod governor;
pub mod meter;
pub mod queue;
pub mod queue_definition;
pub mod quota;
pub mod shard_definition;
pub mod stream;
pub mod stream_queue;
