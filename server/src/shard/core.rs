//! One core: its lanes, its view of the streams, and what it does with its letters.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use async_channel::Sender;
use futures_lite::future::or;
use tidemill_storage::{Env, Lane};
use tidemill_wire::{LaneId, Timestamp};

use super::catalog::CatalogHandle;
use super::env::CoreEnv;
use super::event::{Event, Signal};
use super::executor::{Executor, sleep, yield_if_needed};
use super::heartbeat::{Busy, Pulse, beat};
use super::ledger::{Burst, BurstPart, Ledger};
use super::limits::{
    EXPIRY_PERIOD, HOLD_TIME_MAX, LETTERS_PER_TURN_MAX, REPORTED_QUEUES_MAX, REST_PERIOD, WATCHED_SHARDS_MAX,
};
use super::mailbox::{Mailbox, Post};
use super::request::{Errand, Letter, Request};
use super::snapshot::CoreReport;
use super::stream_queues::source;
use crate::metrics::CoreMetrics;
use crate::service::queue::over_stream::StreamQueues;
use crate::service::queue::{Chores, Definition as Queue, Queues};
use crate::service::stream::{Definition, HoldError, Streams};
use crate::service::stream_queue::StreamQueue;

/// Which core holds which lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// How many cores there are.
    pub cores: u32,
    /// How many lanes there are.
    pub lanes: u32,
}

/// What a core is made of.
pub struct CoreParts {
    /// Its number.
    pub index: u32,
    /// Which core holds which lane.
    pub placement: Placement,
    /// Its executor.
    pub executor: Executor,
    /// Its environment.
    pub env: CoreEnv,
    /// Its open lanes.
    pub lanes: Vec<(LaneId, Lane<CoreEnv>)>,
    /// The streams there are.
    pub streams: Vec<Arc<Definition>>,
    /// The queues there are.
    pub queues: Vec<Arc<Queue>>,
    /// The queues over streams there are.
    pub stream_queues: Vec<Arc<StreamQueue>>,
    /// The way to the others.
    pub post: Post,
    /// The way to the catalog.
    pub catalog: CatalogHandle,
    /// Fetches that may wait for records.
    pub waiting_fetches_max: u64,
    /// Messages of FIFO queues that are told from what is sent again.
    pub deduplication_ids_max: u64,
    /// Open shards that one stream may have.
    pub shards_per_stream: u32,
    /// What is going on with queues beside requests, on all cores.
    pub chores: Chores,
    /// Counts what it does.
    pub metrics: Rc<CoreMetrics>,
}

/// One core.
pub struct Core {
    pub(super) index: u32,
    pub(super) placement: Placement,
    executor: Executor,
    env: CoreEnv,
    pub(super) streams: Streams<CoreEnv>,
    pub(super) queues: Queues<CoreEnv>,
    pub(super) stream_queues: StreamQueues<CoreEnv>,
    pub(super) post: Post,
    catalog: CatalogHandle,
    pub(super) shards_per_stream: u32,
    pub(super) chores: Chores,
    pub(super) metrics: Rc<CoreMetrics>,
    pub(super) busy: Rc<Busy>,
    /// Nothing new is taken.
    pub(super) stopping: Rc<Event>,
    /// The lanes are closed, and the executor ends.
    closed: Rc<Event>,
    guests: Rc<Guests>,
    /// Appends that came from other cores.
    bursts: Rc<Ledger<BurstPart>>,
}

/// Those who are served and have to be seen off before the core closes: connections.
#[derive(Debug, Default)]
struct Guests {
    present: Cell<u64>,
    left: Signal,
}

/// One of those who are served; dropped, it has left.
#[derive(Debug)]
pub struct Guest(Rc<Guests>);

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.present.set(self.0.present.get() - 1);
        self.0.left.notify();
    }
}

impl Placement {
    /// The core that holds a lane.
    #[must_use]
    pub fn core_of(&self, lane: LaneId) -> u32 {
        lane.0 % self.cores
    }

    /// The lanes that a core holds.
    pub fn lanes_of(&self, core: u32) -> impl Iterator<Item = LaneId> + use<> {
        (core..self.lanes).step_by(self.cores as usize).map(LaneId)
    }
}

