//! The lane: one log, its one owner, and the tasks that keep it.
//!
//! Owns the handle through which everything else sees the log. Promises that appends of one owner are numbered in the order of the calls, that a
//! durable acknowledgement survives a power cut, and that dropping the last handle ends the tasks. Leaves out who may append and how fast.

use std::{cell::RefCell, future::Future, rc::Rc};

use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::lock::Mutex;
use tidemill_wire::{
    OwnerId, SequenceNumber, Timestamp,
    entry::{ENTRY_HEADER_BYTES, EntryKind},
    limits::BATCH_RECORDS_MAX,
    message::Ack,
};

use crate::{
    config::LaneConfig,
    env::Env,
    error::{AppendError, DiskError, FetchError, OpenError, UnknownOwner},
    stats::{LaneHealth, LaneStats},
};

mod answer;
mod blame;
mod checkpoint;
mod clock;
mod compact;
mod core;
mod flusher;
mod group;
mod keyed;
mod lookup;
mod owner;
mod places;
mod preparer;
mod reader;
mod recovery;
pub mod repair;
mod reply;
mod reserve;
mod sealer;
mod signal;
mod spans;
mod upkeep;
mod writeback;
mod writer;

pub use answer::{Appended, Bounds, Fetched, KeyCompaction, RecoveryReport, Retention, TornTail};
pub(crate) use checkpoint::{decode_body as decode_checkpoint_body, is_whole as is_whole_checkpoint};
pub(crate) use repair::{Traces, find_traces};
pub use reply::{AppendSink, Settled};
pub(crate) use signal::give_way;
pub use signal::{Signal, Until, until};

use answer::Stop;
use clock::Clock;
use core::{Core, Signals, State, entry_bytes};
use keyed::Keyed;
use owner::Owner;
use reply::Reply;

/// A handle on an open lane. Clones share it.
pub struct Lane<E: Env> {
    core: Rc<Core<E>>,
    _guard: Rc<Guard<E>>,
}

impl<E: Env> Clone for Lane<E> {
    fn clone(&self) -> Self {
        Self { core: Rc::clone(&self.core), _guard: Rc::clone(&self._guard) }
    }
}

/// Ends the tasks with the last handle.
struct Guard<E: Env>(Rc<Core<E>>);

impl<E: Env> Drop for Guard<E> {
    fn drop(&mut self) {
        writer::abandon(&self.0);
    }
}

impl<E: Env> Lane<E> {
    /// Opens the lane in `config.directory`, or begins it there, and starts its tasks on `env`.
    ///
    /// The caller makes sure that nobody else has the directory open: no other process, and no lane of this one that was dropped without a
    /// close a moment ago, since its tasks end only when they run next.
    pub async fn open(env: E, config: LaneConfig) -> Result<(Self, RecoveryReport), OpenError> {
        config.check()?;
        let recovered = recovery::recover(&env, &config).await?;
        let state = State {
            owners: recovered.owners,
            schedule: std::collections::BTreeSet::new(),
            keyed: std::collections::BTreeMap::new(),
            segments: recovered.segments,
            compacted: recovered.compacted,
            places: recovered.places,
            checkpoint: recovered.checkpoint,
            last_checkpoint: None,
            checkpoint_backoff: checkpoint::Backoff::default(),
            has_unmentioned: recovered.has_unmentioned,
            recent: lookup::Recent::default(),
            forgotten: Vec::new(),
            spare: recovered.spare,
            retired: Vec::new(),
            next_segment: recovered.next_segment,
            queue: std::collections::VecDeque::new(),
            queued_bytes: 0,
            last_time: recovered.last_time,
            ends_with_mark: recovered.ends_with_mark,
            rolls: 0,
            starving: false,
            newly_sealed: false,
            compaction_due: false,
            compaction_paused: false,
            reserve: recovered.reserve,
            no_room: false,
            refusing: false,
            closing: false,
            writer_done: false,
            stop: None,
            tasks: 0,
            stats: LaneStats::new(),
        };
        let clock = Clock::new(state.last_time, env.monotonic());
        let (state, signals) = (RefCell::new(state), Signals::default());
        let core = Rc::new(Core { env, config, clock, state, signals, index: Mutex::default() });
        core.spawn(writer::run(Rc::clone(&core)));
        core.spawn(preparer::run(Rc::clone(&core)));
        core.spawn(sealer::run(Rc::clone(&core)));
        core.spawn(flusher::run(Rc::clone(&core)));
        core.spawn(writeback::run(Rc::clone(&core)));
        core.spawn(upkeep::run(Rc::clone(&core)));
        core.spawn_background(compact::run(Rc::clone(&core)));
        Ok((Self { _guard: Rc::new(Guard(Rc::clone(&core))), core }, recovered.report))
    }

