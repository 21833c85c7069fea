//! The lane log engine: one append-only log of segments and everything that keeps it true.
//!
//! Owns entries from the moment they are queued for a lane until retention takes them: group commit, segments,
//! index, fetch, retention, recovery. Promises that what was acknowledged is there once, in order, after any crash. Leaves out
//! the network, streams, principals and what a payload means.
//!
//! The layout of every byte on disk is drawn in `docs/format/lane-log.md`.

pub mod config;
pub mod disk;
pub mod env;
pub mod error;
pub mod failpoint;
pub mod fuzz;
pub mod inspect;
pub mod lane;
pub mod limits;
pub mod local;
mod owner_map;
pub mod ring;
pub mod room;
mod segment;
pub mod sim;
pub mod stats;
mod tasks;

pub use config::LaneConfig;
pub use env::{Disk, Env, File};
pub use error::{AppendError, DiskError, FetchError, OpenError, UnknownOwner};
pub use lane::repair;
pub use lane::{
    AppendSink, Appended, Bounds, Fetched, KeyCompaction, Lane, RecoveryReport, Retention, Settled, Signal,
    until,
};
pub use room::Room;
pub use stats::{LaneHealth, LaneStats};
