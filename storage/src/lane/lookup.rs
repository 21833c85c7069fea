//! The spans that owners do not keep: looked up in the owner tables of the segments between those that they do.
//!
//! Promises that a span handed out is what a checked row says, and lies between its neighbours. A search halves the segments between them, so it asks few
//! tables where the owner is in most, and all where it is in hardly any.

use tidemill_wire::{OwnerId, SequenceNumber};

use super::{
    core::{Core, SegmentOf, State},
    reader::{Target, known},
    spans::{Found, Gap, Span},
};
use crate::{
    env::{Env, File},
    error::{Damage, FetchError},
    segment::{
        Segment, SegmentId,
        footer::OwnerRow,
        load::LoadError,
        rows::{Rows, row_of},
    },
};

/// Spans that were looked up last, one for each of some owners: the next read goes on in them or right behind.
#[derive(Default)]
pub(super) struct Recent(Vec<Option<(OwnerId, Span)>>);

const RECENT_OWNERS: usize = 256;

impl Recent {
    fn place_of(owner: OwnerId) -> usize {
        usize::try_from(owner.0 % RECENT_OWNERS as u64).unwrap_or(0)
    }

    fn get(&self, owner: OwnerId) -> Option<Span> {
        let (found, span) = (*self.0.get(Self::place_of(owner))?)?;
        (found == owner).then_some(span)
    }

    fn put(&mut self, owner: OwnerId, span: Span) {
        if self.0.is_empty() {
            self.0.resize(RECENT_OWNERS, None);
        }
        if let Some(place) = self.0.get_mut(Self::place_of(owner)) {
            *place = Some((owner, span));
        }
    }
}

/// The span with the first record at or after the target, and its segment. Nothing if there is none.
pub(super) async fn find<E: Env>(
    core: &Core<E>,
    owner: OwnerId,
    target: Target,
) -> Result<Option<(Span, SegmentOf<E>)>, FetchError> {
    loop {
        let gap = {
            let state = core.state.borrow();
            let spans = &known(&state, owner)?.spans;
            let found = match target {
                Target::Sequence(sequence) => spans.at(sequence),
                Target::Time(time) => spans.at_time(time),
            };
            match found {
                None => return Ok(None),
                Some(Found::Here(span)) => return Ok(in_segment(&state, span)),
                Some(Found::Between(gap)) => gap,
            }
        };
        if let Some(found) = locate(core, owner, &gap, target).await? {
            return Ok(Some(found));
        }
    }
}

fn in_segment<E: Env>(state: &State<E>, span: Span) -> Option<(Span, SegmentOf<E>)> {
    Some((span, SegmentOf::<E>::clone(state.segment(span.segment)?)))
}

/// Where a gap is in the log: the beginnings of the segments on both sides.
pub(super) fn sides<E: Env>(state: &State<E>, gap: &Gap) -> Option<(SegmentId, SegmentId)> {
    let first = |span: &Span| Some(state.segment(span.segment)?.place().first);
    Some((first(&gap.before)?, first(&gap.after)?))
}