impl Core {
    /// Puts a core together: its lanes take up the shards of the streams and the partitions of the queues there are.
    #[must_use]
    pub fn new(parts: CoreParts) -> Rc<Self> {
        let queues = Queues::new(
            parts.env.clone(),
            parts.lanes.clone(),
            parts.waiting_fetches_max,
            parts.deduplication_ids_max,
        );
        let stream_queues = StreamQueues::new(parts.env.clone(), parts.lanes.clone());
        let streams = Streams::new(parts.env.clone(), parts.lanes, parts.waiting_fetches_max);
        for definition in &parts.streams {
            streams.take_in(definition);
            streams.name(definition.id);
        }
        for definition in &parts.queues {
            queues.take_in(definition);
            queues.name(definition.id);
        }
        for queue in &parts.stream_queues {
            if let Some(stream) = streams.get(queue.stream) {
                stream_queues.take_in(queue, &Arc::new(source(stream.definition())));
                stream_queues.name(queue.id);
            }
        }
        Rc::new(Self {
            index: parts.index,
            placement: parts.placement,
            executor: parts.executor,
            env: parts.env,
            streams,
            queues,
            stream_queues,
            post: parts.post,
            catalog: parts.catalog,
            shards_per_stream: parts.shards_per_stream,
            chores: parts.chores,
            metrics: parts.metrics,
            busy: Rc::default(),
            stopping: Rc::default(),
            closed: Rc::default(),
            guests: Rc::default(),
            bursts: Rc::default(),
        })
    }

    /// Serves the mailbox and beats until the core is closed.
    pub async fn run(self: Rc<Self>, mailbox: Mailbox, pulse: Pulse, period: Duration, stall: Duration) {
        let (busy, metrics, closed) =
            (Rc::clone(&self.busy), Rc::clone(&self.metrics), Rc::clone(&self.closed));
        self.spawn(beat(self.env.clock(), period, stall, busy, metrics, pulse, closed));
        if self.index == 0 {
            self.spawn_upkeep(Rc::clone(&self).expire_shards());
            self.spawn_upkeep(Rc::clone(&self).govern());
        }
        self.spawn_upkeep(Rc::clone(&self).rest_queues());
        let serve = async {
            while let Some(letter) = mailbox.receive().await {
                self.open(letter);
                for _ in 1..LETTERS_PER_TURN_MAX {
                    let Some(letter) = mailbox.try_receive() else { break };
                    self.open(letter);
                }
                yield_if_needed().await;
            }
        };
        or(serve, self.closed.wait()).await;
    }

    /// Begins what a letter asks for, in the order of the letters. Nothing here waits, so no core can block another.
    fn open(self: &Rc<Self>, letter: Letter) {
        self.metrics.mailbox_messages.increment();
        match letter {
            Letter::Request(request) => self.begin(request),
            Letter::TakeIn { definition, done } => {
                self.streams.take_in(&definition);
                self.stream_queues.follow(definition.id, || source(&definition));
                tell(&done);
            }
            Letter::Name { stream, done } => {
                self.streams.name(stream);
                tell(&done);
            }
            Letter::Hold { stream, shards, reply } => {
                let (held, work) = (self.streams.hold(stream, &shards), self.busy.begin());
                self.spawn(async move {
                    let late = async {
                        sleep(HOLD_TIME_MAX).await;
                        Err(HoldError::Late)
                    };
                    // Whoever asked may have gone with the server.
                    let _ = reply.try_send(or(held.ends(), late).await);
                    drop(work);
                });
            }
            Letter::Release { stream, done } => {
                self.streams.release(stream);
                tell(&done);
            }
            Letter::Forget { stream, done } => {
                self.streams.forget(stream);
                tell(&done);
            }
            Letter::TakeInQueue { definition, done } => {
                self.queues.take_in(&definition);
                tell(&done);
            }
            Letter::NameQueue { queue, done } => {
                self.queues.name(queue);
                tell(&done);
            }
            Letter::ForgetQueue { queue, done } => {
                self.queues.forget(queue);
                tell(&done);
            }
            Letter::StreamQueue { news, done } => {
                self.hear_of_stream_queue(&news);
                tell(&done);
            }
            // Whoever asked and has gone does not need the answer.
            Letter::Report { reply } => {
                let core = Rc::clone(self);
                self.spawn(async move { drop(reply.send(core.report().await)) });
            }
            Letter::PauseCompaction { paused, reply } => {
                for (_, lane) in self.streams.lanes() {
                    lane.pause_compaction(paused);
                }
                // Whoever asked may have stopped waiting.
                let _ = reply.send(());
            }
            Letter::Drain { done } => self.spawn(Rc::clone(self).drain(done)),
            Letter::Close { done } => self.spawn(Rc::clone(self).close(done)),
        }
    }

    /// Begins a request of another core: appends are queued here, in the order in which they were sent.
    fn begin(self: &Rc<Self>, request: Request) {
        match request {
            Request::Appends { appends, reply } => {
                Burst::begin(&self.bursts, &self.streams, appends, reply, self.busy.begin());
            }
            Request::Fetch { fetch, mut reply } => {
                let core = Rc::clone(self);
                // Who waits for records gives the core nothing to do.
                let work = fetch.wait.is_zero().then(|| self.busy.begin());
                self.spawn(async move {
                    let enough = or(reply.cancellation(), core.stopping.wait());
                    let fetched = core.streams.fetch(fetch, enough).await;
                    drop(reply.send(fetched));
                    drop(work);
                });
            }
            Request::Sit { place, hold, reply } => drop(reply.send(self.streams.sit(&place, hold))),
            Request::Feed { feed, mut reply } => {
                let core = Rc::clone(self);
                self.spawn(async move {
                    let enough = or(reply.cancellation(), core.stopping.wait());
                    let fed = core.streams.feed(feed, enough).await;
                    drop(reply.send(fed));
                });
            }
            Request::Meters { stream, reply } => drop(reply.send(self.streams.meters(stream))),
            Request::Bounds { stream, reply } => drop(reply.send(self.streams.bounds(stream))),
            Request::Errand(Errand(run)) => run(self),
        }
    }

