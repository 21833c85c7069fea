//! Upkeep: retention by age and by bytes, and the end of segments that hold nothing any more.
//!
//! Invariant: a segment goes only after the next sequence number of every owner is stable elsewhere; `retire` writes the watermarks first, and the
//! simulator checks that numbers go on.

use std::{
    collections::{BTreeMap, BTreeSet},
    hint::black_box,
    ops::Bound,
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::future::select;
use tidemill_wire::{OwnerId, SequenceNumber, Timestamp, entry::EntryKind, message::Ack};

use super::{
    checkpoint,
    core::{Core, SegmentOf, State},
    lookup::{sides, spans_within, told},
    owner::Owner,
    preparer::{is_unused, staggered},
    reply::Reply,
    reserve,
    signal::{give_way, until},
    spans::Span,
};
use crate::{
    env::{Disk, Env, File},
    failpoint::{Work, between},
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
        checkpoint::keep(&core).await;
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
    release_forgotten(core).await;
    let now = core.now();
    let mut waiting = BTreeSet::new();
    let mut looked: Option<(Timestamp, OwnerId)> = None;
    let mut is_more = true;
    while is_more {
        {
            let _index = core.index.lock().await;
            let mut state = core.state.borrow_mut();
            let behind = (looked.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
            let due = state.schedule.range(behind).take_while(|(due, _)| *due < now);
            let batch: Vec<(Timestamp, OwnerId)> = due.take(UPKEEP_BATCH).copied().collect();
            is_more = batch.len() == UPKEEP_BATCH;
            looked = batch.last().copied().or(looked);
            state.stats.expiry_looks += batch.len() as u64;
            warm(&state, &batch);
            for (_, owner) in batch {
                if let Some(front) = expire_until(&mut state, owner, now) {
                    waiting.insert((front, owner));
                }
            }
        }
        give_way().await;
    }
    while let Some((front, _)) = waiting.first().copied() {
        // Some at a time: whoever comes next in the same segment goes on in its table where these have ended.
        let is_there = |(place, _): &&(SegmentId, OwnerId)| *place == front;
        let mut owners = Vec::new();
        while owners.len() < UPKEEP_BATCH
            && let Some((_, owner)) = waiting.first().filter(is_there).copied()
        {
            waiting.pop_first();
            owners.push(owner);
        }
        // Whoever goes on waits in a segment behind. Others who wait for the index have their turn between.
        waiting.extend(pass_gaps(core, front, owners, now).await);
        between(Work::Retention).await;
    }
}

/// Looks up some owners and what they have, so that the processor waits for the memory of many of them at a time.
fn warm<E: Env>(state: &State<E>, batch: &[(Timestamp, OwnerId)]) {
    let known = || batch.iter().filter_map(|(_, owner)| state.owners.get(owner));
    black_box(known().map(Owner::touch).fold(0, u64::wrapping_add));
    black_box(known().map(|owner| owner.spans.touch()).fold(0, u64::wrapping_add));
}

/// Drops what is over of one owner, as far as that can be told without its segments.
pub(super) fn expire_owner<E: Env>(core: &Core<E>, state: &mut State<E>, id: OwnerId) {
    // Who counts spans in steps does so without those that go in between.
    if let Some(_index) = core.index.try_lock() {
        expire_until(state, id, core.now());
    } else if let Some(owner) = state.owners.get_mut(&id) {
        owner.reschedule(id, &mut state.schedule);
    }
}

/// Drops what is over of one owner. What comes next may have to be looked up: then the place of the segment is returned behind which it is.
fn expire_until<E: Env>(state: &mut State<E>, id: OwnerId, now: Timestamp) -> Option<SegmentId> {
    let State { owners, schedule, segments, compacted, .. } = state;
    let segment = |id| segments.get(&id).or_else(|| compacted.get(&id));
    let owner = owners.get_mut(&id)?;
    let mut front = None;
    while owner.next_due() < now {
        let Some(span) = owner.pop_span() else {
            front = owner.spans.front().and_then(|span| segment(span.segment));
            break;
        };
        if let Some(segment) = segment(span.segment) {
            segment.release_span(span.payload_bytes);
        }
    }
    owner.reschedule(id, schedule);
    front.map(|segment| segment.place().first)
}

/// Drops the spans that owners have in the segment at a place, and for which the next ones have to be looked up. The owners come in rising order, `UPKEEP_BATCH` at most; those who
/// have more to drop so are returned, with the places where.
async fn pass_gaps<E: Env>(
    core: &Core<E>,
    front: SegmentId,
    mut owners: Vec<OwnerId>,
    now: Timestamp,
) -> Vec<(SegmentId, OwnerId)> {
    let _index = core.index.lock().await;
    let (mut place, mut again) = (front, Vec::new());
    while !owners.is_empty() {
        let segment = {
            let state = core.state.borrow();
            let next = state.places.next(place, SegmentId::MAX);
            next.and_then(|(first, id)| Some((first, Rc::clone(state.segment(id)?))))
        };
        let Some((first, segment)) = segment else { break };
        place = first;
        let wanted: Vec<(usize, OwnerId, (SegmentId, SegmentId))> = {
            let state = core.state.borrow();
            let gap = |id: &OwnerId| sides(&state, &state.owners.get(id)?.spans.gap()?);
            let with_gaps = owners.iter().filter_map(|id| Some((*id, gap(id)?)));
            // Those whose gap ends here have nothing in it, which no sound segments say.
            let open = with_gaps.filter(|(_, (low, high))| *low == front && first < *high);
            open.enumerate().map(|(index, (id, sides))| (index, id, sides)).collect()
        };
        let within = spans_within(&segment, wanted.iter().copied()).await;
        if let Some(error) = within.error.map(told) {
            tracing::error!(lane = core.config.lane.0, %error, "what is over its retention stays: where the next records are cannot be read");
        }
        let mut left: Vec<OwnerId> = Vec::new();
        let mut found = within.found.into_iter().peekable();
        {
            let mut state = core.state.borrow_mut();
            for (index, id, _) in &wanted {
                match found.next_if(|(found, _)| found == index) {
                    None => left.push(*id),
                    Some((_, span)) => {
                        let more = pass_gap(&mut state, *id, &span, now);
                        again.extend(more.map(|place| (place, *id)));
                    }
                }
            }
        }
        give_way().await;
        owners = left;
    }
    again
}

/// Drops an owner's oldest span, with the next one at hand, and what is over behind it.
fn pass_gap<E: Env>(
    state: &mut State<E>,
    id: OwnerId,
    successor: &Span,
    now: Timestamp,
) -> Option<SegmentId> {
    let owner = state.owners.get_mut(&id)?;
    let gap = owner.spans.gap()?;
    if gap.before.next != successor.first || owner.next_due() >= now {
        return None;
    }
    let span = owner.pop_span_for(successor)?;
    state.stats.expiry_lookups += 1;
    release(state, &span);
    expire_until(state, id, now)
}

/// Takes forgotten owners out of the index, but for those of whom damage hides what they have.
pub(super) async fn release_forgotten<E: Env>(core: &Core<E>) {
    let mut left = core.state.borrow().forgotten.len();
    while left > 0 {
        {
            let _index = core.index.lock().await;
            let batch: Vec<(OwnerId, Option<(SegmentId, SegmentId)>)> = {
                let mut state = core.state.borrow_mut();
                let count = left.min(UPKEEP_BATCH).min(state.forgotten.len());
                left = if count == 0 { 0 } else { left.saturating_sub(count) };
                let some: Vec<OwnerId> = state.forgotten.drain(..count).collect();
                let sides_of = |id: &OwnerId| sides(&state, &state.owners.get(id)?.spans.gap()?);
                let mut batch: Vec<_> = some.iter().map(|id| (*id, sides_of(id))).collect();
                batch.sort_unstable_by_key(|(id, _)| *id);
                batch
            };
            let (spans, failed) = spans_in_gaps(core, &batch).await;
            let mut state = core.state.borrow_mut();
            let is_told = |index: &usize| failed.binary_search(index).is_err();
            spans.iter().filter(|(index, _)| is_told(index)).for_each(|(_, span)| release(&state, span));
            for (index, (id, _)) in batch.iter().enumerate() {
                if !is_told(&index) {
                    state.forgotten.push(*id);
                } else if let Some(owner) = state.owners.remove(id) {
                    owner.spans.iter().for_each(|span| release(&state, &span));
                }
            }
        }
        give_way().await;
    }
}

/// The spans in the gaps of some owners, who come in rising order, by their indexes, and the indexes of those of whom it cannot be told.
async fn spans_in_gaps<E: Env>(
    core: &Core<E>,
    owners: &[(OwnerId, Option<(SegmentId, SegmentId)>)],
) -> (Vec<(usize, Span)>, Vec<usize>) {
    let wanted = || {
        let gaps = owners.iter().enumerate();
        gaps.filter_map(|(index, (owner, sides))| Some((index, *owner, (*sides)?)))
    };
    let (mut spans, mut failed) = (Vec::new(), Vec::new());
    let (Some(low), Some(high)) =
        (wanted().map(|(_, _, (low, _))| low).min(), wanted().map(|(_, _, (_, high))| high).max())
    else {
        return (spans, failed);
    };
    let mut place = low;
    loop {
        let segment = {
            let state = core.state.borrow();
            let next = state.places.next(place, high);
            next.and_then(|(first, id)| Some((first, Rc::clone(state.segment(id)?))))
        };
        let Some((first, segment)) = segment else { break };
        place = first;
        let within = spans_within(&segment, wanted()).await;
        if let Some(error) = within.error.map(told) {
            tracing::error!(lane = core.config.lane.0, %error, "what a dropped owner has cannot be read, and stays");
        }
        spans.extend(within.found);
        failed.extend(within.failed);
    }
    failed.sort_unstable();
    (spans, failed)
}

fn release<E: Env>(state: &State<E>, span: &Span) {
    if let Some(segment) = state.segment(span.segment) {
        segment.release_span(span.payload_bytes);
    }
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
    checkpoint::release(core, dead.keys().copied()).await;
    let mut state = core.state.borrow_mut();
    for id in dead.keys() {
        let removed = state.segments.remove(id);
        if let Some(segment) = removed.or_else(|| state.compacted.remove(id)) {
            state.places.remove(segment.place(), *id);
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
    let has_unmentioned = core.state.borrow().has_unmentioned;
    let mut rows: Vec<(OwnerId, SequenceNumber)> = Vec::new();
    let mut parts = 0..OWNER_MAP_PARTS;
    // Nobody's number comes to a dead segment, so that once all are found the others need not be looked at.
    while (has_unmentioned || (rows.len() as u64) < expected)
        && let Some(part) = parts.next()
    {
        {
            let state = core.state.borrow();
            let told = state.owners.part(part).filter(|(_, owner)| {
                let is_unmentioned = owner.mention == 0 && owner.next > SequenceNumber(0);
                dead.contains_key(&owner.mention) || is_unmentioned && !owner.is_forgotten
            });
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
    if has_unmentioned {
        core.state.borrow_mut().has_unmentioned = false;
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
