//! The `tidemill` binary as its users meet it: real processes, real files, real signals.
//!
//! Every server runs on free ports and a directory of its own, and every process is ended by its id when its guard goes.
#![allow(clippy::print_stderr, reason = "a test that cannot run here says why")]

mod aws;
mod bench;
mod bench_http;
mod crash;
mod disk_full;
mod failpoint;
mod fixture;
mod flip;
mod flow;
mod following;
#[path = "../../../../storage/tests/it/image.rs"]
mod image;
mod jobs;
mod kept;
mod keys;
mod lifecycle;
mod mistakes;
mod offline;
mod process;
mod queue_consumer;
mod queue_crash;
mod queues;
mod quota;
mod repair;
mod reshard;
mod roundtrip;
mod stream_queues;
mod tools;
mod traffic;
