//! The Tidemill server as a library: executors, protocols and services over the lane log.

pub mod boot;
pub mod config;
#[cfg(test)]
mod fuzzing;
pub mod gate;
pub mod metrics;
pub mod net;
pub mod protocol;
pub mod service;
pub mod shard;
