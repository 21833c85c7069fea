//! A core's numbers at one moment, for whoever asks.

use tidemill_storage::Lane;
use tidemill_wire::LaneId;

use super::env::CoreEnv;
use crate::metrics::{
    CoreMetrics, CoreSnapshot, LaneSnapshot, QueueSnapshot, ShardSnapshot, StreamQueueSnapshot,
};

/// The numbers of a core and its lanes.
#[derive(Clone, Debug)]
pub struct CoreReport {
    /// What the core counts.
    pub core: CoreSnapshot,
    /// What its lanes count, and whether they take appends.
    pub lanes: Vec<LaneSnapshot>,
    /// What its busiest queues count.
    pub queues: Vec<QueueSnapshot>,
    /// What its queues over streams count.
    pub stream_queues: Vec<StreamQueueSnapshot>,
    /// What is counted of the shards that are watched.
    pub shards: Vec<ShardSnapshot>,
}

impl CoreReport {
    pub(super) fn of<'a>(
        core: u32,
        metrics: &CoreMetrics,
        lanes: impl Iterator<Item = (LaneId, &'a Lane<CoreEnv>)>,
    ) -> Self {
        let lanes =
            lanes.map(|(id, lane)| LaneSnapshot { lane: id, stats: lane.stats(), health: lane.health() });
        Self {
            core: metrics.snapshot(core),
            lanes: lanes.collect(),
            queues: Vec::new(),
            stream_queues: Vec::new(),
            shards: Vec::new(),
        }
    }
}
