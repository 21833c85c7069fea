//! What the tasks of a lane share: its state, the signals between them, and the changes that more than one of them makes.
//!
//! Invariant: the state is borrowed only between awaits, never across one; clippy's `await_holding_refcell_ref` guards it.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    future::Future,
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    future::{Either, select},
    lock::Mutex,
};
use tidemill_wire::{OwnerId, Timestamp, entry::EntryKind, message::Ack};

use super::{
    answer::Stop,
    checkpoint::{Backoff, Taken},
    clock::Clock,
    keyed::Keyed,
    lookup::Recent,
    owner::{Owner, Schedule},
    places::Places,
    reply::{Replies, Reply},
    reserve::Reserve,
    signal::{Signal, until},
    writeback,
};
use crate::{
    config::LaneConfig,
    env::{Disk, Env, File},
    error::{AppendError, DiskError},
    owner_map::OwnerMap,
    segment::{Segment, SegmentId},
    stats::LaneStats,
};

pub(super) type FileOf<E> = <<E as Env>::Disk as Disk>::File;
pub(super) type SegmentOf<E> = Rc<Segment<FileOf<E>>>;

/// An entry that waits to be written.
pub(super) struct Request {
    pub(super) kind: EntryKind,
    pub(super) owner: OwnerId,
    pub(super) payload: Bytes,
    pub(super) record_count: u32,
    pub(super) ack: Ack,
    pub(super) reply: Reply,
}

/// Everything about a lane that changes.
pub(super) struct State<E: Env> {
    pub(super) owners: OwnerMap<Owner>,
    /// Those of them whose records are compacted by key.
    pub(super) keyed: BTreeMap<OwnerId, Keyed>,
    /// Owners of which something is over at some time.
    pub(super) schedule: Schedule,
    /// The log: segments in the order in which they were written, and the active one, which is the last.
    pub(super) segments: BTreeMap<SegmentId, SegmentOf<E>>,
    /// What compaction made of parts of the log. Their ids tell nothing about their place in it.
    pub(super) compacted: BTreeMap<SegmentId, SegmentOf<E>>,
    /// Those of both that are sealed and hold their stretch of the log.
    pub(super) places: Places,
    pub(super) recent: Recent,
    pub(super) checkpoint: Option<Taken>,
    /// Bytes of the last checkpoint, and what had been written to the lane by then.
    pub(super) last_checkpoint: Option<(u64, u64)>,
    /// When a checkpoint that could not be written is tried again.
    pub(super) checkpoint_backoff: Backoff,
    /// There may be owners of whom no segment is known that tells their numbers.
    pub(super) has_unmentioned: bool,
    /// Owners whose spans are to be found and let go.
    pub(super) forgotten: Vec<OwnerId>,
    pub(super) spare: Option<SegmentOf<E>>,
    pub(super) retired: Vec<SegmentOf<E>>,
    pub(super) next_segment: SegmentId,
    pub(super) queue: VecDeque<Request>,
    pub(super) queued_bytes: u64,
    /// The append time never falls below this.
    pub(super) last_time: Timestamp,
    /// The log ends with an entry that vouches for all before it.
    pub(super) ends_with_mark: bool,
    /// Segments begun since upkeep last looked at the retired ones.
    pub(super) rolls: usize,
    /// The writer waits for a segment.
    pub(super) starving: bool,
    /// A segment was sealed since upkeep last looked.
    pub(super) newly_sealed: bool,
    /// Upkeep has looked through the segments since compaction last did.
    pub(super) compaction_due: bool,
    pub(super) compaction_paused: bool,
    /// Room for compaction on a full disk.
    pub(super) reserve: Reserve,
    /// The preparer finds no room for a segment.
    pub(super) no_room: bool,
    /// Appends are refused, since one needed the segment for which there is no room.
    pub(super) refusing: bool,
    pub(super) closing: bool,
    pub(super) writer_done: bool,
    pub(super) stop: Option<Stop>,
    pub(super) tasks: usize,
    pub(super) stats: LaneStats,
}

