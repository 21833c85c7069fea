//! The bounds of the admin port.

use std::time::Duration;

/// Open connections.
pub(super) const CONNECTIONS_MAX: u64 = 64;
/// Bytes of a request's head; hyper wants 8 KiB at least.
pub(super) const HEAD_BYTES_MAX: usize = 16 << 10;
/// Header fields of a request.
pub(super) const HEADERS_MAX: usize = 64;
/// Time that a head may take, and that an idle connection is kept.
pub(super) const HEAD_TIME_MAX: Duration = Duration::from_secs(30);
/// Time that all cores have to hand over their numbers.
pub(super) const REPORT_TIME_MAX: Duration = Duration::from_secs(2);
/// A core that has not beaten for so long is not healthy.
pub(super) const BEAT_AGE_MAX: Duration = Duration::from_secs(5);
/// After an accept failed.
pub(super) const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// A peer that takes nothing of its answer for this long is gone.
pub(super) const WRITE_TIME_MAX: Duration = Duration::from_secs(10);
