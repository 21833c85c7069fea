//! Load on a running server, measured.
//!
//! Owns the closed-loop generator behind `tidemill bench produce|consume`: one blocking thread per connection, requests
//! built before the clock starts, as many of them unanswered as asked for, and the server's processor time beside the
//! throughput. Promises that a figure counts only what the server has answered. Leaves out starting a server, drawing a user
//! interface and the open loop: a closed loop finds the most a server carries, not how long a request takes at a given rate.

mod connection;
mod cpu;
mod error;
mod load;
mod options;
mod report;

pub use cpu::CpuError;
pub use error::BenchError;
pub use load::{consume, produce};
pub use options::{Options, Until};
pub use report::{Command, CpuReport, CpuUse, LatencyReport, Report, SettingsReport, ThrottleReport};