/// Who waits for what.
#[derive(Default)]
pub(super) struct Signals {
    /// Requests, a spare, room, the end of a seal.
    pub(super) writer: Signal,
    /// The spare was taken, a segment was retired.
    pub(super) preparer: Signal,
    /// A segment is full.
    pub(super) sealer: Signal,
    /// Something was written that is not stable.
    pub(super) flusher: Signal,
    /// Enough was written for write-back to begin.
    pub(super) writeback: Signal,
    /// A segment was sealed.
    pub(super) upkeep: Signal,
    /// Upkeep is done with a look, compaction may go on.
    pub(super) compactor: Signal,
    /// The lane stops.
    pub(super) stopping: Signal,
    /// A task ended.
    pub(super) ended: Signal,
}

pub(super) struct Core<E: Env> {
    pub(super) env: E,
    pub(super) config: LaneConfig,
    pub(super) clock: Clock,
    pub(super) state: RefCell<State<E>>,
    pub(super) signals: Signals,
    /// Held by whoever takes spans from owners or gives them others in more than one step. What is held of segments is counted by segment,
    /// so two such changes beside each other would count wrong.
    pub(super) index: Mutex<()>,
}

impl<E: Env> Core<E> {
    /// The time by the lane's own clock.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.show(self.env.now(), self.env.monotonic())
    }

    /// Queues an entry of the lane's own or of a checked caller.
    pub(super) fn enqueue(
        &self,
        kind: EntryKind,
        owner: OwnerId,
        payload: Bytes,
        record_count: u32,
        ack: Ack,
        reply: Reply,
    ) {
        let mut state = self.state.borrow_mut();
        state.queued_bytes += entry_bytes(payload.len());
        state.queue.push_back(Request { kind, owner, payload, record_count, ack, reply });
        drop(state);
        self.signals.writer.notify();
    }

    /// Answers everything that waits with one error.
    pub(super) fn refuse_queue(&self, error: &AppendError) {
        let mut state = self.state.borrow_mut();
        let queue = std::mem::take(&mut state.queue);
        state.queued_bytes -= queue.iter().map(|request| entry_bytes(request.payload.len())).sum::<u64>();
        drop(state);
        let mut replies = Replies::default();
        for request in queue {
            replies.give(request.reply, Err(error.clone()));
        }
    }

    /// Refuses appends from now on: what is in memory and what is on the disk may differ.
    pub(super) fn poison(&self, reason: DiskError) {
        let mut state = self.state.borrow_mut();
        if matches!(state.stop, Some(Stop::Poisoned(_))) {
            return;
        }
        tracing::error!(lane = self.config.lane.0, error = %reason, "lane refuses writes until it is opened again");
        state.stop = Some(Stop::Poisoned(reason.clone()));
        drop(state);
        self.refuse_queue(&AppendError::Poisoned { reason });
        self.notify_all();
    }

    pub(super) fn poisoned(&self) -> Option<DiskError> {
        match &self.state.borrow().stop {
            Some(Stop::Poisoned(reason)) => Some(reason.clone()),
            Some(Stop::Closed) | None => None,
        }
    }

    /// Whether the tasks that serve the writer have nothing to do any more.
    pub(super) fn is_over(&self) -> bool {
        let state = self.state.borrow();
        state.writer_done || state.stop.is_some()
    }

    pub(super) fn notify_all(&self) {
        let Signals { writer, preparer, sealer, flusher, writeback, upkeep, compactor, stopping, ended } =
            &self.signals;
        for signal in [writer, preparer, sealer, flusher, writeback, upkeep, compactor, stopping, ended] {
            signal.notify();
        }
    }

    /// Sleeps, but not longer than the lane lives. Returns whether it goes on.
    pub(super) async fn sleep(&self, duration: Duration) -> bool {
        let over = until(&self.signals.stopping, || self.is_over().then_some(()));
        let sleep = std::pin::pin!(self.env.sleep(duration));
        match select(sleep, over).await {
            Either::Left(_) => !self.is_over(),
            Either::Right(_) => false,
        }
    }

    /// Runs a task that `close` waits for.
    pub(super) fn spawn(self: &Rc<Self>, task: impl Future<Output = ()> + 'static) {
        let task = self.counted(task);
        self.env.spawn(task);
    }

    /// The same for a task that can wait.
    pub(super) fn spawn_background(self: &Rc<Self>, task: impl Future<Output = ()> + 'static) {
        let task = self.counted(task);
        self.env.spawn_background(task);
    }

    fn counted(
        self: &Rc<Self>,
        task: impl Future<Output = ()> + 'static,
    ) -> impl Future<Output = ()> + 'static {
        self.state.borrow_mut().tasks += 1;
        let core = Rc::clone(self);
        async move {
            task.await;
            core.state.borrow_mut().tasks -= 1;
            core.signals.ended.notify();
        }
    }

    /// Makes everything stable that was written to a segment before this call, up to `end` at least. A failure poisons the lane.
    pub(super) async fn flush(&self, segment: &Segment<FileOf<E>>, end: u64) -> Result<(), DiskError> {
        let _gate = segment.flush_gate.lock().await;
        if let Some(reason) = self.poisoned() {
            return Err(reason);
        }
        if segment.flushed.get() >= end {
            return Ok(());
        }
        let written = segment.written.get();
        let start = self.env.monotonic();
        if let Err(error) = segment.file.flush().await {
            self.poison(error.clone());
            return Err(error);
        }
        self.count_flush(start);
        segment.flushed.set(segment.flushed.get().max(written));
        Ok(())
    }

    /// Has the disk begin with what is due of a segment, if anything still is. Not beside a flush, which would not tell of pages that this could not write. A failure poisons the lane.
    pub(super) async fn write_back(&self, segment: &Segment<FileOf<E>>) -> Result<(), DiskError> {
        let _gate = segment.flush_gate.lock().await;
        if let Some(reason) = self.poisoned() {
            return Err(reason);
        }
        let Some(window) = writeback::due(&self.config, segment) else { return Ok(()) };
        segment.written_back.set(window.end);
        segment.file.write_back(window).await.inspect_err(|error| self.poison(error.clone()))
    }

    pub(super) fn count_flush(&self, start: Duration) {
        let elapsed = self.micros_since(start);
        let stats = &mut self.state.borrow_mut().stats;
        stats.flushes += 1;
        stats.flush_time_us.record(elapsed);
    }

    pub(super) fn micros_since(&self, start: Duration) -> u64 {
        u64::try_from(self.env.monotonic().saturating_sub(start).as_micros()).unwrap_or(u64::MAX)
    }

    /// Flushes all segments below `id`, oldest first.
    pub(super) async fn flush_below(&self, id: SegmentId) -> Result<(), DiskError> {
        loop {
            let Some(segment) = self.state.borrow().unflushed(id) else { return Ok(()) };
            self.flush(&segment, segment.written.get()).await?;
        }
    }
}

