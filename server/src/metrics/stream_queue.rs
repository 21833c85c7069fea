//! The numbers of queues over streams, which have series of their own as far as a core tells of them.

/// What is known of a queue over a stream on one core.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamQueueSnapshot {
    /// The core.
    pub core: u32,
    /// The queue's name.
    pub queue: String,
    /// Records that were handed out.
    pub received: u64,
    /// Records that were acknowledged.
    pub acknowledged: u64,
    /// Receives that got nothing.
    pub empty_receives: u64,
    /// Dead letters that were handed out.
    pub dead_received: u64,
    /// Dead letters that were acknowledged.
    pub dead_acknowledged: u64,
    /// Dead letters that were restored.
    pub restored: u64,
    /// Records to be received.
    pub visible: u64,
    /// Records received and neither acknowledged nor back.
    pub in_flight: u64,
    /// Dead letters to be received.
    pub dead: u64,
    /// Dead letters received and neither acknowledged nor back.
    pub dead_in_flight: u64,
}

/// A family: its name, its help, and where its value is.
type Family = (&'static str, &'static str, fn(&StreamQueueSnapshot) -> u64);

/// Numbers that only grow.
pub(super) const COUNTERS: &[Family] = &[
    ("stream_queue_received_records", "Records received from a queue over a stream.", |queue| queue.received),
    ("stream_queue_acknowledged_records", "Records acknowledged in a queue over a stream.", |queue| {
        queue.acknowledged
    }),
    ("stream_queue_empty_receives", "Receives of such a queue's partitions that found nothing.", |queue| {
        queue.empty_receives
    }),
    ("stream_queue_received_dead_letters", "Dead letters received from such a queue.", |queue| {
        queue.dead_received
    }),
    ("stream_queue_acknowledged_dead_letters", "Dead letters acknowledged in such a queue.", |queue| {
        queue.dead_acknowledged
    }),
    ("stream_queue_restored_dead_letters", "Dead letters restored in such a queue.", |queue| queue.restored),
];

/// Numbers that rise and fall.
pub(super) const GAUGES: &[Family] = &[
    ("stream_queue_visible_records", "Records of a queue over a stream to be received.", |queue| {
        queue.visible
    }),
    ("stream_queue_in_flight_records", "Records received and neither acknowledged nor back.", |queue| {
        queue.in_flight
    }),
    ("stream_queue_dead_letters", "Dead letters of such a queue to be received.", |queue| queue.dead),
    (
        "stream_queue_in_flight_dead_letters",
        "Dead letters received and neither acknowledged nor back.",
        |queue| queue.dead_in_flight,
    ),
];
