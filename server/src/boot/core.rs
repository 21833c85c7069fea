//! One core from its first task to its last.

use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use async_channel::Receiver;
use tidemill_storage::LaneConfig;

use super::doors::CoreDoors;
use super::error::StartError;
use crate::gate::budget::Budget;
use crate::metrics::CoreMetrics;
use crate::protocol::admin::Admin;
use crate::protocol::aws::{self, Aws, Front, FrontSettings};
use crate::protocol::native::{self, Native};
use crate::service::queue::Chores;
use crate::shard::{
    CatalogHandle, Clock, Core, CoreEnv, CoreParts, Executor, Known, Mailbox, OpenLanes, Placement, Post,
    Pulse, Strangers, open_lanes,
};

/// How far a core has come.
#[derive(Debug)]
pub(super) enum Progress {
    /// Its lanes are open, with these in them.
    Recovered(Vec<Strangers>),
    /// Its ports are.
    Listening,
}

/// Everything that a core is started with.
pub(super) struct CorePlan {
    pub(super) index: u32,
    pub(super) placement: Placement,
    pub(super) lanes: Vec<LaneConfig>,
    /// What reads of data that is on the disk only get of the disk at least.
    pub(super) cold_bytes_per_second_min: u64,
    pub(super) known: Known,
    pub(super) post: Post,
    pub(super) mailbox: Mailbox,
    pub(super) catalog: CatalogHandle,
    pub(super) doors: CoreDoors,
    pub(super) native: native::Settings,
    pub(super) aws: aws::Settings,
    pub(super) front: FrontSettings,
    /// Bytes of requests in flight, whichever port they came through.
    pub(super) inflight_bytes_max: u64,
    pub(super) waiting_fetches_max: u64,
    pub(super) deduplication_ids_max: u64,
    pub(super) shards_per_stream: u32,
    pub(super) chores: Chores,
    pub(super) heartbeat: Duration,
    pub(super) stall: Duration,
    pub(super) clock: Clock,
    /// Of every core, by core.
    pub(super) pulses: Vec<Pulse>,
    pub(super) progress: mpsc::Sender<Result<Progress, StartError>>,
    /// Says that all cores have recovered, and that strangers are to be forgotten; closed when one could not.
    pub(super) start: Receiver<()>,
}

impl CorePlan {
    /// Recovers, serves, and ends when it is told to.
    pub(super) async fn run(self, executor: Executor) {
        let progress = self.progress.clone();
        let index = self.index;
        let env = match CoreEnv::start(self.clock, executor.clone(), self.cold_bytes_per_second_min) {
            Ok(env) => env,
            Err(source) => return tell(&progress, Err(StartError::Ring { core: index, source })),
        };
        if let Err(error) = self.serve(executor, &env).await {
            tell(&progress, Err(error));
        }
        env.stop().await;
    }

    async fn serve(self, executor: Executor, env: &CoreEnv) -> Result<(), StartError> {
        let OpenLanes { lanes, strangers } = open_lanes(env, self.lanes, &self.known).await?;
        tell(&self.progress, Ok(Progress::Recovered(strangers.clone())));
        if self.start.recv().await.is_err() {
            for (_, lane) in lanes {
                lane.close().await;
            }
            return Ok(());
        }
        // The start was given all the same, so their ids are given to nobody else.
        for Strangers { lane: id, owners } in strangers {
            let lane = lanes.iter().find(|(lane, _)| *lane == id);
            lane.into_iter().for_each(|(_, lane)| owners.iter().for_each(|owner| lane.forget(*owner)));
        }
        let core = Core::new(CoreParts {
            index: self.index,
            placement: self.placement,
            executor,
            env: env.clone(),
            lanes,
            streams: self.known.streams,
            queues: self.known.queues,
            stream_queues: self.known.stream_queues,
            post: self.post,
            catalog: self.catalog,
            waiting_fetches_max: self.waiting_fetches_max,
            deduplication_ids_max: self.deduplication_ids_max,
            shards_per_stream: self.shards_per_stream,
            chores: self.chores,
            metrics: Rc::new(CoreMetrics::default()),
        });
        let pulse = self.pulses[self.index as usize].clone();
        let inner = Inner {
            native: self.native,
            aws: self.aws,
            front: self.front,
            inflight_bytes_max: self.inflight_bytes_max,
        };
        open_doors(&core, self.doors, inner, self.pulses)?;
        tell(&self.progress, Ok(Progress::Listening));
        drop((self.progress, self.start));
        core.run(self.mailbox, pulse, self.heartbeat, self.stall).await;
        Ok(())
    }
}

/// The part of a core's bytes in flight that is for events of subscriptions, beside those of requests and answers.
const EVENTS_SHARE: u64 = 4;

/// What is behind the doors of a core.
struct Inner {
    native: native::Settings,
    aws: aws::Settings,
    front: FrontSettings,
    inflight_bytes_max: u64,
}

fn open_doors(core: &Rc<Core>, doors: CoreDoors, inner: Inner, pulses: Vec<Pulse>) -> Result<(), StartError> {
    let fail = |source| StartError::Listen { core: core.index(), source };
    // A native connection waits for room with one frame at a time, an HTTP connection with as many as it has streams.
    let http = &inner.front.http;
    let waiters = u64::from(inner.native.connections_max)
        .saturating_add(u64::from(http.connections).saturating_mul(u64::from(http.streams)));
    let budget = Budget::new(inner.inflight_bytes_max, usize::try_from(waiters).unwrap_or(usize::MAX));
    core.metrics().inflight_limit_bytes.set(inner.inflight_bytes_max);
    let native = Native::new(Rc::clone(core), inner.native, budget.clone());
    for door in doors.native {
        let listener = door.listen().map_err(fail)?;
        core.spawn(Rc::clone(&native).serve(listener));
    }
    // Events that consumers are slow to take leave most of the room to everybody else.
    let events = Budget::new(
        (inner.inflight_bytes_max / EVENTS_SHARE).max(1),
        usize::try_from(waiters).unwrap_or(usize::MAX),
    );
    let aws = Aws::new(Rc::clone(core), inner.aws, events);
    let front = Front::new(aws, Rc::clone(core), inner.front, budget);
    core.spawn(front.serve(doors.http.listen().map_err(fail)?));
    if let Some(door) = doors.admin {
        let listener = door.listen().map_err(fail)?;
        core.spawn_upkeep(Admin::new(Rc::clone(core), pulses).serve(listener));
    }
    Ok(())
}

fn tell(progress: &mpsc::Sender<Result<Progress, StartError>>, word: Result<Progress, StartError>) {
    // Whoever started the server has given up when another core could not start.
    let _ = progress.send(word);
}
