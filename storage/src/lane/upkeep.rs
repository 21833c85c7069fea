//! Upkeep: retention by age and by bytes, and the end of segments that hold nothing any more.
//!
//! Invariant: a segment goes only after the next sequence number of every owner is stable elsewhere; `retire` writes the watermarks first, and the
//! simulator checks that numbers go on.

use std::{rc::Rc, time::Duration};

use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::future::select;
use tidemill_wire::{OwnerId, SequenceNumber, entry::EntryKind, message::Ack};

use super::{
    core::{Core, SegmentOf, State},
    preparer::{is_unused, staggered},
    reply::Reply,
    signal::{give_way, until},
};
use crate::{
    env::{Disk, Env, File},
    limits::{UPKEEP_BATCH, WATERMARK_RESERVE_PARTS, WATERMARK_ROWS_MAX},
    segment::{Segment, SegmentId, footer::OWNER_ROW_BYTES, watermarks},
};

pub(super) async fn run<E: Env>(core: Rc<Core<E>>) {
    let mut pause = staggered(&core.env, core.config.upkeep_interval);
    while rest(&core, pause).await {
        pause = core.config.upkeep_interval.max(Duration::from_millis(1));
        expire(&core).await;
        retire(&core).await;
        remove_surplus(&core).await;
        core.state.borrow_mut().compaction_due = true;
        core.signals.compactor.notify();
    }
}

/// Waits for the next look: for `pause`, or until a segment was sealed. A lane under load so gets back a segment for each that it
/// fills, and writes into recycled ones. Returns whether the lane goes on.
async fn rest<E: Env>(core: &Core<E>, pause: Duration) -> bool {
    let sealed = || std::mem::take(&mut core.state.borrow_mut().newly_sealed).then_some(true);
    let sealed = until(&core.signals.upkeep, sealed);
    select(std::pin::pin!(core.sleep(pause)), sealed).await.factor_first().0 && !core.is_over()
}

/// Drops spans that are over their owner's age or bytes.
pub(super) async fn expire<E: Env>(core: &Core<E>) {
    let owners: Vec<OwnerId> = core.state.borrow().owners.keys().copied().collect();
    for batch in owners.chunks(UPKEEP_BATCH) {
        {
            let mut state = core.state.borrow_mut();
            for owner in batch {
                expire_owner(core, &mut state, *owner);
            }
        }
        give_way().await;
    }
}

pub(super) fn expire_owner<E: Env>(core: &Core<E>, state: &mut State<E>, id: OwnerId) {
    let State { owners, segments, compacted, .. } = state;
    let Some(owner) = owners.get_mut(&id) else { return };
    let Some(retention) = owner.retention else { return };
    let cutoff = retention.cutoff(core.env.now());
    while let Some(span) = owner.spans.front() {
        // Spans of segments without a footer stay: what is too old in them is hidden entry by entry.
        let segment = segments.get(&span.segment).or_else(|| compacted.get(&span.segment));
        let Some(segment) = segment.filter(|segment| segment.is_sealed()) else { break };
        let over_age = span.last_time < cutoff;
        let rest = owner.payload_bytes.saturating_sub(span.payload_bytes);
        let over_bytes = owner.spans.len() > 1 && retention.bytes.is_some_and(|bytes| rest >= bytes);
        if !over_age && !over_bytes {
            break;
        }
        segment.release_span(span.payload_bytes);
        owner.pop_span();
    }
}

/// Retires sealed segments that no reader can reach.
async fn retire<E: Env>(core: &Core<E>) {
    let dead: Vec<SegmentId> = {
        let state = core.state.borrow();
        state.all_segments().filter(|segment| is_dead(segment)).map(|segment| segment.id).collect()
    };
    if dead.is_empty() || core.poisoned().is_some() || !keep_numbers(core, &dead).await {
        return;
    }
    let mut state = core.state.borrow_mut();
    for id in dead {
        let removed = state.segments.remove(&id);
        if let Some(segment) = removed.or_else(|| state.compacted.remove(&id)) {
            state.stats.retired_segments += 1;
            state.retired.push(segment);
        }
    }
    drop(state);
    core.signals.preparer.notify();
}

pub(super) fn is_dead<F: File>(segment: &Segment<F>) -> bool {
    // The contents go last when a segment is sealed.
    segment.is_sealed() && segment.spans.get() == 0 && segment.contents.borrow().is_none()
}

/// Writes down the next numbers of owners that only these segments tell. Returns whether they are stable.
async fn keep_numbers<E: Env>(core: &Core<E>, dead: &[SegmentId]) -> bool {
    let owners: Vec<OwnerId> = core.state.borrow().owners.keys().copied().collect();
    let rows_max = watermark_rows_max(core.config.segment_bytes);
    let mut rows: Vec<(OwnerId, SequenceNumber)> = Vec::new();
    for batch in owners.chunks(UPKEEP_BATCH) {
        {
            let state = core.state.borrow();
            let lost = batch.iter().filter_map(|id| state.owners.get(id).map(|owner| (*id, owner)));
            let lost = lost.filter(|(_, owner)| owner.next.0 > 0 && dead.contains(&owner.mention));
            rows.extend(lost.map(|(id, owner)| (id, owner.next)));
        }
        give_way().await;
    }
    rows.sort_unstable();
    for rows in rows.chunks(rows_max) {
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
    let rows = room / (watermarks::WATERMARK_BYTES as u64 + OWNER_ROW_BYTES);
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
