//! Key compaction: which records a later one of their key has replaced, and what is left of entries without them.
//!
//! Works in rounds. A round looks through the sealed records of owners that are due, in steps between which everything else has its turn, and
//! puts the last record of each key into a table. Then the segments that hold what was replaced are rewritten with the table at hand,
//! where that is worth it; what is rewritten for another reason uses the table too. At the end the table goes. The policy and the argument why
//! nothing that is needed goes are in `docs/decisions/0007-key-compaction.md`.
//!
//! Invariant: a record goes only when a later one of its key is in a sealed segment, and a tombstone only when no older record of its key is in any. The
//! simulator's model checks what is left, and that something goes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tidemill_wire::{OwnerId, Timestamp};

use super::{
    super::{
        core::{Core, State},
        keyed::{Keyed, Pass},
        signal::give_way,
    },
    Setback,
    gather::Part,
};
use crate::{
    env::Env,
    limits::UPKEEP_BATCH,
    segment::{Segment, SegmentId},
};

mod scan;
mod sieve;
mod table;

use scan::{Scan, Seen};
use sieve::Sieve;
use table::KeyTable;

/// What the compactor knows about keys.
#[derive(Default)]
pub(super) struct Keys {
    round: Option<Round>,
}

/// Which records of an owner may go, besides those that were replaced. The same for the measure and for the copy.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyCut {
    /// Tombstones that were taken before this.
    tombstones_before: Option<Timestamp>,
}

/// A round.
struct Round {
    table: KeyTable,
    /// Owners of the round whose turn has not come.
    waiting: VecDeque<OwnerId>,
    /// The look at one owner.
    scan: Option<Scan>,
    /// Those who were looked at.
    seen: BTreeMap<OwnerId, Seen>,
    /// Bytes by segment and owner that could go.
    replaced: BTreeMap<(SegmentId, OwnerId), u64>,
    /// Owners of which something went.
    relieved: BTreeSet<OwnerId>,
}

impl Keys {
    /// Does a little of what is to be done. Returns whether there is more, which may be segments to be rewritten.
    pub(super) async fn advance<E: Env>(&mut self, core: &Core<E>) -> Result<bool, Setback> {
        match &mut self.round {
            Some(round) if round.is_ready() => {
                round.settle(core);
                self.round = None;
                Ok(true)
            }
            Some(round) => {
                round.look(core).await?;
                Ok(true)
            }
            None => {
                let due = due(core).await;
                if due.is_empty() {
                    return Ok(false);
                }
                core.state.borrow_mut().stats.key_rounds += 1;
                self.round = Some(Round::new(core, due));
                Ok(true)
            }
        }
    }

    /// Payload bytes of a segment that could go.
    pub(super) fn replaced_in(&self, segment: SegmentId) -> u64 {
        self.found_in(segment).map(|(_, bytes)| bytes).sum()
    }

    /// Whether what could go of a segment has been there for too long.
    pub(super) fn is_late(&self, segment: SegmentId) -> bool {
        let Some(round) = &self.round else { return false };
        self.found_in(segment).any(|(owner, _)| round.seen.get(&owner).is_some_and(|seen| seen.is_late))
    }

    fn found_in(&self, segment: SegmentId) -> impl Iterator<Item = (OwnerId, u64)> {
        // While the round still looks, more may be found: each segment is rewritten once.
        let ready = self.round.iter().filter(|round| round.is_ready());
        let all = (segment, OwnerId(0))..=(segment, OwnerId(u64::MAX));
        ready
            .flat_map(move |round| round.replaced.range(all.clone()))
            .map(|((_, owner), bytes)| (*owner, *bytes))
    }

    /// Which records of an owner may go, if any.
    pub(super) fn cut<E: Env>(&self, state: &State<E>, owner: OwnerId, now: Timestamp) -> Option<KeyCut> {
        let round = self.round.as_ref()?;
        let keyed = state.keyed.get(&owner)?;
        let seen = round.seen.get(&owner);
        if seen.is_none() && round.scan.as_ref().is_none_or(|scan| scan.owner != owner) {
            return None;
        }
        let whole = seen.is_some_and(|seen| seen.is_whole);
        let age_ms = u64::try_from(keyed.tombstone_age.as_millis()).unwrap_or(u64::MAX);
        Some(KeyCut { tombstones_before: whole.then(|| Timestamp(now.0.saturating_sub(age_ms))) })
    }

    /// What lets through what is left of a part's entries, if any of its records may go.
    pub(super) fn sieve(&self, part: &Part) -> Option<Sieve<'_>> {
        let (round, cut) = self.round.as_ref().zip(part.key_cut)?;
        Some(Sieve::new(&round.table, part.owner, cut.tombstones_before))
    }

    /// Some segments were rewritten; nothing of these owners that could go is left in them.
    pub(super) fn rewritten<F>(&mut self, victims: &[std::rc::Rc<Segment<F>>], relieved: &[OwnerId]) {
        let Some(round) = &mut self.round else { return };
        round.replaced.retain(|(segment, _), _| victims.iter().all(|victim| victim.id != *segment));
        round.relieved.extend(relieved);
    }
}

impl Round {
    fn new<E: Env>(core: &Core<E>, waiting: VecDeque<OwnerId>) -> Self {
        Self {
            table: KeyTable::new([core.env.random_u64(), core.env.random_u64()]),
            waiting,
            scan: None,
            seen: BTreeMap::new(),
            replaced: BTreeMap::new(),
            relieved: BTreeSet::new(),
        }
    }

