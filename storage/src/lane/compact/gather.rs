//! Gathering: what is live in some segments, by owner.
//!
//! Promises an exact number of bytes, so that the result is made as large as it must be and no larger. The owner tables of the segments tell what
//! is in them, and the index what of that is live. Memory is bounded by the rows: points are looked at in passing.

use std::rc::Rc;

use tidemill_wire::{OwnerId, Timestamp};

use super::{
    super::{
        core::{Core, SegmentOf, State},
        lookup::told,
        reader::points_between,
        signal::give_way,
        spans::Span,
        upkeep::expire_owner,
    },
    Setback, choice,
    keys::{KeyCut, Keys},
    walk::Walk,
};
use crate::{
    env::{Env, File},
    error::Damage,
    limits::UPKEEP_BATCH,
    segment::{Segment, footer::OwnerRow, rows::Rows},
};

/// Points looked at in one step.
pub(super) const POINTS_MAX: u32 = 256;

/// What is to be copied.
pub(super) struct Plan {
    /// In rising order of owners.
    pub(super) parts: Vec<Part>,
    /// Bytes of all entries of the parts, by victim.
    pub(super) live_bytes: Vec<u64>,
    /// Bytes of all of them without the records that go for their keys.
    pub(super) left_bytes: u64,
    /// No entry was taken before this.
    pub(super) first_time: Timestamp,
}

/// One owner's live entries.
pub(super) struct Part {
    pub(super) owner: OwnerId,
    /// Its spans in the order of their numbers, each with the index of its segment.
    pub(super) spans: Vec<(usize, Span)>,
    /// Points at the beginning of the first span that are over the owner's retention and stay behind.
    pub(super) skipped: u32,
    /// Which of its records may go for their keys, if any.
    pub(super) key_cut: Option<KeyCut>,
}

impl Plan {
    pub(super) fn output_bytes(&self) -> u64 {
        choice::output_bytes(self.left_bytes, self.parts.len() as u64)
    }
}

/// What of an owner's oldest span need not be copied.
struct Surplus {
    cutoff: Timestamp,
    bytes: u64,
}

pub(super) async fn gather<E: Env>(
    core: &Core<E>,
    keys: &Keys,
    victims: &[SegmentOf<E>],
) -> Result<Plan, Setback> {
    let mut tables = Tables::open(victims).await?;
    let mut plan = Plan {
        parts: Vec::new(),
        live_bytes: vec![0; victims.len()],
        left_bytes: 0,
        first_time: Timestamp(u64::MAX),
    };
    let bytes_max: u64 = victims.iter().map(|victim| victim.entry_bytes()).sum();
    let mut looked = 0;
    while let Some((owner, spans)) = tables.next().await? {
        looked += 1;
        if looked % UPKEEP_BATCH == 0 {
            give_way().await;
        }
        let found = part_of(core, &mut core.state.borrow_mut(), owner, spans, victims);
        let Some((mut part, surplus)) = found else { continue };
        let before: u64 = plan.live_bytes.iter().sum();
        measure(&mut part, surplus, victims, &mut plan.live_bytes).await?;
        let bytes = plan.live_bytes.iter().sum::<u64>() - before;
        part.key_cut = keys.cut(&core.state.borrow(), owner, core.now());
        let times = part.spans.iter().map(|(_, span)| span.first_time);
        plan.first_time = times.fold(plan.first_time, Timestamp::min);
        plan.parts.push(part);
        if plan.live_bytes.iter().sum::<u64>() > bytes_max {
            let Some((index, _)) = plan.parts.last().and_then(|part| part.spans.last()) else { continue };
            let expected = format!("points of {bytes_max} bytes of entries at most");
            let victim = &victims[*index];
            return Err(damaged(victim, victim.written.get(), expected, "points of more".to_owned()));
        }
        if let Some(part) = plan.parts.last().filter(|part| part.key_cut.is_some()) {
            let left = measure_left(keys, part, victims).await?;
            plan.left_bytes = plan.left_bytes.saturating_add(left);
        } else {
            plan.left_bytes = plan.left_bytes.saturating_add(bytes);
        }
    }
    Ok(plan)
}

/// The owner tables of the victims, read beside each other.
struct Tables<'a, F: File> {
    /// By victim, each with its next row.
    tables: Vec<(Rows<'a, F>, Option<OwnerRow>)>,
}

impl<'a, F: File> Tables<'a, F> {
    async fn open(victims: &'a [Rc<Segment<F>>]) -> Result<Self, Setback> {
        let mut tables = Vec::with_capacity(victims.len());
        for victim in victims {
            let failed = |error| Setback::of_read(victim.id, told(error));
            let Some(mut rows) = Rows::open(victim).await.map_err(failed)? else {
                unreachable!("only sealed segments are compacted");
            };
            let first = rows.next().await.map_err(failed)?;
            tables.push((rows, first));
        }
        Ok(Self { tables })
    }

