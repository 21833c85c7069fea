//! The spans that owners do not keep: looked up in the owner tables of the segments between those that they do.
//!
//! Promises that a span handed out is what a checked row says, and lies between its neighbours. A search halves the segments between them, and asks no table of a segment
//! whose filter says that the owner has nothing in it.

use tidemill_wire::{OwnerId, SequenceNumber};

use super::{
    core::{Core, SegmentOf, State},
    reader::{Target, known},
    signal::give_way,
    spans::{Found, Gap, Span},
};
use crate::{
    env::{Env, File},
    error::{Damage, FetchError},
    limits::UPKEEP_BATCH,
    segment::{
        Segment, SegmentId,
        footer::OwnerRow,
        load::LoadError,
        rows::{Rows, note_miss, row_of},
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
        let Some((mut low, high)) = sides(&state, gap) else {
            return Err(missing(&state, owner, gap, gap.before.next));
        };
        if let Some((first, id)) = state.places.at(low)
            && id != gap.before.segment
        {
            // Compaction has put another one in its place, and has not led the owner to it yet.
            low = first.saturating_sub(1);
        }
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
        let Some(middle) = middle else { break };
        match first_from(core, owner, middle, high).await? {
            Some((at, span, _)) if is_before(&span, target) => low = at,
            Some((_, span, segment)) => {
                best = Some((span, segment));
                if is_at(&span, target) {
                    break;
                }
                high = middle.0;
            }
            None => high = middle.0,
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

/// The owner's first span in a segment or those behind it, with the segment and its place; none from the place `high` on.
async fn first_from<E: Env>(
    core: &Core<E>,
    owner: OwnerId,
    (mut place, mut id): (SegmentId, SegmentId),
    high: SegmentId,
) -> Result<Option<(SegmentId, Span, SegmentOf<E>)>, FetchError> {
    let mut passed = 0;
    loop {
        let segment = core.state.borrow().segment(id).map(SegmentOf::<E>::clone);
        if let Some(segment) = segment.filter(|segment| segment.may_have(owner)) {
            core.state.borrow_mut().stats.index_tables += 1;
            let row = row_of(&segment, owner).await.map_err(told)?;
            if let Some(row) = row.filter(OwnerRow::has_entries) {
                return Ok(Some((place, Span::of_row(segment.id, &row), segment)));
            }
            note_miss(&segment).await;
        }
        passed += 1;
        if passed % UPKEEP_BATCH == 0 {
            give_way().await;
        }
        let next = core.state.borrow().places.next(place, high);
        let Some(next) = next else { return Ok(None) };
        (place, id) = next;
    }
}

/// What a segment has of some owners.
#[derive(Default)]
pub(super) struct Within {
    /// The owners' indexes with each span.
    pub(super) found: Vec<(usize, Span)>,
    /// Those of whom it cannot be told.
    pub(super) failed: Vec<usize>,
    /// Why it could not be told of the last of these.
    pub(super) error: Option<LoadError>,
}

/// The parts of a segment that lie in gaps of some owners, in rising order, each with the places on both sides.
pub(super) async fn spans_within<F: File>(
    segment: &Segment<F>,
    owners: impl Iterator<Item = (usize, OwnerId, (SegmentId, SegmentId))>,
) -> Within {
    let mut told = Within::default();
    let first = segment.place().first;
    let within = owners.filter(|(_, _, (low, high))| *low < first && first < *high);
    let mut within = within.filter(|(_, owner, _)| segment.may_have(*owner)).peekable();
    if within.peek().is_none() {
        return told;
    }
    let mut rows = match Rows::open(segment).await {
        Ok(Some(rows)) => rows,
        Ok(None) => return told,
        Err(error) => {
            told.failed.extend(within.map(|(index, _, _)| index));
            told.error = Some(error);
            return told;
        }
    };
    for (looked, (index, owner, _)) in within.enumerate() {
        match rows.find(owner).await {
            Ok(row) => {
                let span = row.filter(OwnerRow::has_entries).map(|row| Span::of_row(segment.id, &row));
                told.found.extend(span.map(|span| (index, span)));
            }
            Err(error) => {
                told.failed.push(index);
                told.error = Some(error);
            }
        }
        if looked % UPKEEP_BATCH == UPKEEP_BATCH - 1 {
            give_way().await;
        }
    }
    told
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
