//! The change of the index: owners' spans lead to the output, and no longer to what it was made of.
//!
//! Promises that each owner's records are reachable at every moment, in one place. Owners change one after the other, with turns for others between them:
//! a reader knows one owner at a time.

use std::rc::Rc;

use super::{
    super::{
        core::{Core, FileOf, SegmentOf, State},
        spans::Span,
    },
    gather::Part,
};
use crate::{
    env::Env,
    failpoint::{Work, between},
    limits::UPKEEP_BATCH,
    segment::{Segment, footer::OwnerRow},
};

pub(super) async fn install<E: Env>(
    core: &Core<E>,
    victims: &[SegmentOf<E>],
    output: Segment<FileOf<E>>,
    (parts, rows): (&[Part], &[OwnerRow]),
) {
    let _index = core.index.lock().await;
    let output = Rc::new(output);
    output.payload_bytes.set(rows.iter().map(|row| row.payload_bytes).sum());
    // Held until all owners are led to it, so that upkeep does not take it for dead before.
    output.hold_span(0);
    {
        let mut state = core.state.borrow_mut();
        state.compacted.insert(output.id, Rc::clone(&output));
        state.places.insert(output.place(), output.id);
    }
    // Each part has a row, in the same order, and there are rows of none: those that tell numbers only.
    let mut rows = rows.iter().filter(|row| row.has_entries());
    for batch in parts.chunks(UPKEEP_BATCH) {
        {
            let mut state = core.state.borrow_mut();
            for (part, row) in batch.iter().zip(rows.by_ref()) {
                assert_eq!(part.owner, row.owner, "the output has what was gathered");
                lead(&mut state, victims, &output, part, row);
            }
        }
        between(Work::Install).await;
    }
    output.release_span(0);
    let dead = victims.iter().all(|victim| victim.spans.get() == 0);
    assert!(dead, "everything live in a compacted segment was copied");
}

/// Replaces an owner's spans. Those that retention took meanwhile stay away: their records are hidden in the output.
fn lead<E: Env>(
    state: &mut State<E>,
    victims: &[SegmentOf<E>],
    output: &SegmentOf<E>,
    part: &Part,
    row: &OwnerRow,
) {
    // An owner that was forgotten meanwhile has no reader, and its entries are garbage from the start.
    let State { owners, schedule, segments, compacted, .. } = state;
    let Some(owner) = owners.get_mut(&row.owner) else { return };
    let Some(front) = owner.spans.front() else { return };
    let Some(oldest) = segments.get(&front.segment).or_else(|| compacted.get(&front.segment)) else { return };
    let oldest_place = oldest.place().first;
    let replaced = part.spans.iter().filter(|(index, _)| victims[*index].place().first >= oldest_place);
    let Some((_, first)) = replaced.clone().next() else { return };
    let is_oldest = first.segment == front.segment;
    let last = replaced.clone().next_back().map(|(_, span)| span.next);
    assert!(
        last == Some(row.next) && (is_oldest || first.first == row.first),
        "an owner's numbers have no gap"
    );
    if is_oldest {
        owner.trimmed = owner.trimmed.max(first.first);
    }
    let is_victim = |id| victims.iter().any(|victim| victim.id == id);
    owner.spans.replace(is_victim, &Span::of_row(output.id, row));
    replaced.for_each(|(index, span)| {
        owner.payload_bytes = owner.payload_bytes.saturating_sub(span.payload_bytes);
        victims[*index].release_span(span.payload_bytes);
    });
    owner.payload_bytes = owner.payload_bytes.saturating_add(row.payload_bytes);
    output.hold_span(row.payload_bytes);
    if owner.next == row.next
        && let Some(mention) = victims.iter().find(|victim| victim.id == owner.mention)
    {
        owner.mention_in(output, Some(mention));
    }
    owner.reschedule(row.owner, schedule);
}