    /// The next owner of all that have entries, with its spans and the indexes of their segments.
    async fn next(&mut self) -> Result<Option<(OwnerId, Vec<(usize, Span)>)>, Setback> {
        loop {
            let heads = self.tables.iter().filter_map(|(_, row)| row.as_ref());
            let Some(owner) = heads.map(|row| row.owner).min() else { return Ok(None) };
            let mut spans = Vec::new();
            for (index, (rows, head)) in self.tables.iter_mut().enumerate() {
                let Some(row) = head.filter(|row| row.owner == owner) else { continue };
                let segment = rows.segment().id;
                if row.has_entries() {
                    spans.push((index, Span::of_row(segment, &row)));
                }
                *head = rows.next().await.map_err(|error| Setback::of_read(segment, told(error)))?;
            }
            if !spans.is_empty() {
                return Ok(Some((owner, spans)));
            }
        }
    }
}

fn damaged<F: File>(segment: &Segment<F>, offset: u64, expected: String, found: String) -> Setback {
    let damage = Damage { path: segment.path.clone(), offset, expected, found };
    Setback::Damaged { segment: segment.id, damage }
}

fn part_of<E: Env>(
    core: &Core<E>,
    state: &mut State<E>,
    id: OwnerId,
    mut spans: Vec<(usize, Span)>,
    victims: &[SegmentOf<E>],
) -> Option<(Part, Option<Surplus>)> {
    expire_owner(core, state, id);
    let owner = state.owners.get(&id)?;
    let front = owner.spans.front()?;
    // What an owner has behind its oldest span is live.
    let oldest_place = state.segment(front.segment)?.place().first;
    // But for entries that were on their way when it was forgotten: no span counts them.
    spans.retain(|(index, span)| victims[*index].place().first >= oldest_place && span.first < owner.next);
    let oldest = front.segment == spans.first()?.1.segment;
    let surplus = owner.retention.filter(|_| oldest).map(|retention| Surplus {
        cutoff: retention.cutoff(core.now()),
        bytes: owner.over_bytes(&retention),
    });
    Some((Part { owner: id, spans, skipped: 0, key_cut: None }, surplus))
}

/// Counts the bytes of an owner's entries, without what is over its retention: whole points of its oldest span, but never the last one.
async fn measure<F: File>(
    part: &mut Part,
    surplus: Option<Surplus>,
    victims: &[Rc<Segment<F>>],
    live_bytes: &mut [u64],
) -> Result<(), Setback> {
    let mut skipped_bytes = 0_u64;
    let mut surplus = surplus;
    for (index, span) in &part.spans {
        let segment = &victims[*index];
        let Some(trailer) = segment.trailer.get() else { continue };
        let end = span.first_point.saturating_add(span.point_count);
        let mut at = span.first_point;
        while at < end {
            // One more than is counted: it tells when the points before it end.
            let stop = end.min(at.saturating_add(POINTS_MAX));
            let points = points_between(segment, at..end.min(stop.saturating_add(1)))
                .await
                .map_err(|error| Setback::of_read(segment.id, error))?;
            for (number, point) in points.iter().take((stop - at) as usize).enumerate() {
                let until = points
                    .get(number + 1)
                    .map(|next| trailer.first_time.0.saturating_add(u64::from(next.time_offset)));
                let over = surplus.as_ref().zip(until).is_some_and(|(surplus, until)| {
                    until < surplus.cutoff.0 || skipped_bytes + point.bytes() <= surplus.bytes
                });
                if over {
                    skipped_bytes += point.bytes();
                    part.skipped += 1;
                } else {
                    surplus = None;
                    live_bytes[*index] = live_bytes[*index].saturating_add(point.bytes());
                }
            }
            at = stop;
            if end - span.first_point > POINTS_MAX {
                give_way().await;
            }
        }
        surplus = None;
    }
    Ok(())
}

/// Counts the bytes of an owner's entries without the records that go for their keys.
async fn measure_left<F: File>(keys: &Keys, part: &Part, victims: &[Rc<Segment<F>>]) -> Result<u64, Setback> {
    let (mut bytes, mut entries, mut left) = (0_u64, Vec::new(), Vec::new());
    let Some(mut sieve) = keys.sieve(part) else { return Ok(0) };
    let mut walk = Walk::new(part, victims);
    while walk.next_point(&mut entries).await?.is_some() {
        for entry in entries.drain(..) {
            sieve.push(entry, &mut left).await;
        }
        bytes = left.drain(..).fold(bytes, |bytes, (header, _)| bytes.saturating_add(header.stride() as u64));
        give_way().await;
    }
    sieve.finish(&mut left);
    Ok(left.iter().fold(bytes, |bytes, (header, _)| bytes.saturating_add(header.stride() as u64)))
}