impl<E: Env> State<E> {
    pub(super) fn active(&self) -> &SegmentOf<E> {
        self.segments.last_key_value().expect("a lane always has an active segment").1
    }

    /// Segments that are full and have no footer yet, oldest first.
    pub(super) fn sealing(&self) -> impl DoubleEndedIterator<Item = &SegmentOf<E>> {
        // Seals are made in order, so the unsealed ones are the last.
        self.segments
            .values()
            .rev()
            .skip(1)
            .take_while(|segment| !segment.is_sealed())
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
    }

    /// The oldest segment below `id` with bytes that are not stable.
    pub(super) fn unflushed(&self, id: SegmentId) -> Option<SegmentOf<E>> {
        let unsealed = self.segments.range(..id).rev().take_while(|(_, segment)| !segment.is_sealed());
        unsealed.filter(|(_, segment)| !segment.is_flushed()).last().map(|(_, segment)| Rc::clone(segment))
    }

    /// How far an entry that is formed now may say that the lane is stable, as a position in its segment.
    pub(super) fn durable_before(&self, segment: &SegmentOf<E>) -> u64 {
        if self.unflushed(segment.id).is_none() { segment.flushed.get() } else { 0 }
    }

    /// A segment of the log or of compaction.
    pub(super) fn segment(&self, id: SegmentId) -> Option<&SegmentOf<E>> {
        self.segments.get(&id).or_else(|| self.compacted.get(&id))
    }

    /// All segments with entries, in no particular order.
    pub(super) fn all_segments(&self) -> impl Iterator<Item = &SegmentOf<E>> {
        self.segments.values().chain(self.compacted.values())
    }
}

/// What an entry with this payload takes of the queue.
pub(super) fn entry_bytes(payload_bytes: usize) -> u64 {
    tidemill_wire::entry::stride(tidemill_wire::entry::ENTRY_HEADER_BYTES + payload_bytes) as u64
}
