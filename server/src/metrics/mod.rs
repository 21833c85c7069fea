//! What the server counts.
//!
//! A core owns its [`CoreMetrics`]: plain cells, written without locks or atomics on the request path. When
//! somebody asks, each core hands over a [`CoreSnapshot`] and one [`LaneSnapshot`] per lane; these are plain
//! data, put together in a [`ServerSnapshot`] and written as OpenMetrics text, which Prometheus reads.
//!
//! The number of series depends on cores and lanes only; streams have no series of their own but for those whose
//! owners have asked to watch their shards, of which a core tells of so many, and of its queues a core tells of the
//! busiest alone, so the size of an answer is bounded.

mod cell;
mod core;
mod histogram;
mod lane;
mod operation;
mod queue;
mod shard;
mod stream_queue;
mod text;

pub use self::cell::{Counter, Gauge};
pub use self::core::{CoreMetrics, CoreSnapshot};
pub use self::histogram::{Histogram, HistogramSnapshot};
pub use self::lane::LaneSnapshot;
pub use self::operation::{LatencyClass, Operation};
pub use self::queue::QueueSnapshot;
pub use self::shard::ShardSnapshot;
pub use self::stream_queue::StreamQueueSnapshot;
pub use self::text::{CONTENT_TYPE, ServerSnapshot};
