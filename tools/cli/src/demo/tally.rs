//! What went in and what came out, small enough to compare: for each key the number of its lines and a hash over them in
//! their order.
//!
//! A line that is lost, repeated, changed or out of its key's order changes the hash. Lines without a key
//! promise no order, so theirs is a hash over the set. Memory is per key, not per line.

#[cfg(test)]
mod tests;

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// The lines of each key.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// By hash of the key: two of a million keys meet with a chance of one in ten million.
    keys: HashMap<u64, Lines, FixedState>,
    lines: u64,
    bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lines {
    count: u64,
    hash: u64,
}

/// How two tallies differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Keys with too few lines, or too many.
    pub(crate) miscounted: usize,
    /// Keys with the right number of lines that are not the right ones in the right order.
    pub(crate) misordered: usize,
}

impl Tally {
    /// Adds the next line of a key.
    pub(crate) fn add(&mut self, key: &[u8], line: &[u8]) {
        let hasher = FixedState::with_seed(1);
        let hash = hasher.hash_one(line);
        let lines = self.keys.entry(hasher.hash_one(key)).or_default();
        lines.count += 1;
        lines.hash = if key.is_empty() {
            lines.hash.wrapping_add(hash)
        } else {
            // An odd factor loses nothing, and the multiplication makes the order count.
            (lines.hash ^ hash).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
        };
        self.lines += 1;
        self.bytes += line.len() as u64;
    }

    /// Lines of all keys.
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    /// Bytes of all lines.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of keys.
    pub(crate) fn keys(&self) -> usize {
        self.keys.len()
    }

    /// How another tally differs from this one, if it does.
    pub(crate) fn difference(&self, other: &Self) -> Option<Difference> {
        let none = Lines::default();
        let mut difference = Difference { miscounted: 0, misordered: 0 };
        for (key, own) in &self.keys {
            let theirs = other.keys.get(key).unwrap_or(&none);
            difference.miscounted += usize::from(own.count != theirs.count);
            difference.misordered += usize::from(own.count == theirs.count && own.hash != theirs.hash);
        }
        difference.miscounted += other.keys.keys().filter(|key| !self.keys.contains_key(*key)).count();
        (difference.miscounted + difference.misordered > 0).then_some(difference)
    }
}
