//! `GET /metrics`: the numbers of all cores and lanes.

use hyper::{Response, StatusCode};

use super::answer as answer_with;
use super::limits::REPORT_TIME_MAX;
use crate::metrics::{CONTENT_TYPE, ServerSnapshot};
use crate::net::Body;
use crate::shard::{Core, sleep};

/// Gathers and answers. A core that does not answer in time is left out, which its missing series show.
pub(super) async fn answer(core: &Core) -> Response<Body> {
    let reports = core.reports(sleep(REPORT_TIME_MAX)).await;
    let mut snapshot = ServerSnapshot {
        version: env!("CARGO_PKG_VERSION"),
        streams: core.streams().count() as u64,
        known_queues: core.queues().count() as u64,
        cores: Vec::new(),
        lanes: Vec::new(),
        queues: Vec::new(),
        stream_queues: Vec::new(),
        shards: Vec::new(),
    };
    for report in reports {
        snapshot.cores.push(report.core);
        snapshot.lanes.extend(report.lanes);
        snapshot.queues.extend(report.queues);
        snapshot.stream_queues.extend(report.stream_queues);
        snapshot.shards.extend(report.shards);
    }
    answer_with(StatusCode::OK, CONTENT_TYPE, snapshot.into_text())
}
