//! The numbers of queues, which have series of their own as far as a core tells of them.

/// What is known of a queue on one core.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueSnapshot {
    /// The core.
    pub core: u32,
    /// The queue's name.
    pub queue: String,
    /// Messages that were taken.
    pub sent: u64,
    /// Messages that were handed out.
    pub received: u64,
    /// Messages that were deleted.
    pub deleted: u64,
    /// Receives that got nothing.
    pub empty_receives: u64,
    /// Messages to be received.
    pub visible: u64,
    /// Messages received and neither deleted nor back.
    pub in_flight: u64,
    /// Messages that cannot be received yet.
    pub delayed: u64,
    /// Age of the oldest message, in milliseconds.
    pub oldest_age_ms: u64,
}

/// A family: its name, its help, and where its value is.
type Family = (&'static str, &'static str, fn(&QueueSnapshot) -> u64);

/// Numbers that only grow.
pub(super) const COUNTERS: &[Family] = &[
    ("queue_sent_messages", "Messages sent to a queue.", |queue| queue.sent),
    ("queue_received_messages", "Messages received from a queue.", |queue| queue.received),
    ("queue_deleted_messages", "Messages deleted from a queue.", |queue| queue.deleted),
    ("queue_empty_receives", "Receives of a queue's partitions that found nothing.", |queue| {
        queue.empty_receives
    }),
];

/// Numbers that rise and fall.
pub(super) const GAUGES: &[Family] = &[
    ("queue_visible_messages", "Messages of a queue to be received.", |queue| queue.visible),
    ("queue_in_flight_messages", "Messages of a queue received and neither deleted nor back.", |queue| {
        queue.in_flight
    }),
    ("queue_delayed_messages", "Messages of a queue that cannot be received yet.", |queue| queue.delayed),
    ("queue_oldest_message_age_milliseconds", "Age of the oldest message of a queue.", |queue| {
        queue.oldest_age_ms
    }),
];
