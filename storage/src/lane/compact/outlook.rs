//! The outlook: what owners' retentions say of segments, so that what goes by itself soon is not rewritten.
//!
//! Promises steps that do not grow with the number of owners or segments. What it says is of the moment at which each owner was asked.

use std::collections::BTreeMap;

use tidemill_wire::{OwnerId, Timestamp};

use super::super::{
    core::{Core, State},
    lookup::sides,
    owner::{NEVER, Owner},
};
use crate::{
    env::Env,
    failpoint::{Work, between},
    limits::UPKEEP_BATCH,
    owner_map::OWNER_MAP_PARTS,
    segment::SegmentId,
};

/// What retention says of segments.
#[derive(Default)]
pub(super) struct Outlook {
    /// Payload bytes that are over their owners' retention, though the spans that they are in are not.
    pub(super) overdue: BTreeMap<SegmentId, u64>,
    /// When the last of their spans is expected to be over.
    pub(super) over_at: BTreeMap<SegmentId, Timestamp>,
    /// Of spans that are not in the index it is only known between which places they are.
    lifetimes: BTreeMap<Lifetime, (SegmentId, SegmentId)>,
}

/// Asks all owners' retentions what they say of the segments.
pub(super) async fn outlook<E: Env>(core: &Core<E>) -> Outlook {
    let now = core.now();
    let mut outlook = Outlook::default();
    for part in 0..OWNER_MAP_PARTS {
        let owners: Vec<OwnerId> = core.state.borrow().owners.part(part).map(|(id, _)| id).collect();
        for batch in owners.chunks(UPKEEP_BATCH) {
            {
                let state = core.state.borrow();
                let known = batch.iter().filter_map(|id| state.owners.get(id));
                known.filter(|owner| !owner.is_forgotten).for_each(|owner| outlook.ask(&state, owner, now));
            }
            between(Work::Outlook).await;
        }
    }
    outlook.spread(core).await;
    outlook
}

impl Outlook {
    fn ask<E: Env>(&mut self, state: &State<E>, owner: &Owner, now: Timestamp) {
        if let Some(span) = owner.spans.front() {
            *self.overdue.entry(span.segment).or_default() += owner.overdue(now);
        }
        let gap = owner.spans.gap();
        for (segment, over_at) in owner.expected_ends(now) {
            let latest = self.over_at.entry(segment).or_default();
            *latest = over_at.max(*latest);
            if let Some(gap) = gap.filter(|gap| gap.after.segment == segment)
                && let Some((low, high)) = sides(state, &gap)
            {
                let lifetime = Lifetime::from(gap.after.last_time, over_at);
                let (from, to) = self.lifetimes.entry(lifetime).or_insert((low, high));
                (*from, *to) = (low.min(*from), high.max(*to));
            }
        }
    }

    /// Enters what is expected of spans that are not in the index, at all places where they may be.
    async fn spread<E: Env>(&mut self, core: &Core<E>) {
        let sealed: Vec<(SegmentId, SegmentId, Timestamp)> = {
            let state = core.state.borrow();
            let last_time = |id| Some(state.segment(id)?.trailer.get()?.last_time);
            let places = state.places.between(0, SegmentId::MAX).iter();
            places.filter_map(|(first, id)| Some((*first, *id, last_time(*id)?))).collect()
        };
        let mut steps = 0;
        for (lifetime, (low, high)) in std::mem::take(&mut self.lifetimes) {
            let start = sealed.partition_point(|(first, ..)| *first <= low);
            for (_, id, last_time) in sealed.iter().skip(start).take_while(|(first, ..)| *first < high) {
                let latest = self.over_at.entry(*id).or_default();
                *latest = lifetime.after(*last_time).max(*latest);
                steps += 1;
                if steps % UPKEEP_BATCH == 0 {
                    between(Work::Outlook).await;
                }
            }
        }
    }
}

/// How long records are kept, in steps of a sixteenth to an eighth of it: the many that hardly differ are taken for the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Lifetime(u64);

impl Lifetime {
    fn from(taken: Timestamp, over: Timestamp) -> Self {
        if over == NEVER {
            return Self(u64::MAX);
        }
        let lifetime = over.0.saturating_sub(taken.0);
        let step = (lifetime / 16).max(1).next_power_of_two();
        Self(lifetime.checked_next_multiple_of(step).unwrap_or(u64::MAX))
    }

    fn after(self, taken: Timestamp) -> Timestamp {
        Timestamp(taken.0.saturating_add(self.0))
    }
}

#[cfg(test)]
mod tests;
