//! Opens the lanes of a core and settles what they hold with the catalog.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidemill_storage::{Lane, LaneConfig, OpenError};
use tidemill_wire::{LaneId, OwnerId};

use super::env::CoreEnv;
use crate::service::stream::Definition;

/// Why a lane could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("lane {lane} cannot be opened: {source}")]
pub struct LaneError {
    /// Which lane.
    pub lane: LaneId,
    /// Why not.
    pub source: OpenError,
}

/// Opens lanes one after the other and has them forget owners that no stream knows: those of streams that were deleted
/// before a crash could tell the lane.
pub async fn open_lanes(
    env: &CoreEnv,
    configs: Vec<LaneConfig>,
    streams: &[Arc<Definition>],
) -> Result<Vec<(LaneId, Lane<CoreEnv>)>, LaneError> {
    let mut lanes = Vec::with_capacity(configs.len());
    for config in configs {
        let id = config.lane;
        let opened = Lane::open(env.clone(), config).await;
        let (lane, report) = opened.map_err(|source| LaneError { lane: id, source })?;
        tracing::info!(
            lane = id.0,
            segments = report.segments_sealed + report.segments_scanned,
            scanned_entries = report.entries_scanned,
            owners = report.owners,
            bytes = report.bytes,
            elapsed_ms = u64::try_from(report.elapsed.as_millis()).unwrap_or(u64::MAX),
            "lane recovered"
        );
        if let Some(torn) = &report.torn_tail {
            tracing::warn!(
                lane = id.0,
                path = %torn.path.display(),
                offset = torn.offset,
                dropped_entries = torn.entries_dropped,
                dropped_bytes = torn.bytes_dropped,
                reason = torn.reason,
                "the log's end was torn and has been cut; nothing of it was acknowledged as durable"
            );
        }
        let known = owners_of(id, streams);
        for owner in lane.owners() {
            if !known.contains(&owner) {
                tracing::info!(lane = id.0, %owner, "owner belongs to no stream and is forgotten");
                lane.forget(owner);
            }
        }
        lanes.push((id, lane));
    }
    Ok(lanes)
}

fn owners_of(lane: LaneId, streams: &[Arc<Definition>]) -> BTreeSet<OwnerId> {
    let shards = streams.iter().flat_map(|stream| stream.shards());
    shards.filter(|shard| shard.lane == lane).map(|shard| shard.owner).collect()
}