    /// Has closed shards dropped when their records are over.
    async fn expire_shards(self: Rc<Self>) {
        let expire = async {
            loop {
                sleep(EXPIRY_PERIOD).await;
                if self.catalog.expire_shards().await.is_err() {
                    return;
                }
            }
        };
        or(expire, or(self.stopping.wait(), self.closed.wait())).await;
    }

    /// Lets queues rest that are not used.
    async fn rest_queues(self: Rc<Self>) {
        let rest = async {
            loop {
                sleep(REST_PERIOD).await;
                self.queues.rest(yield_if_needed).await;
                self.stream_queues.rest(yield_if_needed).await;
            }
        };
        or(rest, or(self.stopping.wait(), self.closed.wait())).await;
    }

    async fn drain(self: Rc<Self>, done: mpsc::Sender<u32>) {
        self.stopping.happen();
        let guests = Rc::clone(&self.guests);
        guests.left.until(|| (guests.present.get() == 0).then_some(())).await;
        // Whoever asked may have stopped waiting.
        let _ = done.send(self.index);
    }

    async fn close(self: Rc<Self>, done: mpsc::Sender<u32>) {
        for (lane, log) in self.streams.lanes() {
            log.close().await;
            tracing::debug!(core = self.index, %lane, "lane closed");
        }
        // Whoever asked may have stopped waiting.
        let _ = done.send(self.index);
        self.closed.happen();
    }

    /// Its number.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Which core holds which lane.
    pub fn placement(&self) -> Placement {
        self.placement
    }

    /// The streams, as this core knows them.
    pub fn streams(&self) -> &Streams<CoreEnv> {
        &self.streams
    }

    /// The queues, as this core knows them.
    pub fn queues(&self) -> &Queues<CoreEnv> {
        &self.queues
    }

    /// The way to the others.
    pub fn post(&self) -> &Post {
        &self.post
    }

    /// The way to the catalog.
    pub fn catalog(&self) -> &CatalogHandle {
        &self.catalog
    }

    /// Its counters.
    pub fn metrics(&self) -> &Rc<CoreMetrics> {
        &self.metrics
    }

    /// Happens when the server goes down: nothing new is to be taken.
    pub fn stopping(&self) -> &Rc<Event> {
        &self.stopping
    }

    /// Happens when the lanes are closed: whoever still runs ends.
    pub fn closed(&self) -> &Rc<Event> {
        &self.closed
    }

    /// Counts work, which keeps the heartbeat short.
    pub fn busy(&self) -> &Rc<Busy> {
        &self.busy
    }

    /// Time since the start.
    pub fn monotonic(&self) -> Duration {
        self.env.clock().monotonic()
    }

    /// The time of day.
    pub fn now(&self) -> Timestamp {
        self.env.now()
    }

    /// Chance, good enough for names and for spreading load; no secret comes from here.
    pub fn random_u64(&self) -> u64 {
        self.env.random_u64()
    }

    /// What is going on with queues beside requests, on all cores.
    pub fn chores(&self) -> &Chores {
        &self.chores
    }

    /// Runs a task in the queue of requests.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.executor.spawn(task);
    }

    /// Runs a task in the queue of what can wait.
    pub fn spawn_upkeep(&self, task: impl Future<Output = ()> + 'static) {
        self.executor.spawn_upkeep(task);
    }

    /// Counts somebody who is served; the core closes when all have left.
    pub fn welcome(&self) -> Guest {
        self.guests.present.set(self.guests.present.get() + 1);
        Guest(Rc::clone(&self.guests))
    }

    async fn report(&self) -> CoreReport {
        self.metrics.waiting_fetches.set(self.streams.waiting());
        self.metrics.waiting_receives.set(self.queues.waiting());
        let queues = self.queues.busiest(REPORTED_QUEUES_MAX, self.index).await;
        let stream_queues = self.stream_queues.report(REPORTED_QUEUES_MAX, self.index).await;
        let shards = self.streams.watched(WATCHED_SHARDS_MAX);
        CoreReport {
            queues,
            stream_queues,
            shards,
            ..CoreReport::of(self.index, &self.metrics, self.streams.lanes())
        }
    }
}

/// Tells somebody who may have gone.
fn tell(done: &Sender<()>) {
    let _ = done.try_send(());
}
