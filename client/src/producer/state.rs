//! Everything a producer holds, changed under one lock and never across a wait: the route, the queues, what failed.
//!
//! Invariant: a record is in exactly one batch, and a batch is in exactly one queue or under way for it, until its fate is
//! decided. Guarded by the property test beside this file.

use std::sync::Arc;

use tidemill_wire::ShardIndex;
use tidemill_wire::message::StreamDescription;
use tokio::time::Instant;

use super::batch::{Bounds, Entering, SealedBatch};
use super::delivery::{Delivery, Fate, Forward, Outcome, unknown_shard};
use super::record::Record;
use super::shard_queue::ShardQueue;
use crate::retry::Retry;
use crate::route::Route;
use crate::{ProducerOptions, RetryPolicy, SendError};

/// A producer's state.
#[derive(Debug)]
pub(super) struct State {
    route: Arc<Route>,
    bounds: Bounds,
    options: ProducerOptions,
    retry: RetryPolicy,
    frame_bytes_max: usize,
    /// By shard index.
    queues: Vec<ShardQueue>,
    last_serial: u64,
    /// Where the last record without a key went: the open batch's name, and the shard's place among the open ones.
    keyless: (u64, usize),
    is_closed: bool,
    /// The stream is gone: nothing is taken any more, for this reason.
    dead: Option<SendError>,
    /// The first failure since the last flush.
    failure: Option<SendError>,
}

/// Where a record went.
#[derive(Debug)]
pub(super) struct Entered {
    pub(super) delivery: Delivery,
    /// The queue had no worker yet.
    pub(super) unserved: Option<ShardIndex>,
}

impl State {
    pub(super) fn new(
        route: Route,
        options: ProducerOptions,
        retry: RetryPolicy,
        frame_bytes_max: usize,
    ) -> Self {
        let bounds = Bounds::new(&options, &route.description().quota, frame_bytes_max);
        Self {
            route: Arc::new(route),
            bounds,
            options,
            retry,
            frame_bytes_max,
            queues: Vec::new(),
            last_serial: 0,
            keyless: (0, 0),
            is_closed: false,
            dead: None,
            failure: None,
        }
    }

    pub(super) fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// Takes a record for the shard that is named, or that its key leads to.
    pub(super) fn enter(
        &mut self,
        shard: Option<ShardIndex>,
        record: Record<'_>,
        charge: usize,
    ) -> Result<Entered, SendError> {
        if let Some(error) = &self.dead {
            return Err(error.clone());
        }
        if self.is_closed {
            return Err(SendError::Closed);
        }
        if let Some(shard) = shard.filter(|shard| !self.route.is_open(*shard)) {
            return Err(SendError::UnknownShard { shard });
        }
        let entering = Entering { record, charge, is_pinned: shard.is_some(), forward: None };
        let (shard, fate, index) = self.place(shard, entering)?;
        let queue = self.queue(shard);
        let unserved = (!std::mem::replace(&mut queue.is_served, true)).then_some(shard);
        Ok(Entered { delivery: Delivery::new(fate, index), unserved })
    }

    fn place(
        &mut self,
        shard: Option<ShardIndex>,
        entering: Entering<'_>,
    ) -> Result<(ShardIndex, Arc<Fate>, u32), SendError> {
        let key = entering.record.key;
        let shard = match shard {
            Some(shard) => shard,
            None if key.is_empty() => self.keyless_shard(&entering.record),
            None => self.route.shard_of(key),
        };
        let is_keyless = !entering.is_pinned && key.is_empty();
        let serial = self.last_serial + 1;
        let linger = self.options.linger;
        let due = || Instant::now().checked_add(linger).unwrap_or_else(far_future);
        let bounds = self.bounds;
        let (fate, index) = self.queue(shard).push(entering, &bounds, due, serial)?;
        self.last_serial = serial;
        if is_keyless {
            self.keyless.0 = self.queue(shard).open_serial().unwrap_or(0);
        }
        Ok((shard, fate, index))
    }

