//! The Tidemill server as a library: executors, protocols and services over the lane log.

pub mod config;
