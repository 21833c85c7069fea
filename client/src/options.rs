//! What a caller chooses: bounds, times and policies, each with its unit, range and default.
//!
//! Options are plain fields; out-of-range values are brought into range where they are used, never refused.

use std::collections::BTreeMap;
use std::time::Duration;

use tidemill_wire::batch::Compression;
use tidemill_wire::message::Ack;
use tidemill_wire::{SequenceNumber, ShardIndex, Timestamp};

/// How a [`Client`](crate::Client) connects.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Sent in the hello, for the server's logs. Default: `tidemill-client/VERSION`.
    pub name: String,
    /// How long opening one connection may take, name look-up and hello included. Default 5 s.
    pub connect_timeout: Duration,
    /// How long an answer may take beyond what the request itself asks to wait. A connection that misses it is given
    /// up, since what it still carries cannot be told from what is lost. Default 30 s.
    pub request_timeout: Duration,
    /// After so much silence from the server a ping is sent, so that a dead connection shows. Default 10 s.
    pub keep_alive: Duration,
    /// Bytes of the largest frame taken from the server. Default 32 MiB, at most 64 MiB.
    pub frame_bytes_max: u32,
    /// Requests of one connection that may be unanswered; the server's own bound holds too. Default 1,024, at least 2.
    pub in_flight_max: u32,
    /// Send to the port of each shard's owner instead of having the server pass requests on. A port that cannot be
    /// reached is avoided for a while. Default true.
    pub use_lane_ports: bool,
    /// When and how long to try again while the server cannot be reached or is too busy.
    pub retry: RetryPolicy,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            name: concat!("tidemill-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(10),
            frame_bytes_max: 32 << 20,
            in_flight_max: 1_024,
            use_lane_ports: true,
            retry: RetryPolicy::default(),
        }
    }
}

/// When and how long to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in a row without success, the first one included. Default: no bound but the deadline.
    pub attempts: u32,
    /// Time in a row without success. Default 2 min, as Kafka's `delivery.timeout.ms`.
    pub deadline: Duration,
    /// Pause after the first failure; it doubles with each further one. Default 50 ms.
    pub backoff_min: Duration,
    /// The longest pause. Half of each pause is drawn by chance, so that clients do not come back in step. Default 2 s.
    pub backoff_max: Duration,
}

impl RetryPolicy {
    /// One try and no more.
    pub const NEVER: Self = Self {
        attempts: 1,
        deadline: Duration::ZERO,
        backoff_min: Duration::ZERO,
        backoff_max: Duration::ZERO,
    };
    /// Until it works, however long that takes.
    pub const FOREVER: Self = Self {
        attempts: u32::MAX,
        deadline: Duration::MAX,
        backoff_min: Duration::from_millis(50),
        backoff_max: Duration::from_secs(2),
    };
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(120), ..Self::FOREVER }
    }
}

/// How a [`Producer`](crate::Producer) batches and sends.
#[derive(Clone, Debug)]
pub struct ProducerOptions {
    /// Bytes of a batch before compression. A record that is larger goes alone. Where the stream has a write quota, half
    /// of one second's quota bounds it too. Default 1 MB, at most 12 MiB.
    pub batch_bytes_max: usize,
    /// Records of a batch. Where the stream has a quota of records, half of one second's quota bounds it too. Default
    /// 1,000, 1 to 65,536.
    pub batch_records_max: u32,
    /// How long a batch that is not full waits for more records. Default 5 ms.
    pub linger: Duration,
    /// Keep the order of each shard's records through every refusal and retry: a shard has one unanswered append at a
    /// time, and what comes meanwhile makes the next batch larger. Default true.
    pub ordered: bool,
    /// Unanswered appends of one shard when `ordered` is off. A batch that is refused and sent again is then stored
    /// behind later ones. Default 4, at least 1.
    pub in_flight_per_shard: usize,
    /// How the data of a batch is compressed. Default none.
    pub compression: Compression,
    /// When the server answers. Default after the flush.
    pub ack: Ack,
    /// Bytes of records that are taken and not yet answered; `send` waits while they are over it. Default 32 MiB.
    pub buffer_bytes_max: usize,
    /// What to do when a shard's write quota is used up.
    pub throttle: ThrottlePolicy,
    /// Sends a batch again when its answer was lost, so that records may be stored twice. Off, such records end in
    /// [`SendError::UnknownOutcome`](crate::SendError::UnknownOutcome). Default off.
    pub resend_unknown: bool,
    /// When and how long to try again while the server cannot be reached or is too busy; `None` takes the client's.
    pub retry: Option<RetryPolicy>,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            batch_bytes_max: 1_000_000,
            batch_records_max: 1_000,
            linger: Duration::from_millis(5),
            ordered: true,
            in_flight_per_shard: 4,
            compression: Compression::None,
            ack: Ack::Durable,
            buffer_bytes_max: 32 << 20,
            throttle: ThrottlePolicy::default(),
            resend_unknown: false,
            retry: None,
        }
    }
}

