//! What can be asked of each scenario. A group is taken in only where all of it has an effect, so that everything else is refused.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tidemill_bench::{HttpOptions, HttpProtocol, Keys, Options, Rate, Secret, Sizes, Until};
use tidemill_client::{Ack, Compression, StreamName};

use crate::quantity::{parse_bytes, parse_span};

/// The stream, the connections and the time.
#[derive(Clone, Debug, Args)]
pub(super) struct Run {
    /// How the generator speaks to the server.
    #[arg(long, value_enum, value_name = "NAME", default_value_t = Protocol::Native)]
    protocol: Protocol,
    /// Host and port of the server's HTTP port, for the protocols spoken there. The access key is TIDEMILL_ACCESS_KEY_ID and TIDEMILL_SECRET_ACCESS_KEY in the
    /// environment; an embedded server has one of its own.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7690", conflicts_with = "embedded")]
    endpoint: String,
    /// The region that calls are signed for.
    #[arg(long, value_name = "NAME", default_value = "us-east-1")]
    region: String,
    /// The stream, or the queue for `sqs`. It is created if it is missing, and then deleted again at the end. Whatever is in a queue that is there already may be
    /// received by `consume` and `mixed`, and is deleted then.
    #[arg(long, value_name = "NAME", default_value = "bench")]
    stream: StreamName,
    /// Shards of a stream that is created.
    #[arg(long, value_name = "N", default_value_t = 1)]
    shards: u32,
    /// Bytes that each shard of a stream that is created keeps, so that a long run does not fill the disk; 0 for no bound.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_bytes)]
    retention: u64,
    /// Keep a stream that is created.
    #[arg(long, conflicts_with = "embedded")]
    keep_stream: bool,
    /// Threads of the generator, each with a ring of its own; as many as it has cores, if nothing is said.
    #[arg(long, value_name = "N")]
    threads: Option<u32>,
    /// The server's process, for its processor time; found by its port if it is on this machine.
    #[arg(long, value_name = "PID", conflicts_with = "embedded")]
    server_pid: Option<u32>,
    /// Start a server for this run: a process of this program on a core of its own, with a temporary data directory; both go with the run.
    #[arg(long)]
    pub(super) embedded: bool,
    /// Where the embedded server's directory is made: on the disk that is meant.
    #[arg(long, value_name = "DIR", requires = "embedded")]
    pub(super) embedded_data: Option<PathBuf>,
    /// A setting of the embedded server, as for `serve`. It has one core if nothing else is set. Can be given more than once.
    #[arg(long, value_name = "NAME=VALUE", requires = "embedded")]
    pub(super) embedded_set: Vec<String>,
    /// Write the result to a file too, as a page that needs nothing else.
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Write all latencies to a file too: NAME.hgrm for distributions that HdrHistogram's plotters read, NAME.hlog for an interval
    /// log of version 2. Can be given more than once.
    #[arg(long, value_name = "FILE")]
    pub(super) histogram: Vec<PathBuf>,
}

/// Protocols that a generator exists for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Protocol {
    /// The native protocol.
    Native,
    /// Amazon Kinesis in JSON: PutRecords or, for batches of one, PutRecord; GetRecords; SubscribeToShard.
    Kinesis,
    /// Amazon SQS in JSON: SendMessageBatch or, for batches of one, SendMessage; ReceiveMessage and DeleteMessageBatch.
    Sqs,
}

/// When it begins to count and when it ends.
#[derive(Clone, Debug, Args)]
pub(super) struct Time {
    /// Load before the measured part.
    #[arg(long, value_name = "SPAN", default_value = "1s", value_parser = parse_span)]
    warm_up: Duration,
    /// The measured part.
    #[arg(long, value_name = "SPAN", default_value = "10s", value_parser = parse_span)]
    duration: Duration,
}

/// An end that does not depend on time.
#[derive(Clone, Debug, Args)]
pub(super) struct Amount {
    /// Measure until so much was answered, instead of for a time.
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, conflicts_with_all = ["duration", "rate"])]
    bytes: Option<u64>,
}

