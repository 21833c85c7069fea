//! The bounds of the HTTP port that are no knobs.

use std::time::Duration;

/// Header fields of a request in HTTP/1.1.
pub(super) const HEADERS_MAX: usize = 100;
/// Streams that a peer of HTTP/2 may reset before they are begun, and those that end by its errors, before its connection is ended.
pub(super) const RESETS_MAX: usize = 64;
/// Bytes that a peer of HTTP/2 may send on one stream before it is told to go on. They are in memory before there is room for them, so this and
/// `http.connections` bound what is not in the budget.
pub(super) const WINDOW_BYTES: u32 = 128 << 10;
/// Bytes of answers that wait in one stream of HTTP/2.
pub(super) const SEND_BYTES_MAX: usize = 256 << 10;
/// Bytes that a request costs besides its body.
pub(super) const REQUEST_BYTES: u64 = 4 << 10;
/// Times that a body is in memory: as it came, and decoded.
pub(super) const BODY_COPIES: u64 = 2;
/// Answers up to this size are sent whether or not there is room, which they do not take: they are no more than a connection's share.
pub(super) const SMALL_ANSWER_BYTES: usize = 64 << 10;
/// What is read away of a refused request's body, so that its peer gets to read the refusal.
pub(super) const DISCARD_BYTES_MAX: u64 = 32 << 20;
/// Time for that.
pub(super) const DISCARD_TIME_MAX: Duration = Duration::from_secs(2);
/// After an accept failed.
pub(super) const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// The name of callers that were not asked who they are.
pub(super) const ANYBODY: &str = "anybody";
/// Seconds for which a browser may remember what is allowed.
pub(super) const PREFLIGHT_SECONDS: &str = "3600";
/// The status of a body that did not arrive in time.
pub(super) const TOO_SLOW: u16 = 408;