/// What a producer does when a shard's write quota is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThrottlePolicy {
    /// Wait as long as the server says and send the batch again, until it has waited for so long in all.
    Wait {
        /// The most that one batch waits.
        at_most: Duration,
    },
    /// End the batch's records in [`SendError::Refused`](crate::SendError::Refused).
    Return,
}

impl Default for ThrottlePolicy {
    fn default() -> Self {
        Self::Wait { at_most: Duration::from_secs(60) }
    }
}

/// What a [`Consumer`](crate::Consumer) reads, and how.
#[derive(Clone, Debug, Default)]
pub struct ConsumerOptions {
    /// Which shards. Default all.
    pub shards: ShardChoice,
    /// Where each shard begins. Default at the oldest retained record.
    pub start: Start,
    /// Where each shard ends, whichever comes first. Default nowhere.
    pub until: Until,
    /// End after so many records in all. Default no bound.
    pub count: Option<u64>,
    /// Who sets the pace. Default [`DeliveryMode::Fetch`].
    pub delivery: DeliveryMode,
    /// Bounds of one fetch and of what is read ahead.
    pub window: Window,
    /// How long to try again while the server cannot be reached or is too busy; `None` takes the client's.
    pub retry: Option<RetryPolicy>,
}

/// Bounds of one fetch and of what is read ahead.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Bytes of entries that one fetch asks for. An entry that is larger comes alone. Default 1 MiB.
    pub fetch_bytes: u32,
    /// Bytes of entries, for each shard, that are received or on their way and not yet taken by the caller. Default 4 MiB,
    /// at least `fetch_bytes`. A server that pushes whole entries may go over it by as much again.
    pub prefetch_bytes: u32,
    /// How long a fetch at the end of a shard waits for a record. Default 5 s, 1 ms to 60 s.
    pub wait: Duration,
}

impl Default for Window {
    fn default() -> Self {
        Self { fetch_bytes: 1 << 20, prefetch_bytes: 4 << 20, wait: Duration::from_secs(5) }
    }
}

/// Which shards a consumer reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ShardChoice {
    /// Every shard, also those that come when shards are split or merged; they begin when their parents have ended.
    #[default]
    All,
    /// These.
    Only(Vec<ShardIndex>),
}

/// Where each shard begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At the oldest retained record.
    #[default]
    Oldest,
    /// After the newest record there is when the consumer is made.
    Newest,
    /// At the first record appended at or after this time.
    Timestamp(Timestamp),
    /// At this record of each shard.
    Sequence(SequenceNumber),
    /// At a record of its own for each shard, as [`Consumer::positions`](crate::Consumer::positions) gives them; a shard
    /// that is not listed begins at its oldest record.
    Positions(BTreeMap<ShardIndex, SequenceNumber>),
}

/// Where each shard ends, whichever comes first; by default nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Until {
    /// Before this record.
    pub sequence: Option<SequenceNumber>,
    /// Before the first record appended at or after this time.
    pub timestamp: Option<Timestamp>,
    /// At the end that the shard has when the consumer is made.
    pub end: bool,
}

/// Who sets the pace of a consumer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeliveryMode {
    /// The client asks for each piece, and waits at the server when there is none.
    #[default]
    Fetch,
    /// The server sends records as they are appended, as far as the prefetch window allows.
    Push,
}
