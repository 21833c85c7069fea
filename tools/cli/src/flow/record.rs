//! What a record of a run holds: which one it is, and bytes that follow from that.
//!
//! Promises that a changed, shortened or misplaced record is noticed, at the cost of one pass over it.

use super::plan::StreamPlan;

const HEAD_BYTES: usize = 24;
/// Odd, so that every step of the fill differs.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Which record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) stream: u32,
    pub(super) shard: u32,
    /// Counts the records of the shard as they are sent.
    pub(super) index: u64,
}

impl Identity {
    /// Bytes of the record: half to three halves of `bytes_mean`, by its index.
    fn length(&self, bytes_mean: u64) -> usize {
        let spread = mix(self.index ^ u64::from(self.shard)) % bytes_mean.max(1);
        usize::try_from(bytes_mean / 2 + spread).unwrap_or(usize::MAX).max(HEAD_BYTES)
    }

    /// Writes the record.
    pub(super) fn fill(&self, bytes_mean: u64, into: &mut Vec<u8>) {
        into.clear();
        let length = self.length(bytes_mean);
        into.extend_from_slice(&self.stream.to_le_bytes());
        into.extend_from_slice(&self.shard.to_le_bytes());
        into.extend_from_slice(&self.index.to_le_bytes());
        into.extend_from_slice(&(length as u64).to_le_bytes());
        let mut word = self.seed();
        while into.len() < length {
            into.extend_from_slice(&word.to_le_bytes());
            word = word.wrapping_add(STEP);
        }
        into.truncate(length);
    }

    /// Reads whose record this is, if all of it is as it was written.
    pub(super) fn of(data: &[u8], bytes_mean: u64) -> Option<Self> {
        let (head, fill) = data.split_at_checked(HEAD_BYTES)?;
        let number = |range: std::ops::Range<usize>| head.get(range)?.try_into().ok().map(u64::from_le_bytes);
        let first = number(0..8)?;
        let found = Self { stream: first as u32, shard: (first >> 32) as u32, index: number(8..16)? };
        if number(16..24)? != data.len() as u64 || data.len() != found.length(bytes_mean) {
            return None;
        }
        let mut word = found.seed();
        let is_whole = fill.chunks(8).all(|chunk| {
            let expected = word.to_le_bytes();
            word = word.wrapping_add(STEP);
            expected.get(..chunk.len()) == Some(chunk)
        });
        is_whole.then_some(found)
    }

    fn seed(&self) -> u64 {
        mix(self.index ^ u64::from(self.shard) << 40 ^ u64::from(self.stream) << 56)
    }
}

/// Spreads a number over all bits.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

/// The key of a shard's records: they are sent to a shard, so it only has to be there.
pub(super) fn key_of(stream: &StreamPlan, shard: u32) -> String {
    format!("{}-{shard}", stream.name)
}

#[cfg(test)]
mod tests;
