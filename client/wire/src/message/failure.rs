//! Error codes of the native protocol: one for each way a caller may need to react.

use std::fmt;
use std::time::Duration;

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $number:literal $text:literal,)*) => {
        /// What went wrong, as a number on the wire and a word in tools. Numbers never change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum ErrorCode {
            $($(#[doc = $doc])* $name = $number,)*
        }

        impl ErrorCode {
            /// Every code, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code of a number.
            #[must_use]
            pub const fn from_number(number: u16) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The code's word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// What the code means, in the words of its documentation.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),*).trim_ascii(),)*
                }
            }
        }
    };
}

codes! {
    /// The server failed in a way that is not the caller's doing.
    Internal = 1 "internal",
    /// A field's value is not allowed; the text names it.
    InvalidRequest = 2 "invalid_request",
    /// The request's type is not known to this server.
    UnknownRequest = 3 "unknown_request",
    /// No version is spoken by both sides.
    UnsupportedVersion = 4 "unsupported_version",
    /// A request came before the hello, or a second hello.
    HelloExpected = 5 "hello_expected",
    /// There is no such stream.
    UnknownStream = 10 "unknown_stream",
    /// The stream has no such shard.
    UnknownShard = 11 "unknown_shard",
    /// A stream of that name exists.
    StreamExists = 12 "stream_exists",
    /// The shard takes no more appends; its children do. Describe the stream again.
    ShardClosed = 13 "shard_closed",
    /// A bound on streams, shards or queues is reached.
    LimitExceeded = 14 "limit_exceeded",
    /// The shard is being split or merged; try again after the given time.
    ShardMoving = 15 "shard_moving",
    /// The batch's bytes are not a valid batch.
    InvalidBatch = 20 "invalid_batch",
    /// The batch is too large for the server's segments.
    BatchTooLarge = 21 "batch_too_large",
    /// The sequence number lies beyond the next one to be assigned.
    BeyondEnd = 22 "beyond_end",
    /// The batch names no shard, its data is compressed and its keys lead to several shards: name one.
    RoutingRefused = 23 "routing_refused",
    /// The shard's write quota is used up; try again after the given time.
    WriteThrottled = 30 "write_throttled",
    /// The shard's read quota is used up; try again after the given time.
    ReadThrottled = 31 "read_throttled",
    /// The server holds as much unfinished work as it may; try again after the given time.
    Overloaded = 32 "overloaded",
    /// Too many requests of this connection are unanswered.
    TooManyInFlight = 33 "too_many_in_flight",
    /// The disk is full; reads go on, and appends too once there is room.
    DiskFull = 40 "disk_full",
    /// A write or flush failed; the lane refuses appends until the server is restarted.
    LanePoisoned = 41 "lane_poisoned",
    /// Stored bytes are damaged; the text names file and offset.
    Damaged = 42 "damaged",
    /// The server is going down.
    ShuttingDown = 50 "shutting_down",
    /// There is no such subscription on this connection.
    UnknownSubscription = 51 "unknown_subscription",
    /// The subscription was ended by its client.
    Unsubscribed = 52 "unsubscribed",
    /// There is no such queue.
    UnknownQueue = 60 "unknown_queue",
    /// A queue of that name exists, and is not as this one was to be.
    QueueExists = 61 "queue_exists",
    /// A queue of that name was deleted a moment ago; the name is free after the given time.
    QueueDeletedRecently = 62 "queue_deleted_recently",
    /// The receipt stands for no message of this queue.
    InvalidReceipt = 63 "invalid_receipt",
    /// The message is not in flight: it was deleted, is back in the queue, or was received again since.
    NotInFlight = 64 "not_in_flight",
    /// As many of the queue's messages are in flight as may be; delete some of them.
    InFlightLimit = 65 "in_flight_limit",
    /// The message is larger than its queue takes.
    MessageTooLarge = 66 "message_too_large",
    /// Messages of the queue are being moved already.
    MoveRunning = 67 "move_running",
    /// The queue has no such move, or it is over.
    UnknownMove = 68 "unknown_move",
    /// Never sent: what a receiver reads a number as that is not in its version of this table.
    Unrecognized = 65535 "unrecognized",
}

impl ErrorCode {
    /// The code of a received number; one that a newer peer invented is `Unrecognized`.
    #[must_use]
    pub const fn of(number: u16) -> Self {
        match Self::from_number(number) {
            Some(code) => code,
            None => Self::Unrecognized,
        }
    }

    /// Whether the same request may succeed later without anything being changed by the caller.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::ShardMoving
                | Self::WriteThrottled
                | Self::ReadThrottled
                | Self::Overloaded
                | Self::TooManyInFlight
                | Self::DiskFull
                | Self::InFlightLimit
        )
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal: the code, a text for people, and the numbers that explain it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Failure {
    /// What went wrong.
    pub code: ErrorCode,
    /// For people, not to be parsed; cut at [`FAILURE_TEXT_BYTES_MAX`](crate::limits::FAILURE_TEXT_BYTES_MAX) on
    /// the wire.
    pub message: String,
    /// How long to wait before another try, 0 when waiting does not help.
    pub retry_after_ms: u32,
    /// The value that was wrong, 0 if there is none.
    pub value: u64,
    /// The limit that it broke, 0 if there is none.
    pub limit: u64,
}

impl Failure {
    /// A refusal without numbers.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after_ms: 0, value: 0, limit: 0 }
    }

    /// Whether the same request may succeed later: the code says so, or it is a newer server's and comes with a
    /// waiting time.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.code.is_retryable() || matches!(self.code, ErrorCode::Unrecognized) && self.retry_after_ms > 0
    }

    /// Names the value and the limit that it broke.
    #[must_use]
    pub fn with_limit(mut self, value: u64, limit: u64) -> Self {
        (self.value, self.limit) = (value, limit);
        self
    }

    /// Tells how long to wait, rounded up to milliseconds.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after_ms = u32::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX);
        self
    }
}