    /// Records without a key fill one shard's batch before they go on to the next shard. A batch that has no room for the
    /// record is full, too.
    fn keyless_shard(&mut self, record: &Record<'_>) -> ShardIndex {
        let open = self.route.open_shards();
        let (serial, place) = self.keyless;
        let shard = open[place % open.len()];
        let queue = self.queues.get(shard.0 as usize);
        let goes_on = |queue: &ShardQueue| {
            queue.open_serial() == Some(serial) && queue.has_room_for(record, &self.bounds)
        };
        if serial != 0 && queue.is_some_and(goes_on) {
            return shard;
        }
        let next = (place + 1) % open.len();
        self.keyless.1 = next;
        open[next]
    }

    /// The queue of a shard.
    pub(super) fn queue(&mut self, shard: ShardIndex) -> &mut ShardQueue {
        let index = shard.0 as usize;
        while self.queues.len() <= index {
            self.queues.push(ShardQueue::new(Retry::new(self.retry)));
        }
        &mut self.queues[index]
    }

    /// Whether the worker of a shard is to end. If it is, the queue counts as unserved from then on: a change of the shard
    /// map may still move records there.
    pub(super) fn retire(&mut self, shard: ShardIndex) -> bool {
        let is_over = self.is_closed && self.queue(shard).is_empty();
        if is_over {
            self.queue(shard).is_served = false;
        }
        is_over
    }

    /// Notes that a batch has ended; its fate is to be told outside of the lock.
    pub(super) fn settle(&mut self, shard: ShardIndex, fate: &Arc<Fate>, outcome: &Outcome) {
        self.queue(shard).landed(fate);
        self.note(outcome.error());
    }

    fn note(&mut self, error: Option<SendError>) {
        if self.failure.is_none() {
            self.failure = error;
        }
    }

    /// The first failure since this was last asked.
    pub(super) fn take_failure(&mut self) -> Option<SendError> {
        self.failure.take()
    }

    /// Lets everything be sent without lingering.
    pub(super) fn hurry(&mut self) {
        let now = Instant::now();
        self.queues.iter_mut().for_each(|queue| queue.hurry(now));
    }

    /// The fates of all that is not answered.
    pub(super) fn fates(&self) -> Vec<Arc<Fate>> {
        self.queues.iter().flat_map(ShardQueue::fates).cloned().collect()
    }

