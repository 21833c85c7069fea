//! A map by owner that never makes its core wait.
//!
//! A hash table of a hundred thousand entries that grows, is walked or is dropped keeps a core busy for milliseconds. Here the entries are dealt out to
//! parts, and whoever has to look at all of them takes one part after the other and lets others run between. The order is that of the parts:
//! no order of owners, but the same in every run.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tidemill_wire::OwnerId;

/// Parts of a map: with a hundred thousand owners each has some eight hundred.
pub(crate) const OWNER_MAP_PARTS: usize = 128;

pub(crate) type Part<V> = HashMap<OwnerId, V, FixedState>;

/// Values by owner.
#[derive(Debug)]
pub(crate) struct OwnerMap<V> {
    /// Empty until the first entry comes.
    parts: Vec<Part<V>>,
    count: usize,
    /// Entries for which a part has room from its first one on.
    expected: usize,
}

impl<V> Default for OwnerMap<V> {
    fn default() -> Self {
        Self { parts: Vec::new(), count: 0, expected: 0 }
    }
}

impl<V> OwnerMap<V> {
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Says how many entries will come in all, so that parts need not grow bit by bit. A part without entries takes no memory all the same.
    pub(crate) fn expect(&mut self, entries: usize) {
        let even = entries / OWNER_MAP_PARTS;
        // Some have more than others.
        self.expected = even + even / 8;
    }

    pub(crate) fn get(&self, owner: &OwnerId) -> Option<&V> {
        self.parts.get(part_of(*owner))?.get(owner)
    }

    pub(crate) fn get_mut(&mut self, owner: &OwnerId) -> Option<&mut V> {
        self.parts.get_mut(part_of(*owner))?.get_mut(owner)
    }

    /// The owner's value, made if there is none.
    pub(crate) fn get_or_insert_with(&mut self, owner: OwnerId, make: impl FnOnce() -> V) -> &mut V {
        if self.parts.is_empty() {
            self.parts.resize_with(OWNER_MAP_PARTS, Part::default);
        }
        let count = &mut self.count;
        let part = &mut self.parts[part_of(owner)];
        if part.is_empty() {
            part.reserve(self.expected);
        }
        part.entry(owner).or_insert_with(|| {
            *count += 1;
            make()
        })
    }

    pub(crate) fn remove(&mut self, owner: &OwnerId) -> Option<V> {
        let removed = self.parts.get_mut(part_of(*owner))?.remove(owner)?;
        self.count -= 1;
        Some(removed)
    }

    /// The entries of one part, of those below `OWNER_MAP_PARTS`.
    pub(crate) fn part(&self, part: usize) -> impl Iterator<Item = (OwnerId, &V)> {
        self.parts.get(part).into_iter().flatten().map(|(owner, value)| (*owner, value))
    }

    /// All entries at once, for where nobody waits.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (OwnerId, &V)> {
        self.parts.iter().flatten().map(|(owner, value)| (*owner, value))
    }

    /// The same, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (OwnerId, &mut V)> {
        self.parts.iter_mut().flatten().map(|(owner, value)| (*owner, value))
    }

    /// Takes a part out, for as long as there are any: so a map is dropped bit by bit.
    pub(crate) fn take_part(&mut self) -> Option<Part<V>> {
        let part = self.parts.pop()?;
        self.count -= part.len();
        Some(part)
    }
}

/// Neighbouring numbers come into different parts.
fn part_of(owner: OwnerId) -> usize {
    const PARTS_BITS: u32 = OWNER_MAP_PARTS.trailing_zeros();
    const _: () = assert!(OWNER_MAP_PARTS.is_power_of_two() && PARTS_BITS > 0);
    // The golden ratio's fraction spreads dense numbers evenly over the top bits.
    let spread = owner.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - PARTS_BITS);
    usize::try_from(spread).expect("a part's number has few bits")
}

#[cfg(test)]
mod tests;
