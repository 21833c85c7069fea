//! What a damaged compacted segment has lost and segments that it had replaced still hold: a crash may have kept them from being retired.
//!
//! Promises entries that the damaged one does not have, each number once; whether it ever had them is for the composition to judge. Where key compaction had taken records out, they
//! may come back: fewer would be worse.

use std::collections::BTreeMap;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tidemill_wire::{OwnerId, SequenceNumber};

use super::{
    Case, RepairOptions,
    index::Index,
    places::Places,
    salvage::{Salvaged, salvage},
};
use crate::{
    env::{Access, Disk, Env},
    error::DiskError,
    inspect::LaneReport,
    segment::{SegmentId, scan::Found},
};

/// Gives the cases what segments in their places still hold.
pub(super) async fn borrow<E: Env>(
    env: &E,
    options: &RepairOptions,
    report: &LaneReport,
    places: &Places,
    cases: &mut [Case],
) -> Result<(), DiskError> {
    for case in cases.iter_mut().filter(|case| !case.salvaged.lost.is_empty()) {
        let Some(place) = case.place else { continue };
        let is_source = |id: SegmentId| {
            id != case.id && places.is_taken(id) && places.of(id).is_some_and(|inner| place.contains(&inner))
        };
        let mut wanted = Wanted::of(&case.salvaged);
        // What was written last is what the damaged one was made of.
        for segment in report.segments.iter().rev() {
            let Some(id) = segment.id.filter(|id| is_source(*id)) else { continue };
            let file = env.disk().open(segment.path.clone(), Access::Read).await?;
            let source = salvage(&file, id, options.lane).await?;
            take(&mut case.salvaged, &source, &mut wanted);
        }
    }
    Ok(())
}

/// Copies the entries that are wanted. Their bytes follow those of the damaged segment.
fn take(into: &mut Salvaged, source: &Salvaged, wanted: &mut Wanted) {
    for found in source.records() {
        if !wanted.takes(found) {
            continue;
        }
        let position = into.bytes.len() as u64;
        into.bytes.extend_from_slice(source.entry(found));
        into.borrowed.push(Found { position, header: found.header });
    }
}

/// Which entries are missing.
struct Wanted {
    /// What is left of the index.
    index: Index,
    /// The numbers of entries that are there: the first ones, each with the one after its last.
    there: HashMap<OwnerId, BTreeMap<SequenceNumber, SequenceNumber>, FixedState>,
}

impl Wanted {
    fn of(salvaged: &Salvaged) -> Self {
        let mut wanted = Self { index: salvaged.index.clone(), there: HashMap::default() };
        salvaged.records().for_each(|found| wanted.add(found));
        wanted
    }

    fn add(&mut self, found: &Found) {
        let there = self.there.entry(found.header.owner).or_default();
        there.insert(found.header.base_sequence, found.header.next_sequence());
    }

    /// Whether it is, and from now on not any more.
    fn takes(&mut self, found: &Found) -> bool {
        let (owner, first, next) =
            (found.header.owner, found.header.base_sequence, found.header.next_sequence());
        let is_told = self.index.row(owner).is_none_or(|row| {
            row.is_some_and(|row| row.has_entries() && row.first <= first && next <= row.next)
        });
        let is_there = self
            .there
            .get(&owner)
            .is_some_and(|there| there.range(..next).next_back().is_some_and(|(_, until)| *until > first));
        let takes = is_told && !is_there;
        if takes {
            self.add(found);
        }
        takes
    }
}