    /// Takes no more records; workers end when their queues are empty.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.hurry();
        self.queues.iter().for_each(|queue| queue.wake.notify_one());
    }

    /// Pauses the shards whose records go elsewhere by `route`, and returns them.
    pub(super) fn pause_moving(&mut self, route: &Route) -> Vec<ShardIndex> {
        let known = (0..).map(ShardIndex).take(self.queues.len());
        let mut moving: Vec<_> = known.chain(self.route.open_shards().iter().copied()).collect();
        moving.sort_unstable();
        moving.dedup();
        moving.retain(|shard| !stays(&self.route, route, *shard));
        for shard in &moving {
            self.queue(*shard).is_paused = true;
        }
        moving
    }

    /// Whether a shard takes the same keys by `route` as it does now.
    pub(super) fn stays(&self, shard: ShardIndex, route: &Route) -> bool {
        stays(&self.route, route, shard)
    }

    /// Goes over to a new route: the waiting records of `moving` shards, none of which is under way, go where their keys
    /// lead now, in order and ahead of all that comes later. Returns the shards whose queues have no worker, and the
    /// bytes of buffer that fell free.
    pub(super) fn adopt(&mut self, route: Route, moving: &[ShardIndex]) -> (Vec<ShardIndex>, usize) {
        self.bounds = Bounds::new(&self.options, &route.description().quota, self.frame_bytes_max);
        self.route = Arc::new(route);
        self.keyless = (0, 0);
        let mut freed = 0;
        let batches: Vec<_> = moving.iter().map(|shard| (*shard, self.queue(*shard).drain())).collect();
        for (shard, batches) in batches {
            for batch in batches {
                freed += self.move_records(shard, batch);
            }
        }
        self.resume(moving);
        // What was moved has lingered before.
        self.hurry();
        let mut unserved = Vec::new();
        for (index, queue) in (0..).zip(&mut self.queues) {
            if !queue.is_empty() && !std::mem::replace(&mut queue.is_served, true) {
                unserved.push(ShardIndex(index));
            }
        }
        (unserved, freed)
    }

    /// Lets shards that were paused send again.
    pub(super) fn resume(&mut self, shards: &[ShardIndex]) {
        for shard in shards {
            let queue = self.queue(*shard);
            queue.is_paused = false;
            queue.wake.notify_one();
        }
    }

    /// Puts the records of a batch where they belong now; returns the bytes of those that belong nowhere.
    fn move_records(&mut self, from: ShardIndex, mut batch: SealedBatch) -> usize {
        batch.fate.scatter(batch.records);
        let charges = Charges::of(&batch);
        let mut freed = 0;
        let records: Vec<_> = batch.records().collect();
        for (index, found) in (0..).zip(records) {
            let record = Record { key: &found.key, data: &found.data, timestamp: found.timestamp };
            let charge = charges.share(index);
            let is_pinned = batch.pinned.binary_search(&index).is_ok();
            let shard = (is_pinned && self.route.is_open(from)).then_some(from);
            if is_pinned && shard.is_none() {
                freed += charge;
                let outcome = unknown_shard(from);
                self.note(outcome.as_ref().err().cloned());
                batch.fate.resolve_moved(index, outcome);
                continue;
            }
            let forward = Some(Forward { fate: Arc::clone(&batch.fate), index });
            let entering = Entering { record, charge, is_pinned, forward };
            if let Err(error) = self.place(shard, entering) {
                freed += charge;
                self.note(Some(error.clone()));
                batch.fate.resolve_moved(index, Err(error));
            }
        }
        freed
    }

    /// Ends everything that waits in a shard's queue; returns the bytes of buffer that fell free.
    pub(super) fn fail_waiting(&mut self, shard: ShardIndex, error: &SendError) -> usize {
        let mut freed = 0;
        for batch in self.queue(shard).drain() {
            freed += batch.charge;
            let outcome = Outcome::Failed(error.clone());
            self.settle(shard, &batch.fate, &outcome);
            batch.fate.resolve(outcome);
        }
        freed
    }

    /// The stream is gone: ends all that waits, and takes nothing more. Returns the bytes of buffer that fell free.
    pub(super) fn die(&mut self, error: &SendError) -> usize {
        self.dead.get_or_insert_with(|| error.clone());
        let shards = 0..u32::try_from(self.queues.len()).unwrap_or(u32::MAX);
        let freed = shards.clone().map(|shard| self.fail_waiting(ShardIndex(shard), error)).sum();
        self.resume(&shards.map(ShardIndex).collect::<Vec<_>>());
        freed
    }

    pub(super) fn description(&self) -> &StreamDescription {
        self.route.description()
    }
}

fn stays(before: &Route, after: &Route, shard: ShardIndex) -> bool {
    after.is_open(shard) && after.open_range(shard) == before.open_range(shard)
}

/// How a batch's bytes of buffer are shared out to its records: evenly, the rest to the first.
struct Charges {
    each: usize,
    rest: usize,
}

impl Charges {
    fn of(batch: &SealedBatch) -> Self {
        let records = batch.records.max(1) as usize;
        Self { each: batch.charge / records, rest: batch.charge % records }
    }

    fn share(&self, index: u32) -> usize {
        self.each + if index == 0 { self.rest } else { 0 }
    }
}

/// Later than any producer lives, and representable.
fn far_future() -> Instant {
    Instant::now() + std::time::Duration::from_secs(86_400 * 365)
}

#[cfg(test)]
mod tests;
