//! The bounds of the admin port.

use std::time::Duration;

use crate::net::{HttpLimits, PatrolTimes};

/// Open connections.
pub(super) const CONNECTIONS_MAX: u64 = 64;
/// What a peer may cost; HTTP/1.1 alone.
pub(super) const HTTP: HttpLimits = HttpLimits {
    head_bytes_max: 16 << 10,
    headers_max: 64,
    streams_max: None,
    resets_max: 0,
    window_bytes: 0,
    send_bytes_max: 0,
};
/// Time that a head may take, that an idle connection is kept, and after which a peer that takes nothing of its answer is gone.
pub(super) const TIMES: PatrolTimes = PatrolTimes {
    head: Duration::from_secs(30),
    idle: Duration::from_secs(30),
    write: Duration::from_secs(10),
};
/// Time that all cores have to hand over their numbers.
pub(super) const REPORT_TIME_MAX: Duration = Duration::from_secs(2);
/// A core that has not beaten for so long is not healthy.
pub(super) const BEAT_AGE_MAX: Duration = Duration::from_secs(5);
/// After an accept failed.
pub(super) const ACCEPT_RETRY: Duration = Duration::from_millis(100);
