//! Upkeep: retention by age and by bytes, and the end of segments that hold nothing any more.
//!
//! Invariant: a segment goes only after the next sequence number of every owner is stable elsewhere; `retire` writes the watermarks first, and the
//! simulator checks that numbers go on.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::future::select;
use tidemill_wire::{OwnerId, SequenceNumber, Timestamp, entry::EntryKind, message::Ack};

use super::{
    core::{Core, SegmentOf, State},
    preparer::{is_unused, staggered},
    reply::Reply,
    reserve,
    signal::{give_way, until},
};
use crate::{
    env::{Disk, Env, File},
    limits::{UPKEEP_BATCH, WATERMARK_PARTS_MAX, WATERMARK_RESERVE_PARTS, WATERMARK_ROWS_MAX},
    owner_map::OWNER_MAP_PARTS,
    segment::{Segment, SegmentId, footer::OWNER_ROW_BYTES, watermarks},
};

/// Bytes that one owner's number takes: in a watermarks entry, and in the footer.
const ROW_BYTES: u64 = watermarks::WATERMARK_BYTES as u64 + OWNER_ROW_BYTES;

pub(super) async fn run<E: Env>(core: Rc<Core<E>>) {
    let mut pause = staggered(&core.env, core.config.upkeep_interval);
    while rest(&core, pause).await {
        pause = core.config.upkeep_interval.max(Duration::from_millis(1));
        expire(&core).await;
        retire(&core).await;
        reserve::keep(&core).await;
        remove_surplus(&core).await;
        let mut state = core.state.borrow_mut();
        if state.reserve.is_lacking() {
            pause = pause.min(core.config.space_retry_interval);
        }
        state.compaction_due = true;
        drop(state);
        core.signals.compactor.notify();
    }
    core.state.borrow_mut().reserve.give_up();
}

/// Waits for the next look: for `pause`, or until a segment was sealed. A lane under load so gets back a segment for each that it
/// fills, and writes into recycled ones. Returns whether the lane goes on.
async fn rest<E: Env>(core: &Core<E>, pause: Duration) -> bool {
    let sealed = || std::mem::take(&mut core.state.borrow_mut().newly_sealed).then_some(true);
    let sealed = until(&core.signals.upkeep, sealed);
    select(std::pin::pin!(core.sleep(pause)), sealed).await.factor_first().0 && !core.is_over()
}

/// Drops spans that are over their owner's age or bytes: of those owners that the schedule names, and no others are looked at.
async fn expire<E: Env>(core: &Core<E>) {
    let now = core.now();
    loop {
        for _ in 0..UPKEEP_BATCH {
            let mut state = core.state.borrow_mut();
            let Some((_, owner)) = state.schedule.first().copied().filter(|(due, _)| *due < now) else {
                return;
            };
            state.stats.expiry_looks += 1;
            expire_until(&mut state, owner, now);
        }
        give_way().await;
    }
}

/// Drops what is over of one owner.
pub(super) fn expire_owner<E: Env>(core: &Core<E>, state: &mut State<E>, id: OwnerId) {
    expire_until(state, id, core.now());
}

fn expire_until<E: Env>(state: &mut State<E>, id: OwnerId, now: Timestamp) {
    let State { owners, schedule, segments, compacted, .. } = state;
    let Some(owner) = owners.get_mut(&id) else { return };
    while owner.next_due() < now
        && let Some(span) = owner.pop_span()
    {
        if let Some(segment) = segments.get(&span.segment).or_else(|| compacted.get(&span.segment)) {
            segment.release_span(span.payload_bytes);
        }
    }
    owner.reschedule(id, schedule);
}

/// Retires sealed segments that no reader can reach.
async fn retire<E: Env>(core: &Core<E>) {
    let dead = worth_retiring(core).await;
    if dead.is_empty() || core.poisoned().is_some() || !keep_numbers(core, &dead).await {
        return;
    }
    // Where later entries tell the numbers, these may be in the page cache only.
    if core.flush_below(u64::MAX).await.is_err() {
        return;
    }
    let mut state = core.state.borrow_mut();
    for id in dead.keys() {
        let removed = state.segments.remove(id);
        if let Some(segment) = removed.or_else(|| state.compacted.remove(id)) {
            state.stats.retired_segments += 1;
            state.retired.push(segment);
        }
    }
    drop(state);
    core.signals.preparer.notify();
}

