//! Load on a server, measured.
//!
//! Owns the generator behind `tidemill bench`: connections on plain io_uring rings, requests built before the clock starts, a closed loop for the most that a
//! server carries and an open loop for how long requests take at a given rate, and the server's processor time beside the throughput. Promises that a
//! figure counts only what the server has answered, and that in an open loop no stall hides the requests that it kept from being sent. Leaves out
//! drawing a user interface.

mod ceiling;
mod clock;
mod compare;
mod connection;
mod cpu;
mod embedded;
mod error;
mod histogram_log;
mod http;
mod load;
mod options;
mod pace;
mod page;
mod report;
mod ring;
mod scenario;
mod watch;
mod workload;

pub use ceiling::{Ceiling, CeilingReport, measure_ceiling};
pub use compare::{Comparison, Difference, read_report};
pub use cpu::CpuError;
pub use embedded::Embedded;
pub use error::BenchError;
pub use histogram_log::check_latency_file;
pub use http::HttpError;
pub use options::{
    HttpOptions, HttpProtocol, Keys, Options, ParseKeysError, ParseRateError, ParseSizesError, Rate, Secret,
    Sizes, Until,
};
pub use report::{
    CeilingShare, CpuReport, CpuUse, FlowReport, Knee, LatencyReport, MachineReport, MemoryReport,
    PartReport, QuotaReport, Report, ThrottleReport, Timeline,
};
pub use scenario::{Outcome, Scenario, run};
pub use watch::{Sighting, Unwatched, Watch};