/// The span in a gap, or right behind it, with the first record at or after the target. Nothing if the index changed meanwhile.
async fn locate<E: Env>(
    core: &Core<E>,
    owner: OwnerId,
    gap: &Gap,
    target: Target,
) -> Result<Option<(Span, SegmentOf<E>)>, FetchError> {
    let (changes, mut low, mut high, mut probe) = {
        let state = core.state.borrow();
        let Some((low, high)) = sides(&state, gap) else { return Ok(None) };
        let recent = state.recent.get(owner).and_then(|span| in_segment(&state, span));
        let mut probe = None;
        if let (Target::Sequence(sequence), Some((span, segment))) = (target, recent) {
            if (span.first..span.next).contains(&sequence) {
                return Ok(Some((span, segment)));
            }
            if span.next == sequence {
                probe = state.places.next(segment.place().first.max(low), high);
            }
        }
        (state.places.changes, low, high, probe)
    };
    core.state.borrow_mut().stats.index_lookups += 1;
    // The wanted span is behind `low`, and in `best` if it is not before `high`.
    let mut best = None;
    loop {
        let middle = {
            let state = core.state.borrow();
            let between = state.places.between(low, high);
            probe.take().or_else(|| between.get(between.len() / 2).copied())
        };
        let Some((middle, mut id)) = middle else { break };
        let mut at = middle;
        // The next one that has a row of the owner.
        let found = loop {
            let segment = core.state.borrow().segment(id).map(SegmentOf::<E>::clone);
            if let Some(segment) = segment
                && let Some(row) = row_of(&segment, owner).await.map_err(told)?.filter(OwnerRow::has_entries)
            {
                break Some((Span::of_row(segment.id, &row), segment));
            }
            let next = core.state.borrow().places.next(at, high);
            let Some(next) = next else { break None };
            (at, id) = next;
        };
        match found {
            Some((span, _)) if is_before(&span, target) => low = at,
            Some(found) => {
                let is_it = is_at(&found.0, target);
                best = Some(found);
                if is_it {
                    break;
                }
                high = middle;
            }
            None => high = middle,
        }
    }
    let mut state = core.state.borrow_mut();
    let is_same = state.places.changes == changes
        && state.owners.get(&owner).is_some_and(|owner| owner.spans.gap().as_ref() == Some(gap));
    match (best, target) {
        (Some(found), Target::Sequence(_)) if is_at(&found.0, target) => {
            state.recent.put(owner, found.0);
            Ok(Some(found))
        }
        (_, _) if !is_same => Ok(None),
        (_, Target::Sequence(sequence)) => Err(missing(&state, owner, gap, sequence)),
        (Some(found), Target::Time(_)) => Ok(Some(found)),
        (None, Target::Time(_)) => Ok(in_segment(&state, gap.after)),
    }
}

/// The parts of a segment that lie in gaps of some owners, in rising order, each with the places on both sides: their indexes with each span.
pub(super) async fn spans_within<F: File>(
    segment: &Segment<F>,
    owners: impl Iterator<Item = (usize, OwnerId, (SegmentId, SegmentId))>,
) -> Result<Vec<(usize, Span)>, LoadError> {
    let mut found = Vec::new();
    let first = segment.place().first;
    let mut within = owners.filter(|(_, _, (low, high))| *low < first && first < *high).peekable();
    if within.peek().is_none() {
        return Ok(found);
    }
    let Some(mut rows) = Rows::open(segment).await? else { return Ok(found) };
    for (index, owner, _) in within {
        if let Some(row) = rows.find(owner).await?.filter(OwnerRow::has_entries) {
            found.push((index, Span::of_row(segment.id, &row)));
        }
    }
    Ok(found)
}

fn is_at(span: &Span, target: Target) -> bool {
    matches!(target, Target::Sequence(sequence) if (span.first..span.next).contains(&sequence))
}

fn is_before(span: &Span, target: Target) -> bool {
    match target {
        Target::Sequence(sequence) => span.next <= sequence,
        Target::Time(time) => span.last_time < time,
    }
}

pub(super) fn told(error: LoadError) -> FetchError {
    match error {
        LoadError::Damaged(damage) => FetchError::Damaged(damage),
        LoadError::Disk(error) => FetchError::Disk(error),
    }
}

/// No table knows of a record that must be there.
fn missing<E: Env>(state: &State<E>, owner: OwnerId, gap: &Gap, sequence: SequenceNumber) -> FetchError {
    let segment = state.segment(gap.before.segment);
    FetchError::Damaged(Damage {
        path: segment.map(|segment| segment.path.clone()).unwrap_or_default(),
        offset: segment
            .and_then(|segment| segment.trailer.get())
            .map_or(0, |trailer| trailer.footer_position),
        expected: format!("a segment behind this one with sequence number {sequence} of owner {owner}"),
        found: "none whose owner table tells of it".to_owned(),
    })
}