    /// Registers an owner, or gives a known one another retention, and applies it at once where that costs nothing.
    /// An id belongs to one owner for ever: it must not be adopted again after it was forgotten.
    pub fn adopt(&self, owner: OwnerId, retention: Retention) {
        let mut state = self.core.state.borrow_mut();
        let known = state.owners.get_or_insert_with(owner, Owner::default);
        if known.is_forgotten {
            return;
        }
        known.retention = Some(retention);
        upkeep::expire_owner(&self.core, &mut state, owner);
    }

    /// Hides an owner's records below a number, and gives their space back as retention does. For owners who know themselves what they need: it is
    /// not written down, so they say it again after a start, and find until then what is still on the disk.
    pub fn trim(&self, owner: OwnerId, below: SequenceNumber) {
        let mut state = self.core.state.borrow_mut();
        let Some(known) = state.owners.get_mut(&owner).filter(|known| !known.is_forgotten) else { return };
        known.trimmed = known.trimmed.max(below.min(known.next));
        upkeep::expire_owner(&self.core, &mut state, owner);
    }

    /// Compacts an owner's records by key from now on, or no longer. What is gone stays gone.
    ///
    /// Of the sealed segments' records each goes some time after a later one of its key came, sooner where much can go and after the lane's
    /// `key_compaction_lag` at the latest; tombstones after their time. Records without a key stay. Nothing happens while compaction is off.
    pub fn compact_keys(&self, owner: OwnerId, policy: Option<KeyCompaction>) {
        let mut state = self.core.state.borrow_mut();
        match policy {
            None => drop(state.keyed.remove(&owner)),
            Some(policy) => {
                let keyed = state.keyed.entry(owner).or_insert_with(|| Keyed::new(policy, self.core.now()));
                keyed.tombstone_age = policy.tombstone_age;
            }
        }
    }

    /// Drops an owner: its entries become garbage, and those who wait for it are told. Its number is not to be used for another one.
    pub fn forget(&self, owner: OwnerId) {
        let mut state = self.core.state.borrow_mut();
        state.keyed.remove(&owner);
        let State { owners, schedule, segments, compacted, forgotten, .. } = &mut *state;
        let Some(known) = owners.get_mut(&owner).filter(|known| !known.is_forgotten) else { return };
        known.unschedule(owner, schedule);
        known.is_forgotten = true;
        known.retention = None;
        if let Some(segment) = segments.get(&known.mention).or_else(|| compacted.get(&known.mention)) {
            segment.mentions.set(segment.mentions.get() - 1);
        }
        known.mention = 0;
        let watchers = known.watchers.take();
        // Upkeep finds what it has, and takes it out.
        forgotten.push(owner);
        drop(state);
        if let Some(signal) = watchers {
            signal.notify();
        }
    }

    /// All owners that the lane knows, those that recovery found and nobody has adopted yet included, in rising order.
    #[must_use]
    pub fn owners(&self) -> Vec<OwnerId> {
        let mut owners: Vec<OwnerId> = {
            let state = self.core.state.borrow();
            let known = state.owners.iter().filter(|(_, known)| !known.is_forgotten);
            known.map(|(id, _)| id).collect()
        };
        owners.sort_unstable();
        owners
    }

    /// Queues an entry at the call, not when the future is polled; entries of one owner are numbered in the order of the calls.
    /// The entry is written even if the future is dropped. Whether the owner is known counts when its turn comes, not at the call: one that is unknown is refused then, and one that is adopted meanwhile
    /// takes it. Until then the entry has its part of the queue.
    pub fn append(
        &self,
        owner: OwnerId,
        payload: Bytes,
        record_count: u32,
        ack: Ack,
    ) -> impl Future<Output = Result<Appended, AppendError>> + use<E> {
        let (reply, answer) = oneshot::channel();
        let queued = self.queue(owner, payload, record_count, ack, Reply::Future(reply));
        async move {
            queued?;
            answer.await.unwrap_or(Err(AppendError::Closed))
        }
    }