/// Connections with requests in flight.
#[derive(Clone, Debug, Args)]
pub(super) struct Slots {
    /// Connections.
    #[arg(long, value_name = "N", default_value_t = 1)]
    connections: u32,
    /// Requests of each connection that may be unanswered: 8, or 1 over HTTP, where there is no more.
    #[arg(long, value_name = "N")]
    in_flight: Option<u32>,
}

/// The shape of appends.
#[derive(Clone, Debug, Args)]
pub(super) struct Shape {
    /// Bytes of a record: a number, or a range like 100..1000 whose sizes come equally often.
    #[arg(long, value_name = "N", default_value = "1000")]
    record_bytes: Sizes,
    /// Records of an append, at most.
    /// 1,000, or the most that the protocol takes if that is less.
    #[arg(long, value_name = "N")]
    batch_records: Option<u32>,
    /// Partition keys: `shard` for one key in each shard, `uniform:N`, or `zipf:N[:SKEW]` for N keys of which the first come most often.
    #[arg(long, value_name = "RULE", default_value = "shard")]
    keys: Keys,
    /// When an append is answered.
    #[arg(long, value_enum, default_value_t = AckRule::Durable)]
    ack: AckRule,
}

/// What the machine can do.
#[derive(Clone, Debug, Args)]
pub(super) struct Share {
    /// Measure right before and after the run what this machine can do without a server, and show the run as a share of it: `bench ceiling socket`, and
    /// `bench ceiling disk` for durable appends.
    #[arg(long)]
    ceiling: bool,
    /// A directory on the server's disk for that; an embedded server has one.
    #[arg(long, value_name = "DIR", requires = "ceiling")]
    ceiling_directory: Option<PathBuf>,
}

/// Compression by the producer.
#[derive(Clone, Debug, Args)]
pub(super) struct Compress {
    /// Compress the data, once, before the clock starts; throughput counts what is stored.
    #[arg(long, value_enum, value_name = "NAME")]
    compression: Option<Codec>,
    /// How much of a record is the same in all of them, in percent; the rest cannot be compressed.
    #[arg(long, value_name = "PERCENT", default_value_t = 50, requires = "compression")]
    compressible: u8,
}

/// An open loop of appends.
#[derive(Clone, Debug, Args)]
pub(super) struct Arrivals {
    /// Open loop: records each second over all connections, like 50k, sent when they are due whatever the server does; latency counts from then. A ramp
    /// like 10k..500k[:STEPS] runs one rate after the other and finds the knee. Without, each answer makes room for the next request: the most that
    /// the server carries.
    #[arg(long, value_name = "RATE")]
    rate: Option<Rate>,
    /// Records arrive one by one, and a batch leaves when it is full or its first record has waited so long. Without, the records of a batch
    /// arrive together.
    #[arg(long, value_name = "SPAN", value_parser = parse_span, requires = "rate")]
    linger: Option<Duration>,
}

/// An open loop of fetches.
#[derive(Clone, Debug, Args)]
pub(super) struct Requests {
    /// Open loop: fetches each second over all connections, or a ramp of them; latency counts from when each is due.
    #[arg(long, value_name = "RATE")]
    rate: Option<Rate>,
}

/// How much is read at a time.
#[derive(Clone, Debug, Args)]
pub(super) struct Reads {
    /// Bytes of a fetch's answer, at most; a subscription has four times as much credit.
    #[arg(long, value_name = "N", default_value_t = 1 << 20)]
    fetch_bytes: u32,
}

/// What is there to be read.
#[derive(Clone, Debug, Args)]
pub(super) struct Fill {
    /// How much the stream holds before reading is measured; what is missing is appended.
    #[arg(long, value_name = "SIZE", default_value = "256MB", value_parser = parse_bytes)]
    fill: u64,
    /// Bytes of a record of what is appended: a number, or a range.
    #[arg(long, value_name = "N", default_value = "1000")]
    record_bytes: Sizes,
    /// Records of an append, at most.
    /// 1,000, or the most that the protocol takes if that is less.
    #[arg(long, value_name = "N")]
    batch_records: Option<u32>,
}

