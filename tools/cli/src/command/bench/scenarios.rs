//! The scenarios as commands: which groups of options each takes.

use clap::{Args, Subcommand};
use tidemill_bench::{Options, Rate, Scenario, Sizes, Until};

use super::arguments::{
    Amount, Apply, Arrivals, Compress, Fill, Reads, Requests, Run, Shape, Share, Slots, Time,
};
use crate::quantity::parse_bytes;

/// What runs.
#[derive(Debug, Subcommand)]
pub(super) enum Load {
    /// Append records.
    #[command(after_help = "Examples:
  tidemill bench produce
  tidemill bench produce --connections 4 --ack written --duration 30s --json
  tidemill bench produce --rate 100k --batch-records 100 --linger 5ms
  tidemill bench produce --rate 10k..500k --batch-records 1 --in-flight 256")]
    Produce(Produce),
    /// Read records; fills the stream first.
    #[command(after_help = "Examples:
  tidemill bench consume
  tidemill bench consume --connections 2 --shards 2 --fill 1GB")]
    Consume(Consume),
    /// Append records to a stream with subscribers: how long until a record is in a subscriber's hands.
    ///
    /// Each open shard has one subscriber on a connection of its own. Every append that is acknowledged has to arrive, or the run fails.
    #[command(after_help = "Examples:
  tidemill bench mixed --rate 1k --batch-records 1 --ack written")]
    Mixed(Mixed),
    /// Catch up with a stream from its beginning; fills it first.
    #[command(after_help = "Examples:
  tidemill bench replay --fill 4GB --retention 0
  tidemill bench replay --fill 4GB --retention 0 --embedded --cold")]
    Replay(Replay),
    /// Open many subscribed connections on which little happens: what they cost the server.
    #[command(after_help = "Examples:
  tidemill bench connections --connections 10000
  tidemill bench connections --connections 1000 --rate 10")]
    Connections(Connections),
    /// Offer more than a stream's quota allows and compare what is admitted. The stream is created with the server's default quota.
    #[command(after_help = "Examples:
  tidemill bench quota --offer 5MB --duration 60s")]
    Quota(Quota),
    /// Send messages to a queue, receive and delete them, in batches: how many go through, and how long each step takes.
    ///
    /// The queue has the name that --stream gives. It is created if it is missing, and then deleted again at the end.
    #[command(after_help = "Examples:
  tidemill bench queue --connections 4 --in-flight 32
  tidemill bench queue --embedded --backlog 20000000 --connections 4")]
    Queue(Queue),
}

#[derive(Debug, Args)]
pub(super) struct Queue {
    #[command(flatten)]
    run: Run,
    #[command(flatten)]
    slots: Slots,
    /// Messages that are sent before the measured part begins, whatever the queue holds already.
    #[arg(long, value_name = "N", default_value_t = 0)]
    backlog: u64,
    /// Bytes of a message's body.
    #[arg(long, value_name = "N", default_value_t = 100)]
    message_bytes: u32,
    /// Messages of one send, one receive and one deletion.
    #[arg(long, value_name = "N", default_value_t = 10)]
    batch: u32,
    #[command(flatten)]
    time: Time,
    /// Measure until messages of so many bytes went through, instead of for a time.
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, conflicts_with = "duration")]
    bytes: Option<u64>,
}

#[derive(Debug, Args)]
pub(super) struct Produce {
    #[command(flatten)]
    run: Run,
    #[command(flatten)]
    share: Share,
    #[command(flatten)]
    slots: Slots,
    #[command(flatten)]
    shape: Shape,
    #[command(flatten)]
    compress: Compress,
    #[command(flatten)]
    arrivals: Arrivals,
    #[command(flatten)]
    time: Time,
    #[command(flatten)]
    amount: Amount,
}

#[derive(Debug, Args)]
pub(super) struct Consume {
    #[command(flatten)]
    run: Run,
    #[command(flatten)]
    share: Share,
    #[command(flatten)]
    slots: Slots,
    #[command(flatten)]
    reads: Reads,
    #[command(flatten)]
    fill: Fill,
    #[command(flatten)]
    requests: Requests,
    #[command(flatten)]
    time: Time,
    #[command(flatten)]
    amount: Amount,
}

#[derive(Debug, Args)]
pub(super) struct Mixed {
    #[command(flatten)]
    run: Run,
    #[command(flatten)]
    slots: Slots,
    #[command(flatten)]
    shape: Shape,
    #[command(flatten)]
    reads: Reads,
    #[command(flatten)]
    arrivals: Arrivals,
    #[command(flatten)]
    time: Time,
}