    /// As [`append`](Self::append), but `sink` is told what became of the entry, with `token`: for callers with many entries under way, who so need neither
    /// a task nor an allocation for each. An entry that is refused here is not told of again; that its owner is unknown is told to the sink.
    pub fn append_to(
        &self,
        sink: Rc<dyn AppendSink>,
        token: u64,
        owner: OwnerId,
        payload: Bytes,
        record_count: u32,
        ack: Ack,
    ) -> Result<(), AppendError> {
        self.queue(owner, payload, record_count, ack, Reply::Sink { sink, token })
    }

    /// Whether an entry with a payload of so many bytes would be queued now. For owners who change their own state with what they write: until the next await, it is.
    pub fn admits(&self, owner: OwnerId, payload_bytes: usize) -> Result<(), AppendError> {
        let is_known = self.core.state.borrow().owners.get(&owner).is_some_and(Owner::takes_appends);
        if !is_known {
            return Err(UnknownOwner { owner }.into());
        }
        self.admit(payload_bytes, 1)
    }

    /// The time by which records are taken and retention counts: it never falls.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.core.now()
    }

    fn queue(
        &self,
        owner: OwnerId,
        payload: Bytes,
        record_count: u32,
        ack: Ack,
        reply: Reply,
    ) -> Result<(), AppendError> {
        self.admit(payload.len(), record_count)?;
        self.core.enqueue(EntryKind::Batch, owner, payload, record_count, ack, reply);
        Ok(())
    }

    /// Whether the owner is known is found out with the plan of a group, for all of its entries together: where owners are many, each look-up waits for memory.
    fn admit(&self, payload_bytes: usize, record_count: u32) -> Result<(), AppendError> {
        let state = self.core.state.borrow();
        let config = &self.core.config;
        match &state.stop {
            Some(Stop::Poisoned(reason)) => return Err(AppendError::Poisoned { reason: reason.clone() }),
            Some(Stop::Closed) => return Err(AppendError::Closed),
            None if state.closing => return Err(AppendError::Closed),
            None => {}
        }
        let (bytes, limit) = ((ENTRY_HEADER_BYTES + payload_bytes) as u64, config.entry_bytes_max);
        if bytes > limit {
            return Err(AppendError::TooLarge { bytes, limit });
        }
        if record_count == 0 || record_count > BATCH_RECORDS_MAX {
            return Err(AppendError::RecordCount { record_count });
        }
        if state.refusing {
            return Err(AppendError::DiskFull { needed: config.segment_bytes });
        }
        let (queued, limit) = (state.queued_bytes, config.queue_bytes_max);
        if queued + entry_bytes(payload_bytes) > limit && queued > 0 {
            return Err(AppendError::QueueFull { queued, limit });
        }
        Ok(())
    }

    /// Entries of an owner from a sequence number on, up to `bytes_max` bytes, but at least one if there is any.
    ///
    /// Below the oldest number it begins at the oldest. The answer is empty at the end; beyond the end is an error.
    pub async fn fetch(
        &self,
        owner: OwnerId,
        from: SequenceNumber,
        bytes_max: usize,
    ) -> Result<Fetched, FetchError> {
        self.fetch_records(owner, from, bytes_max, u64::MAX).await
    }

    /// The same, for whoever wants so many records at most: it ends with the entry that has the last of them.
    pub async fn fetch_records(
        &self,
        owner: OwnerId,
        from: SequenceNumber,
        bytes_max: usize,
        records_max: u64,
    ) -> Result<Fetched, FetchError> {
        reader::fetch(&self.core, owner, from, bytes_max, records_max).await
    }

    /// What an owner has in the log.
    pub fn bounds(&self, owner: OwnerId) -> Result<Bounds, UnknownOwner> {
        let state = self.core.state.borrow();
        let known = state.owners.get(&owner).filter(|known| known.retention.is_some());
        let known = known.ok_or(UnknownOwner { owner })?;
        Ok(Bounds {
            oldest: known.oldest().min(known.next),
            next: known.next,
            bytes: known.payload_bytes,
            last_append_time: known.spans.back().map(|span| span.last_time),
        })
    }

    /// The first number taken at or after a time, or the next number to be given out.
    pub async fn sequence_at(&self, owner: OwnerId, time: Timestamp) -> Result<SequenceNumber, FetchError> {
        reader::sequence_at(&self.core, owner, time).await
    }

    /// Resolves when the owner's next number is above `at`, the owner is not known, or the lane takes no appends any more.
    pub fn watch(&self, owner: OwnerId, at: SequenceNumber) -> impl Future<Output = ()> + use<E> {
        let core = Rc::clone(&self.core);
        async move {
            loop {
                let signal = {
                    let mut state = core.state.borrow_mut();
                    let over = state.writer_done || state.stop.is_some();
                    let Some(known) = state
                        .owners
                        .get_mut(&owner)
                        .filter(|known| known.next <= at && !known.is_forgotten && !over)
                    else {
                        return;
                    };
                    Rc::clone(known.watchers.get_or_insert_default())
                };
                wait_once(&core, &signal).await;
            }
        }
    }

    /// Makes stable what has been written before this call, whether or not anybody waits for it.
    pub async fn flush(&self) -> Result<(), DiskError> {
        let active = Rc::clone(self.core.state.borrow().active());
        let end = active.written.get();
        self.core.flush_below(active.id).await?;
        self.core.flush(&active, end).await
    }

    /// Counters and sizes.
    #[must_use]
    pub fn stats(&self) -> LaneStats {
        let state = self.core.state.borrow();
        let mut stats = state.stats.clone();
        stats.compaction_paused = state.compaction_paused;
        let segments = || state.all_segments();
        stats.segments_sealed = segments().filter(|segment| segment.is_sealed()).count() as u64;
        stats.segments_unsealed = segments().count() as u64 - stats.segments_sealed;
        stats.segments_spare = state.spare.iter().count() as u64;
        stats.segments_retired = state.retired.len() as u64;
        let entry_bytes: u64 = segments().map(|segment| segment.entry_bytes()).sum();
        stats.live_bytes = segments().map(|segment| segment.live_entry_bytes(0)).sum();
        stats.dead_bytes = entry_bytes - stats.live_bytes;
        let files = segments().chain(&state.spare).chain(&state.retired);
        stats.reserve_bytes = state.reserve.bytes();
        stats.checkpoint_wait_ms = state.checkpoint_backoff.wait_ms(self.core.now());
        let checkpoint_bytes = state.checkpoint.as_ref().map_or(0, checkpoint::Taken::bytes);
        stats.disk_bytes =
            files.map(|segment| segment.bytes()).sum::<u64>() + stats.reserve_bytes + checkpoint_bytes;
        stats.queued_bytes = state.queued_bytes;
        stats.owners = (state.owners.len() - state.forgotten.len()) as u64;
        stats
    }

    /// Whether appends are taken.
    #[must_use]
    pub fn health(&self) -> LaneHealth {
        let state = self.core.state.borrow();
        match &state.stop {
            Some(Stop::Poisoned(reason)) => LaneHealth::Poisoned { reason: reason.clone() },
            Some(Stop::Closed) => LaneHealth::Closed,
            None if state.closing => LaneHealth::Closed,
            None if state.refusing => LaneHealth::Full { needed: self.core.config.segment_bytes },
            None => LaneHealth::Serving,
        }
    }

    /// Holds compaction before its next step, or lets it go on. What is half done stays where it is, and takes its space meanwhile.
    pub fn pause_compaction(&self, paused: bool) {
        let mut state = self.core.state.borrow_mut();
        state.compaction_paused = paused;
        if paused {
            // Nobody waits for what will not come.
            state.reserve.give_up();
        }
        drop(state);
        self.core.signals.preparer.notify();
        self.core.signals.compactor.notify();
    }

    /// Writes what is queued, flushes everything, and ends the tasks. Reads go on while a handle is left.
    pub async fn close(&self) {
        self.core.state.borrow_mut().closing = true;
        self.core.notify_all();
        until(&self.core.signals.ended, || (self.core.state.borrow().tasks == 0).then_some(())).await;
        self.core.state.borrow_mut().stop.get_or_insert(Stop::Closed);
        self.core.notify_all();
    }
}

/// Waits until a signal is given once, or the lane ends.
async fn wait_once<E: Env>(core: &Rc<Core<E>>, signal: &Rc<Signal>) {
    let mut looks = 0;
    let given = until(Rc::clone(signal), move || {
        looks += 1;
        (looks > 1).then_some(())
    });
    let over = until(&core.signals.stopping, || core.is_over().then_some(()));
    futures_util::future::select(given, over).await;
}
