//! What is left of an owner table: the rows that can be trusted, and of whom it cannot be told whether they had one.
//!
//! Promises that what it says of an owner is what the whole table said. A table of rows with checksums tells each row that is sound, and because rows are in rising order, which owners the broken ones can be of.

use std::collections::{BTreeMap, BTreeSet};

use tidemill_wire::OwnerId;

use crate::segment::footer::OwnerRow;

/// A table, or what is left of it.
#[derive(Clone)]
pub(super) struct Index {
    rows: BTreeMap<OwnerId, OwnerRow>,
    holes: Vec<Hole>,
}

/// Broken rows between sound ones.
#[derive(Clone)]
struct Hole {
    /// The owners before and behind, who are outside; none at an end of the table.
    after: Option<OwnerId>,
    before: Option<OwnerId>,
    /// How many rows; `None` for any number of them.
    rows: Option<usize>,
}

impl Hole {
    fn contains(&self, owner: OwnerId) -> bool {
        self.after.is_none_or(|after| after < owner) && self.before.is_none_or(|before| owner < before)
    }
}

impl Index {
    /// Nothing is left.
    pub(super) fn nothing() -> Self {
        let everybody = Hole { after: None, before: None, rows: None };
        Self { rows: BTreeMap::new(), holes: vec![everybody] }
    }

    pub(super) fn whole(rows: Vec<OwnerRow>) -> Self {
        Self { rows: rows.into_iter().map(|row| (row.owner, row)).collect(), holes: Vec::new() }
    }

    /// A table with some rows broken.
    pub(super) fn of_rows(rows: impl Iterator<Item = Option<OwnerRow>>) -> Self {
        let mut index = Self { rows: BTreeMap::new(), holes: Vec::new() };
        let (mut broken, mut last) = (0, None);
        for row in rows {
            let Some(row) = row else {
                broken += 1;
                continue;
            };
            if last.is_some_and(|last| last >= row.owner) {
                return Self::nothing();
            }
            if broken > 0 {
                index.holes.push(Hole { after: last, before: Some(row.owner), rows: Some(broken) });
            }
            (broken, last) = (0, Some(row.owner));
            index.rows.insert(row.owner, row);
        }
        if broken > 0 {
            index.holes.push(Hole { after: last, before: None, rows: Some(broken) });
        }
        index
    }

    /// Takes in a row that something else tells.
    pub(super) fn add(&mut self, row: OwnerRow) {
        if self.row(row.owner).is_some() {
            return;
        }
        if let Some(hole) = self.holes.iter_mut().find(|hole| hole.contains(row.owner)) {
            hole.rows = hole.rows.map(|rows| rows.saturating_sub(1));
        }
        self.rows.insert(row.owner, row);
        self.holes.retain(|hole| hole.rows != Some(0));
    }

    /// Takes in which owners the segment mentions without a row here: where they are as many as the broken rows, these are theirs and nobody else's.
    pub(super) fn settle(&mut self, mentioned: &BTreeSet<OwnerId>) {
        let others: Vec<OwnerId> =
            mentioned.iter().filter(|owner| !self.rows.contains_key(owner)).copied().collect();
        let mut settled = Vec::new();
        for hole in std::mem::take(&mut self.holes) {
            let within = || others.iter().filter(|owner| hole.contains(**owner));
            if hole.rows != Some(within().count()) {
                settled.push(hole);
                continue;
            }
            settled.extend(within().map(|owner| Hole::of(*owner)));
        }
        self.holes = settled;
    }

    /// The row of an owner: `Some(None)` if it had none, `None` if that cannot be told.
    pub(super) fn row(&self, owner: OwnerId) -> Option<Option<OwnerRow>> {
        if let Some(row) = self.rows.get(&owner) {
            return Some(Some(*row));
        }
        (!self.holes.iter().any(|hole| hole.contains(owner))).then_some(None)
    }

    /// The rows that are left, in rising order of owners.
    pub(super) fn rows(&self) -> impl Iterator<Item = &OwnerRow> {
        self.rows.values()
    }

    /// Whether it tells of all owners.
    pub(super) fn is_whole(&self) -> bool {
        self.holes.is_empty()
    }

    /// Whether it tells of nobody.
    pub(super) fn is_nothing(&self) -> bool {
        self.rows.is_empty() && !self.is_whole()
    }
}

impl Hole {
    /// The row of one owner.
    fn of(owner: OwnerId) -> Self {
        let after = owner.0.checked_sub(1).map(OwnerId);
        Self { after, before: owner.0.checked_add(1).map(OwnerId), rows: Some(1) }
    }
}

#[cfg(test)]
mod tests;
