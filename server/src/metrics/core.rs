//! What a core counts, defined once: name, kind and help of each number.

use tidemill_wire::message::ErrorCode;

use super::cell::{Counter, Gauge};
use super::histogram::{Histogram, HistogramSnapshot};
use super::operation::{LatencyClass, Operation};

const OPERATIONS: usize = Operation::ALL.len();
const CLASSES: usize = LatencyClass::ALL.len();
const CODES: usize = ErrorCode::ALL.len();

/// A family of plain numbers: its name, its help, and where its value is.
pub(super) type Family = (&'static str, &'static str, fn(&CoreSnapshot) -> u64);

macro_rules! core_metrics {
    (
        counters { $( #[doc = $counter_help:literal] $counter:ident, )+ }
        gauges { $( #[doc = $gauge_help:literal] $gauge:ident, )+ }
    ) => {
        /// The numbers of one core, written by that core alone.
        #[derive(Debug)]
        pub struct CoreMetrics {
            $( #[doc = $counter_help] pub $counter: Counter, )+
            $( #[doc = $gauge_help] pub $gauge: Gauge, )+
            requests: [Counter; OPERATIONS],
            errors: [Counter; CODES],
            durations: [Histogram; CLASSES],
            /// How late each heartbeat came.
            pub heartbeat_delay: Histogram,
        }

        /// The numbers of one core at one moment.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct CoreSnapshot {
            /// Number of the core's executor.
            pub core: u32,
            $( #[doc = $counter_help] pub $counter: u64, )+
            $( #[doc = $gauge_help] pub $gauge: u64, )+
            /// Requests, in the order of [`Operation::ALL`].
            pub requests: [u64; OPERATIONS],
            /// Refusals, in the order of [`ErrorCode::ALL`].
            pub errors: [u64; CODES],
            /// Times from request to answer, in the order of [`LatencyClass::ALL`].
            pub durations: [HistogramSnapshot; CLASSES],
            /// How late each heartbeat came.
            pub heartbeat_delay: HistogramSnapshot,
        }

        /// Numbers that only grow.
        pub(super) const COUNTERS: &[Family] =
            &[ $( (stringify!($counter), $counter_help.trim_ascii_start(), |core| core.$counter), )+ ];

        /// Numbers that rise and fall.
        pub(super) const GAUGES: &[Family] =
            &[ $( (stringify!($gauge), $gauge_help.trim_ascii_start(), |core| core.$gauge), )+ ];

        // There are more codes than an array may have elements to be made by default.
        impl Default for CoreMetrics {
            fn default() -> Self {
                Self {
                    $( $counter: Counter::default(), )+
                    $( $gauge: Gauge::default(), )+
                    requests: std::array::from_fn(|_| Counter::default()),
                    errors: std::array::from_fn(|_| Counter::default()),
                    durations: std::array::from_fn(|_| Histogram::default()),
                    heartbeat_delay: Histogram::default(),
                }
            }
        }

        impl CoreMetrics {
            /// The numbers as they are now.
            pub fn snapshot(&self, core: u32) -> CoreSnapshot {
                CoreSnapshot {
                    core,
                    $( $counter: self.$counter.get(), )+
                    $( $gauge: self.$gauge.get(), )+
                    requests: self.requests.each_ref().map(Counter::get),
                    errors: self.errors.each_ref().map(Counter::get),
                    durations: self.durations.each_ref().map(Histogram::snapshot),
                    heartbeat_delay: self.heartbeat_delay.snapshot(),
                }
            }
        }
    };
}

core_metrics! {
    counters {
        /// Connections accepted.
        connections_accepted,
        /// Connections closed at once because there were too many.
        connections_refused,
        /// Bytes received from sockets.
        received_bytes,
        /// Bytes sent to sockets.
        sent_bytes,
        /// Records received in appends that were stored.
        received_records,
        /// Records sent in answers to fetches and to subscribers.
        sent_records,
        /// Appends refused because of a write quota.
        throttled_appends,
        /// Fetches refused or delayed because of a read quota.
        throttled_fetches,
        /// Frames refused because they were too large or not understood.
        refused_frames,
        /// Messages that came from other cores.
        mailbox_messages,
        /// HTTP connections accepted.
        http_connections_accepted,
        /// HTTP connections closed at once because there were too many.
        http_connections_refused,
        /// HTTP connections ended because their peers were too slow.
        http_connections_slow,
        /// HTTP requests.
        http_requests,
        /// HTTP requests answered with an error.
        http_refusals,
        /// HTTP requests whose signature was missing or wrong.
        http_signature_refusals,
        /// Heartbeats that came so late that the core counts as stalled.
        stalls,
    }
    gauges {
        /// Connections that are open.
        open_connections,
        /// HTTP connections that are open.
        open_http_connections,
        /// Fetches that wait for records.
        waiting_fetches,
        /// Receives that wait for messages of a queue.
        waiting_receives,
        /// Subscriptions that are open.
        open_subscriptions,
        /// Bytes of requests in flight.
        inflight_bytes,
        /// Bytes of requests that may be in flight.
        inflight_limit_bytes,
    }
}

impl CoreMetrics {
    /// Counts a request.
    pub fn count_request(&self, operation: Operation) {
        self.requests[operation as usize].increment();
    }

    /// Counts a refusal.
    pub fn count_error(&self, code: ErrorCode) {
        let at = ErrorCode::ALL.iter().position(|known| *known == code);
        self.errors[at.expect("the list of codes has every code")].increment();
    }

    /// Counts the time from a request to its answer.
    pub fn observe_duration_us(&self, class: LatencyClass, us: u64) {
        self.durations[class as usize].observe_us(us);
    }
}
