//! `GET /readyz`: whether requests should come here. It tells every reason why not.

use hyper::{Response, StatusCode};
use tidemill_storage::LaneHealth;

use super::limits::REPORT_TIME_MAX;
use super::text;
use crate::net::Body;
use crate::shard::{Core, sleep};

/// Asks all cores for the health of their lanes.
pub(super) async fn answer(core: &Core) -> Response<Body> {
    let mut reasons = String::new();
    if core.stopping().has_happened() {
        reasons.push_str("the server is going down\n");
    }
    let reports = core.reports(sleep(REPORT_TIME_MAX)).await;
    let placement = core.placement();
    if reports.len() < placement.cores as usize {
        reasons.push_str(&format!("{} of {} cores answer\n", reports.len(), placement.cores));
    }
    let mut notes = String::new();
    for lane in reports.iter().flat_map(|report| &report.lanes) {
        match &lane.health {
            LaneHealth::Serving => {}
            // Reads go on and room may come, so this is told and no reason to send everybody away.
            LaneHealth::Full { needed } => {
                notes.push_str(&format!("lane {} waits for {needed} bytes of room on the disk\n", lane.lane));
            }
            LaneHealth::Poisoned { reason } => {
                reasons.push_str(&format!("lane {} takes no appends: {reason}\n", lane.lane));
            }
            LaneHealth::Closed => reasons.push_str(&format!("lane {} is closed\n", lane.lane)),
        }
    }
    if reasons.is_empty() {
        return text(StatusCode::OK, format!("ready\n{notes}"));
    }
    text(StatusCode::SERVICE_UNAVAILABLE, reasons + &notes)
}