    /// Whether all owners were looked at for which there is memory.
    fn is_ready(&self) -> bool {
        self.scan.is_none() && self.waiting.is_empty()
    }

    async fn look<E: Env>(&mut self, core: &Core<E>) -> Result<(), Setback> {
        let Some(mut scan) = self.scan.take() else {
            self.scan = self.waiting.pop_front().and_then(|owner| Scan::begin(core, owner));
            return Ok(());
        };
        let outcome = scan.step(core, &mut self.table, &mut self.replaced).await;
        match outcome {
            Ok(None) => self.scan = Some(scan),
            Ok(Some(seen)) => {
                if seen.resume.is_some() {
                    // No memory is left; who waits is due again at once.
                    self.waiting.clear();
                }
                self.seen.insert(scan.owner, seen);
            }
            Err(setback) => {
                self.seen.insert(scan.owner, scan.failed());
                return Err(setback);
            }
        }
        Ok(())
    }

    /// Notes what the round came to.
    fn settle<E: Env>(&self, core: &Core<E>) {
        let now = core.now();
        let mut state = core.state.borrow_mut();
        let left: BTreeSet<OwnerId> = self.replaced.keys().map(|(_, owner)| *owner).collect();
        for (owner, seen) in &self.seen {
            if let Some(keyed) = state.keyed.get_mut(owner) {
                settle_owner(keyed, seen, left.contains(owner), self.relieved.contains(owner), now);
            }
        }
    }
}

fn settle_owner(keyed: &mut Keyed, seen: &Seen, is_left: bool, is_relieved: bool, now: Timestamp) {
    let before = keyed.pass.take();
    let has_leftover = is_left || before.is_some_and(|pass| pass.has_leftover);
    let dues = seen.tombstone_due.into_iter().chain(before.and_then(|pass| pass.tombstone_due));
    let tombstone_due = dues.min();
    (keyed.scanned, keyed.scanned_at) = (seen.end, now);
    if let Some(resume) = seen.resume {
        let has_leftover = has_leftover || seen.has_masked_tombstone;
        keyed.pass = Some(Pass { resume, is_late: seen.is_late, has_leftover, tombstone_due });
        return;
    }
    // What hid behind the tombstone is gone now, so a second look finds it alone.
    let again = seen.has_masked_tombstone && is_relieved && !has_leftover;
    if !has_leftover || seen.is_late {
        keyed.clean_at = now;
    }
    keyed.has_leftover = has_leftover || seen.has_masked_tombstone && !again;
    keyed.tombstone_due = tombstone_due;
    if again {
        (keyed.scanned_at, keyed.tombstone_due) = (Timestamp(0), Some(now));
    }
}

/// Owners that are to be looked at, from the one that was looked at longest ago on.
async fn due<E: Env>(core: &Core<E>) -> VecDeque<OwnerId> {
    let all: Vec<OwnerId> = core.state.borrow().keyed.keys().copied().collect();
    let (now, lag) = (core.now(), core.config.key_compaction_lag);
    let mut due = Vec::new();
    for batch in all.chunks(UPKEEP_BATCH) {
        {
            let state = core.state.borrow();
            let keyed = batch.iter().filter_map(|owner| Some((owner, state.keyed.get(owner)?)));
            let found = keyed.filter(|(owner, keyed)| {
                let (total, dirty) = sealed_bytes(&state, **owner, keyed);
                total > 0 && keyed.is_due(total, dirty, now, lag)
            });
            due.extend(found.map(|(owner, keyed)| (keyed.scanned_at, *owner)));
        }
        give_way().await;
    }
    due.sort_unstable();
    due.into_iter().map(|(_, owner)| owner).collect()
}

/// Payload bytes of an owner in sealed segments, and those of them that were not looked at.
fn sealed_bytes<E: Env>(state: &State<E>, owner: OwnerId, keyed: &Keyed) -> (u64, u64) {
    let Some(owner) = state.owners.get(&owner) else { return (0, 0) };
    let (mut total, mut here, mut dirty) = (owner.payload_bytes, 0_u64, 0_u64);
    let mut is_end = false;
    for span in owner.spans.iter() {
        is_end |= !state.segment(span.segment).is_some_and(is_readable);
        if is_end {
            total = total.saturating_sub(span.payload_bytes);
            continue;
        }
        here = here.saturating_add(span.payload_bytes);
        if span.next > keyed.scanned {
            dirty = dirty.saturating_add(span.payload_bytes);
        }
    }
    if let Some(gap) = owner.spans.gap() {
        // As if its records were all of one size.
        let (first, next) = (gap.before.next, gap.after.first);
        let (records, left) = (next.since(first), next.since(keyed.scanned.clamp(first, next)));
        let share = u128::from(total.saturating_sub(here)) * u128::from(left) / u128::from(records.max(1));
        dirty = dirty.saturating_add(u64::try_from(share).unwrap_or(u64::MAX));
    }
    (total, dirty)
}

/// Whether a segment is sealed, and read by its footer.
fn is_readable<F: crate::env::File>(segment: &std::rc::Rc<Segment<F>>) -> bool {
    segment.is_sealed() && segment.contents.borrow().is_none()
}
