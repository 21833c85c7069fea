//! Which owners have entries in a sealed segment: a filter that is asked before its owner table.
//!
//! Promises to say no only of owners who have none, and memory that is bounded for each segment: 16 KiB at most, 4 bytes for each owner. Says yes of one in a hundred others at most.
//! A segment with more owners than that has none: whoever is looked for is in most of such segments.

use tidemill_wire::OwnerId;

use super::{Segment, footer::OwnerRow};
use crate::{
    env::File,
    lane::give_way,
    limits::{FILTER_BITS_MAX, FILTER_BITS_PER_OWNER, FILTER_OWNERS_MAX, UPKEEP_BATCH},
};

/// Bits that are looked at for an owner.
const PROBES: u64 = 6;

/// A Bloom filter.
#[derive(Debug)]
pub(crate) struct OwnerFilter {
    /// A power of two of them.
    words: Vec<u64>,
}

impl OwnerFilter {
    /// A filter for so many owners, if these are not too many for one.
    pub(crate) fn for_owners(count: usize) -> Option<Self> {
        let bits = count.checked_mul(FILTER_BITS_PER_OWNER)?.next_power_of_two();
        let bits = bits.clamp(u64::BITS as usize, FILTER_BITS_MAX);
        (count <= FILTER_OWNERS_MAX).then(|| Self { words: vec![0; bits / u64::BITS as usize] })
    }

    /// The filter for the rows of a whole table.
    pub(crate) async fn of(rows: &[OwnerRow]) -> Option<Self> {
        let mut filter = Self::for_owners(rows.len())?;
        for some in rows.chunks(UPKEEP_BATCH) {
            some.iter().for_each(|row| filter.insert(row));
            give_way().await;
        }
        Some(filter)
    }

    /// Takes in the owner of a row, if it has entries.
    pub(crate) fn insert(&mut self, row: &OwnerRow) {
        if !row.has_entries() {
            return;
        }
        for (word, bit) in self.places(row.owner) {
            if let Some(word) = self.words.get_mut(word) {
                *word |= bit;
            }
        }
    }

    fn may_contain(&self, owner: OwnerId) -> bool {
        self.places(owner).all(|(word, bit)| self.words.get(word).is_none_or(|word| word & bit != 0))
    }

    fn places(&self, owner: OwnerId) -> impl Iterator<Item = (usize, u64)> + use<> {
        let mask = self.words.len() as u64 * u64::from(u64::BITS) - 1;
        let first = mix(owner.0);
        let step = mix(first) | 1;
        (0..PROBES).map(move |probe| {
            let bit = first.wrapping_add(step.wrapping_mul(probe)) & mask;
            ((bit / u64::from(u64::BITS)) as usize, 1 << (bit % u64::from(u64::BITS)))
        })
    }
}

/// Spreads numbers that are near each other: the finalizer of SplitMix64.
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl<F: File> Segment<F> {
    /// Whether an owner may have entries in it; always, if nothing tells.
    pub(crate) fn may_have(&self, owner: OwnerId) -> bool {
        self.filter.borrow().as_ref().is_none_or(|filter| filter.may_contain(owner))
    }
}

#[cfg(test)]
mod tests;