#[derive(Debug, Args)]
pub(super) struct Replay {
    #[command(flatten)]
    run: Run,
    #[command(flatten)]
    share: Share,
    #[command(flatten)]
    reads: Reads,
    #[command(flatten)]
    fill: Fill,
    /// Readers, dealt out to the shards; each reads all that its shard holds. One for each shard at least.
    #[arg(long, value_name = "N", default_value_t = 1)]
    connections: u32,
    /// Read once from the disk before reading from memory: the server is restarted, and what was cached of its files is dropped.
    #[arg(long, requires = "embedded")]
    cold: bool,
}

#[derive(Debug, Args)]
pub(super) struct Connections {
    #[command(flatten)]
    run: Run,
    /// Subscribed connections.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    connections: u32,
    /// Records of 100 bytes that are appended each second meanwhile, each of which goes to all subscribers of its shard. Without, nothing happens.
    #[arg(long, value_name = "N")]
    rate: Option<u64>,
    #[command(flatten)]
    time: Time,
}

#[derive(Debug, Args)]
pub(super) struct Quota {
    #[command(flatten)]
    run: Run,
    /// Bytes of records that are offered each second, over all shards.
    #[arg(long, value_name = "SIZE", default_value = "5MB", value_parser = parse_bytes)]
    offer: u64,
    /// Bytes of a record. Small records meet the quota of records first.
    #[arg(long, value_name = "N", default_value_t = 4_000)]
    record_bytes: u32,
    #[command(flatten)]
    time: Time,
}

impl Load {
    /// What is common to all.
    pub(super) fn run(&self) -> &Run {
        match self {
            Self::Produce(load) => &load.run,
            Self::Consume(load) => &load.run,
            Self::Mixed(load) => &load.run,
            Self::Replay(load) => &load.run,
            Self::Connections(load) => &load.run,
            Self::Quota(load) => &load.run,
            Self::Queue(load) => &load.run,
        }
    }

    /// Which scenario it is, with its options.
    pub(super) fn scenario(&self, server: &str) -> (Scenario, Options) {
        let (scenario, groups): (_, Vec<&dyn Apply>) = match self {
            Self::Produce(load) => (
                Scenario::Produce,
                vec![
                    &load.slots,
                    &load.shape,
                    &load.compress,
                    &load.arrivals,
                    &load.time,
                    &load.amount,
                    &load.share,
                ],
            ),
            Self::Consume(load) => (
                Scenario::Consume,
                vec![
                    &load.slots,
                    &load.reads,
                    &load.fill,
                    &load.requests,
                    &load.time,
                    &load.amount,
                    &load.share,
                ],
            ),
            Self::Mixed(load) => {
                (Scenario::Mixed, vec![&load.slots, &load.shape, &load.reads, &load.arrivals, &load.time])
            }
            Self::Replay(load) => (Scenario::Replay, vec![&load.reads, &load.fill, &load.share, load]),
            Self::Connections(load) => (Scenario::Connections, vec![&load.time, load]),
            Self::Quota(load) => (Scenario::Quota, vec![&load.time, load]),
            Self::Queue(load) => (Scenario::Queue, vec![&load.slots, &load.time, load]),
        };
        let mut options = self.run().options(server);
        groups.into_iter().for_each(|group| group.apply(&mut options));
        (scenario, options)
    }
}

impl Apply for Replay {
    fn apply(&self, options: &mut Options) {
        (options.connections, options.is_cold) = (self.connections, self.cold);
    }
}

impl Apply for Queue {
    fn apply(&self, options: &mut Options) {
        options.backlog = self.backlog;
        options.until = self.bytes.map_or(options.until, Until::Bytes);
        (options.record_bytes, options.batch_records) = (Sizes::Fixed(self.message_bytes), self.batch);
    }
}

impl Apply for Connections {
    fn apply(&self, options: &mut Options) {
        options.connections = self.connections;
        options.rate = self.rate.map(Rate::Fixed);
        let in_flight = if options.http.is_some() { 1 } else { 64 };
        (options.record_bytes, options.batch_records, options.in_flight) = (Sizes::Fixed(100), 1, in_flight);
        // A connection on which little happens needs little credit.
        options.fetch_bytes = 16 << 10;
    }
}

/// Records of an append of `quota`: a request is small beside what a shard admits in a second.
const QUOTA_BATCH_RECORDS: u32 = 5;

impl Apply for Quota {
    fn apply(&self, options: &mut Options) {
        let records = self.offer.div_ceil(u64::from(self.record_bytes).max(1));
        options.rate = Some(Rate::Fixed(records));
        (options.record_bytes, options.batch_records) =
            (Sizes::Fixed(self.record_bytes), QUOTA_BATCH_RECORDS);
        options.fetch_bytes = 64 << 10;
        options.in_flight = 2;
        // The bucket's burst is a second's worth, and has to be gone.
        options.warm_up = options.warm_up.max(std::time::Duration::from_secs(3));
    }
}
