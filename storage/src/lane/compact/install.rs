//! The change of the index: owners' spans lead to the output, and no longer to what it was made of.
//!
//! Promises that each owner's records are reachable at every moment, in one place. Owners change one after the other, with turns for others between them:
//! a reader knows one owner at a time.

use std::rc::Rc;

use super::super::{
    core::{Core, FileOf, SegmentOf, State},
    signal::give_way,
    spans::Span,
};
use crate::{
    env::Env,
    limits::UPKEEP_BATCH,
    segment::{Segment, footer::OwnerRow},
};

pub(super) async fn install<E: Env>(
    core: &Core<E>,
    victims: &[SegmentOf<E>],
    output: Segment<FileOf<E>>,
    rows: &[OwnerRow],
) {
    let output = Rc::new(output);
    output.payload_bytes.set(rows.iter().map(|row| row.payload_bytes).sum());
    // Held until all owners are led to it, so that upkeep does not take it for dead before.
    output.hold_span(0);
    core.state.borrow_mut().compacted.insert(output.id, Rc::clone(&output));
    for batch in rows.chunks(UPKEEP_BATCH) {
        {
            let mut state = core.state.borrow_mut();
            for row in batch.iter().filter(|row| row.point_count > 0) {
                lead(&mut state, victims, &output, row);
            }
        }
        give_way().await;
    }
    output.release_span(0);
    let dead = victims.iter().all(|victim| victim.spans.get() == 0);
    assert!(dead, "everything live in a compacted segment was copied");
}

/// Replaces an owner's spans. Those that retention took meanwhile stay away: their records are hidden in the output.
fn lead<E: Env>(state: &mut State<E>, victims: &[SegmentOf<E>], output: &SegmentOf<E>, row: &OwnerRow) {
    // An owner that was forgotten meanwhile has no reader, and its entries are garbage from the start.
    let State { owners, schedule, .. } = state;
    let Some(owner) = owners.get_mut(&row.owner) else { return };
    let victim = |span: &Span| victims.iter().find(|victim| victim.id == span.segment);
    let Some(start) = owner.spans.iter().position(|span| victim(&span).is_some()) else { return };
    let count = owner.spans.iter().skip(start).take_while(|span| victim(span).is_some()).count();
    let replaced = owner.spans.replace(start..start + count, &Span::of_row(output.id, row));
    let (Some(first), Some(last)) = (replaced.first(), replaced.last()) else { return };
    assert!(
        last.next == row.next && (start == 0 || first.first == row.first),
        "an owner's numbers have no gap"
    );
    for span in &replaced {
        owner.payload_bytes = owner.payload_bytes.saturating_sub(span.payload_bytes);
        if let Some(victim) = victim(span) {
            victim.release_span(span.payload_bytes);
        }
    }
    if start == 0 {
        owner.trimmed = owner.trimmed.max(first.first);
    }
    owner.payload_bytes = owner.payload_bytes.saturating_add(row.payload_bytes);
    output.hold_span(row.payload_bytes);
    if owner.next == row.next
        && let Some(mention) = victims.iter().find(|victim| victim.id == owner.mention)
    {
        owner.mention_in(output, Some(mention));
    }
    owner.reschedule(row.owner, schedule);
}