/// When an append is answered.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum AckRule {
    /// When it is flushed to the disk.
    Durable,
    /// When it is in the server's page cache.
    Written,
}

/// Codecs of the record batch.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Codec {
    Lz4,
    Zstd,
}

/// A group that sets its options.
pub(super) trait Apply {
    /// Sets them.
    fn apply(&self, options: &mut Options);
}

impl Run {
    pub(super) fn options(&self, server: &str) -> Options {
        let protocol = match self.protocol {
            Protocol::Native => None,
            Protocol::Kinesis => Some(HttpProtocol::Kinesis),
            Protocol::Sqs => Some(HttpProtocol::Sqs),
        };
        let text = |name| std::env::var(name).unwrap_or_default();
        let http = protocol.map(|protocol| HttpOptions {
            protocol,
            endpoint: self.endpoint.clone(),
            access_key: text("TIDEMILL_ACCESS_KEY_ID"),
            secret: Secret::new(text("TIDEMILL_SECRET_ACCESS_KEY")),
            region: self.region.clone(),
        });
        Options {
            http,
            shards: self.shards,
            retention_bytes: self.retention,
            keep_stream: self.keep_stream,
            threads: self.threads,
            server_pid: self.server_pid,
            ..Options::new(server, self.stream.clone())
        }
    }
}

impl Apply for Time {
    fn apply(&self, options: &mut Options) {
        options.warm_up = self.warm_up;
        options.until = Until::Elapsed(self.duration);
    }
}

impl Apply for Amount {
    fn apply(&self, options: &mut Options) {
        options.until = self.bytes.map_or(options.until, Until::Bytes);
    }
}

impl Apply for Slots {
    fn apply(&self, options: &mut Options) {
        let in_flight = if options.http.is_some() { 1 } else { 8 };
        (options.connections, options.in_flight) = (self.connections, self.in_flight.unwrap_or(in_flight));
    }
}

impl Apply for Shape {
    fn apply(&self, options: &mut Options) {
        let most = options.http.as_ref().map_or(1_000, |http| http.protocol.batch_records_max());
        (options.record_bytes, options.batch_records) =
            (self.record_bytes, self.batch_records.unwrap_or(most));
        options.keys = self.keys;
        options.ack = match self.ack {
            AckRule::Durable => Ack::Durable,
            AckRule::Written => Ack::Written,
        };
    }
}

impl Apply for Share {
    fn apply(&self, options: &mut Options) {
        options.has_ceiling = self.ceiling;
        options.ceiling_directory = self.ceiling_directory.clone();
    }
}

impl Apply for Compress {
    fn apply(&self, options: &mut Options) {
        let Some(codec) = self.compression else { return };
        options.compressible_percent = self.compressible;
        options.compression = match codec {
            Codec::Lz4 => Compression::Lz4,
            Codec::Zstd => Compression::Zstd,
        };
    }
}

impl Apply for Arrivals {
    fn apply(&self, options: &mut Options) {
        (options.rate, options.linger) = (self.rate, self.linger);
    }
}

impl Apply for Requests {
    fn apply(&self, options: &mut Options) {
        options.rate = self.rate;
    }
}

impl Apply for Reads {
    fn apply(&self, options: &mut Options) {
        options.fetch_bytes = self.fetch_bytes;
    }
}

impl Apply for Fill {
    fn apply(&self, options: &mut Options) {
        options.fill_bytes = self.fill;
        let most = options.http.as_ref().map_or(1_000, |http| http.protocol.batch_records_max());
        (options.record_bytes, options.batch_records) =
            (self.record_bytes, self.batch_records.unwrap_or(most));
        // A reader does not see how it came to be there.
        options.ack = if options.http.is_some() { Ack::Durable } else { Ack::Written };
    }
}
