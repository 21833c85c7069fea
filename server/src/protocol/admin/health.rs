//! `GET /healthz`: whether the process is worth keeping. A core that does not beat is a reason to restart it, a full disk is not.

use hyper::{Response, StatusCode};

use super::limits::BEAT_AGE_MAX;
use super::text;
use crate::net::Body;
use crate::shard::{Core, Pulse};

/// Looks at all pulses.
pub(super) fn answer(core: &Core, pulses: &[Pulse]) -> Response<Body> {
    let now = core.monotonic();
    let ages = pulses.iter().map(|pulse| now.saturating_sub(pulse.last())).enumerate();
    let stalled = ages.filter(|(_, age)| *age > BEAT_AGE_MAX);
    let lines: String = stalled
        .map(|(core, age)| format!("core {core} has not beaten for {} ms\n", age.as_millis()))
        .collect();
    if lines.is_empty() {
        return text(StatusCode::OK, "ok\n".to_owned());
    }
    text(StatusCode::SERVICE_UNAVAILABLE, lines)
}
