//! Opens the lanes of a core and settles what they hold with the catalog.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemill_storage::{Lane, LaneConfig, OpenError};
use tidemill_wire::{LaneId, OwnerId};

use super::env::CoreEnv;
use crate::service::queue::Definition as Queue;
use crate::service::stream::Definition;
use crate::service::stream_queue::StreamQueue;

/// Why a lane could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("lane {lane} cannot be opened: {source}")]
pub struct LaneError {
    /// Which lane.
    pub lane: LaneId,
    /// Why not.
    pub source: OpenError,
}

/// Owners of a lane that the catalog has never known there: the catalog is older than the log. What they hold is not garbage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strangers {
    /// The lane.
    pub lane: LaneId,
    /// In rising order.
    pub owners: Vec<OwnerId>,
}

/// The lanes of a core, open.
pub struct OpenLanes {
    /// In the order of their configurations.
    pub lanes: Vec<(LaneId, Lane<CoreEnv>)>,
    /// Who is in them and should not be.
    pub strangers: Vec<Strangers>,
}

/// What a core has to know of the catalog to tell its owners from others.
#[derive(Clone)]
pub struct Known {
    /// Every stream.
    pub streams: Vec<Arc<Definition>>,
    /// Every queue.
    pub queues: Vec<Arc<Queue>>,
    /// Every queue over a stream.
    pub stream_queues: Vec<Arc<StreamQueue>>,
    /// Owners from here on were never given out.
    pub next_owner: OwnerId,
}

/// Opens lanes one after the other and has them forget owners that the catalog has given out and nobody has any more: those of streams and queues that
/// were deleted. Others that nobody has are told.
pub async fn open_lanes(
    env: &CoreEnv,
    configs: Vec<LaneConfig>,
    known: &Known,
) -> Result<OpenLanes, LaneError> {
    let homes = homes(known);
    let mut strangers = Vec::new();
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
        let found = Strangers { lane: id, owners: settle(&lane, id, &homes, known.next_owner) };
        strangers.extend(Some(found).filter(|found| !found.owners.is_empty()));
        lanes.push((id, lane));
    }
    Ok(OpenLanes { lanes, strangers })
}

/// Forgets owners of deleted streams and queues, and returns those that were never given out or have their home on another lane.
fn settle(
    lane: &Lane<CoreEnv>,
    id: LaneId,
    homes: &BTreeMap<OwnerId, LaneId>,
    next_owner: OwnerId,
) -> Vec<OwnerId> {
    let mut strangers = Vec::new();
    let mut deleted = 0_u64;
    for owner in lane.owners() {
        match homes.get(&owner) {
            Some(home) if *home == id => {}
            None if owner < next_owner => {
                lane.forget(owner);
                deleted += 1;
            }
            Some(_) | None => strangers.push(owner),
        }
    }
    if deleted > 0 {
        tracing::info!(
            lane = id.0,
            owners = deleted,
            "what deleted streams and queues have left is forgotten"
        );
    }
    strangers
}

/// The lane of each owner.
fn homes(known: &Known) -> BTreeMap<OwnerId, LaneId> {
    let shards = known.streams.iter().flat_map(|stream| stream.shards());
    let partitions = known.queues.iter().flat_map(|queue| &queue.partitions);
    let partitions = partitions
        .flat_map(|partition| [partition.messages, partition.journal].map(|owner| (owner, partition.lane)));
    let journals = known.stream_queues.iter().flat_map(|queue| &queue.partitions);
    let journals = journals.map(|partition| (partition.journal, partition.lane));
    shards.map(|shard| (shard.owner, shard.lane)).chain(partitions).chain(journals).collect()
}
