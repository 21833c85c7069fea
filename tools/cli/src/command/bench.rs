//! `tidemill bench`: measures a running server. The load itself is the bench package's.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use tidemill_bench::{BenchError, Options, Until};
use tidemill_client::{Ack, StreamName};

use crate::failure::{CommandError, Exit, Outcome, chain, exit_of};
use crate::output::{Output, note};
use crate::quantity::{parse_bytes, parse_span};

/// Measure how much a running server takes in or gives out.
///
/// A closed loop: a number of connections, each with a number of unanswered requests. It finds the most that a server
/// carries, and shows the server's processor time beside it when the server runs on this machine.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    load: Load,
}

#[derive(Debug, Subcommand)]
enum Load {
    /// Append records.
    #[command(after_help = "Examples:
  tidemill bench produce
  tidemill bench produce --connections 4 --ack written --duration 30s --json")]
    Produce(Shape),
    /// Read records; fills the stream first.
    #[command(after_help = "Examples:
  tidemill bench consume
  tidemill bench consume --connections 2 --shards 2 --fill 1GB")]
    Consume(Shape),
}

/// The shape of the load.
#[derive(Clone, Debug, Args)]
struct Shape {
    /// The stream. It is created without quotas if it is missing, and deleted again at the end.
    #[arg(long, value_name = "NAME", default_value = "bench")]
    stream: StreamName,
    /// Shards of a stream that is created.
    #[arg(long, value_name = "N", default_value_t = 1)]
    shards: u32,
    /// Bytes that each shard of a stream that is created keeps, so that a long run does not fill the disk; 0 for no bound.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_bytes)]
    retention: u64,
    /// Keep a stream that is created.
    #[arg(long)]
    keep_stream: bool,
    /// Connections, each a thread.
    #[arg(long, value_name = "N", default_value_t = 1)]
    connections: u32,
    /// Unanswered requests of each connection.
    #[arg(long, value_name = "N", default_value_t = 8)]
    in_flight: u32,
    /// Bytes of a record.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    record_bytes: u32,
    /// Records of an append.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    batch_records: u32,
    /// When an append is answered.
    #[arg(long, value_enum, default_value_t = AckRule::Durable)]
    ack: AckRule,
    /// Bytes of a fetch's answer, at most.
    #[arg(long, value_name = "N", default_value_t = 1 << 20)]
    fetch_bytes: u32,
    /// How much is appended before reading is measured.
    #[arg(long, value_name = "SIZE", default_value = "256MB", value_parser = parse_bytes)]
    fill: u64,
    /// Load before the measured part.
    #[arg(long, value_name = "SPAN", default_value = "1s", value_parser = parse_span)]
    warm_up: Duration,
    /// The measured part.
    #[arg(long, value_name = "SPAN", default_value = "10s", value_parser = parse_span)]
    duration: Duration,
    /// Measure until so much was answered, instead of for a time.
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, conflicts_with = "duration")]
    bytes: Option<u64>,
    /// The server's process, for its processor time; found by its port if it is on this machine.
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
}

/// When an append is answered.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum AckRule {
    /// When it is flushed to the disk.
    Durable,
    /// When it is in the server's page cache.
    Written,
}

impl Bench {
    pub(crate) fn run(self, server: &str, output: Output) -> Outcome {
        if cfg!(debug_assertions) {
            note("tidemill: this is a debug build, so the figures say little; build with --release");
        }
        let report = match self.load {
            Load::Produce(shape) => tidemill_bench::produce(&shape.options(server)),
            Load::Consume(shape) => tidemill_bench::consume(&shape.options(server)),
        };
        let report = report.map_err(|error| failed(&error))?;
        output.print(&report, ToString::to_string)
    }
}

impl Shape {
    fn options(self, server: &str) -> Options {
        let mut options = Options::new(server, self.stream);
        options.shards = self.shards;
        options.retention_bytes = self.retention;
        options.keep_stream = self.keep_stream;
        options.connections = self.connections;
        options.in_flight = self.in_flight;
        options.record_bytes = self.record_bytes;
        options.batch_records = self.batch_records;
        options.ack = match self.ack {
            AckRule::Durable => Ack::Durable,
            AckRule::Written => Ack::Written,
        };
        options.fetch_bytes = self.fetch_bytes;
        options.fill_bytes = self.fill;
        options.warm_up = self.warm_up;
        options.until = self.bytes.map_or(Until::Elapsed(self.duration), Until::Bytes);
        options.server_pid = self.server_pid;
        options
    }
}

fn failed(error: &BenchError) -> CommandError {
    let exit = match error {
        BenchError::Option { .. } => Exit::Usage,
        BenchError::Connect { .. } | BenchError::Resolve { .. } => Exit::Unreachable,
        BenchError::Refused { failure, .. } => exit_of(failure.code),
        _ => Exit::Failure,
    };
    CommandError::new(exit, chain(error))
}
