//! `POST /compaction/pause` and `POST /compaction/resume`: an operator holds the compaction of all lanes, or lets it go on.
//!
//! What is set lasts until the server ends, and shows in `/metrics`. Leaves out single lanes: what an operator wants to spare is the disk.

use hyper::header::{HeaderMap, ORIGIN};
use hyper::{Response, StatusCode};

use super::limits::REPORT_TIME_MAX;
use super::text;
use crate::net::Body;
use crate::shard::{Core, sleep};

/// Where compaction is held.
pub(super) const PAUSE: &str = "/compaction/pause";
/// Where it is let go on.
pub(super) const RESUME: &str = "/compaction/resume";

/// Tells all cores, and answers when they have done it.
pub(super) async fn answer(core: &Core, headers: &HeaderMap, paused: bool) -> Response<Body> {
    // Browsers say which page sends a request. No page of another server's may steer this one through the operator's browser.
    if headers.contains_key(ORIGIN) {
        return text(StatusCode::FORBIDDEN, "requests of web pages are refused\n".to_owned());
    }
    let done = core.pause_compaction(paused, sleep(REPORT_TIME_MAX)).await;
    let cores = core.placement().cores as usize;
    tracing::info!(paused, "an operator has set whether compaction is paused");
    if done < cores {
        let late =
            format!("{done} of {cores} cores have done it in time, the others will when they come to it\n");
        return text(StatusCode::ACCEPTED, late);
    }
    let state = if paused { "paused" } else { "running" };
    text(StatusCode::OK, format!("compaction is {state}\n"))
}
