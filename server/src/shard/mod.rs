//! The owners of lanes: one pinned executor per core, its mailbox, and the way from one to another.
//!
//! Owns threads, clocks, task queues, the ring's pump, the heartbeat and the thread of the catalog. Promises that a lane is touched by
//! its core alone, that what crosses cores does so once each way and by value, and that requests of one sender to one shard
//! keep their order. Leaves out protocols and sockets.

mod capacity;
mod catalog;
mod clock;
mod core;
mod env;
mod errand;
mod event;
mod executor;
mod heartbeat;
mod host;
mod lanes;
mod ledger;
mod limits;
mod mailbox;
mod mover;
mod partitions;
mod pump;
mod queues;
mod request;
mod router;
mod snapshot;
mod stream_queues;
#[cfg(test)]
mod tests;
mod watchdog;
mod workers;

pub use catalog::{
    CapacityFailure, CatalogError, CatalogHandle, CatalogThread, CommitmentFailure, ConsumerTagError,
    CreateError, DeleteError, DeregisterError, PolicyChangeError, QueueCreateError, QueueDeleteError,
    QueueTagError, QueueUpdateError, RecordSizeChangeError, RegisterError, ReshardFailure,
    StreamQueueCreateError, StreamQueueUpdateError, TagError, UpdateError, define,
};
pub use clock::Clock;
pub use core::{Core, CoreParts, Guest, Placement};
pub use env::CoreEnv;
pub use event::{Event, Signal};
pub use executor::{Executor, Runtime, sleep, yield_if_needed};
pub use heartbeat::{Busy, Pulse, Rest, Work};
pub use host::{HostError, check_host, online_cpus, raise_open_files};
pub use lanes::{Known, LaneError, OpenLanes, Strangers, open_lanes};
pub use ledger::{Claim, Ledger, Outcome};
pub use mailbox::{Courier, Mailbox, Post, TrySendError};
pub use mover::MoveStartError;
pub use request::{Letter, Request};
pub use snapshot::CoreReport;
pub use stream_queues::{StreamQueueNews, StreamReceive};
pub use watchdog::Watchdog;