/// Dead segments by how many owners' numbers only they tell. One that would hardly free more than these numbers take elsewhere stays until
/// fewer are left: else a lane with many idle owners and small segments would write the same numbers again and again.
async fn worth_retiring<E: Env>(core: &Core<E>) -> BTreeMap<SegmentId, u64> {
    let mut dead = BTreeMap::new();
    let ids: Vec<SegmentId> = {
        let state = core.state.borrow();
        state.segments.keys().chain(state.compacted.keys()).copied().collect()
    };
    for batch in ids.chunks(UPKEEP_BATCH) {
        {
            let state = core.state.borrow();
            let found = batch.iter().filter_map(|id| state.segment(*id)).filter(|segment| is_dead(segment));
            dead.extend(
                found.filter(|segment| frees_enough(segment)).map(|found| (found.id, found.mentions.get())),
            );
        }
        give_way().await;
    }
    dead
}

pub(super) fn is_dead<F: File>(segment: &Segment<F>) -> bool {
    // The contents go last when a segment is sealed.
    segment.is_sealed() && segment.spans.get() == 0 && segment.contents.borrow().is_none()
}

fn frees_enough<F: File>(segment: &Segment<F>) -> bool {
    segment.mentions.get().saturating_mul(ROW_BYTES) <= segment.bytes() / WATERMARK_PARTS_MAX
}

/// Writes down the next numbers of owners that only these segments tell. Returns whether they are stable.
async fn keep_numbers<E: Env>(core: &Core<E>, dead: &BTreeMap<SegmentId, u64>) -> bool {
    let expected: u64 = dead.values().sum();
    let mut rows: Vec<(OwnerId, SequenceNumber)> = Vec::new();
    let mut parts = 0..OWNER_MAP_PARTS;
    // Nobody's number comes to a dead segment, so that once all are found the others need not be looked at.
    while (rows.len() as u64) < expected
        && let Some(part) = parts.next()
    {
        {
            let state = core.state.borrow();
            let told = state.owners.part(part).filter(|(_, owner)| dead.contains_key(&owner.mention));
            rows.extend(told.map(|(id, owner)| (id, owner.next)));
        }
        give_way().await;
    }
    for rows in rows.chunks(watermark_rows_max(core.config.segment_bytes)) {
        if core.state.borrow().closing {
            return false;
        }
        let payload = Bytes::from(watermarks::encode(rows));
        let (reply, answer) = oneshot::channel();
        core.enqueue(EntryKind::Watermarks, OwnerId(0), payload, 0, Ack::Durable, Reply::Future(reply));
        if !matches!(answer.await, Ok(Ok(_))) {
            return false;
        }
    }
    true
}

/// Rows of one watermarks entry, so that it fits what each segment keeps free for them.
fn watermark_rows_max(segment_bytes: u64) -> usize {
    const ENTRY_OVERHEAD_BYTES: u64 = 128;
    let room = (segment_bytes / WATERMARK_RESERVE_PARTS).saturating_sub(ENTRY_OVERHEAD_BYTES);
    let rows = room / ROW_BYTES;
    usize::try_from(rows).unwrap_or(usize::MAX).clamp(1, WATERMARK_ROWS_MAX)
}

/// Removes retired segments beyond those that will be wanted: as many as were begun since the last time.
async fn remove_surplus<E: Env>(core: &Core<E>) {
    let rolls = std::mem::take(&mut core.state.borrow_mut().rolls);
    let keep = rolls.clamp(1, core.config.recycled_segments_max.max(1));
    loop {
        let segment = {
            let mut state = core.state.borrow_mut();
            let fits = |segment: &SegmentOf<E>| segment.bytes() == core.config.segment_bytes;
            let unused = state.retired.iter().filter(|segment| is_unused(segment) && fits(segment)).count();
            let surplus = |segment: &SegmentOf<E>| is_unused(segment) && (unused > keep || !fits(segment));
            let Some(index) = state.retired.iter().position(surplus) else { return };
            state.retired.swap_remove(index)
        };
        let path = segment.path.clone();
        // The map and the descriptor go first: the file's space is then freed by the operation and not by this core.
        drop(segment);
        if let Err(error) = core.env.disk().remove(path).await {
            tracing::warn!(lane = core.config.lane.0, %error, "a retired segment stays on the disk");
        }
    }
}
