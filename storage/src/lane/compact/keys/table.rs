//! The table of keys: where the last record of each key stands, for the keys of some stretch of some owners.
//!
//! Owns the fingerprints that stand for keys. Promises bounded memory. Leaves out which records are put in.
//!
//! Invariant: two keys with one fingerprint would cost the older one its record. A fingerprint has 128 bits of MD5 over a secret that is drawn
//! for each table, the owner and the key: who does not know the secret cannot make two keys meet, and by chance 2^30 keys meet with a
//! probability of 2^-69.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tidemill_wire::{OwnerId, SequenceNumber, limits::KEY_BYTES_MAX, routing::HashKey};

/// What stands for an owner's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint([u64; 2]);

/// The last record of a key that was put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Last {
    pub(super) sequence: SequenceNumber,
    /// What it takes in the log, about.
    pub(super) bytes: u32,
    /// No older record of the key was met.
    pub(super) is_alone: bool,
}

/// Bytes that a bucket of the map takes: fingerprint, last record, and a byte of control.
const BUCKET_BYTES: u64 = (size_of::<Fingerprint>() + size_of::<Last>()) as u64 + 1;

/// Keys and their last records.
pub(super) struct KeyTable {
    secret: [u8; SECRET_BYTES],
    keys: HashMap<Fingerprint, Last, FixedState>,
}

const SECRET_BYTES: usize = 16;
const OWNER_BYTES: usize = 8;

impl KeyTable {
    pub(super) fn new(secret: [u64; 2]) -> Self {
        let mut bytes = [0; SECRET_BYTES];
        bytes[..8].copy_from_slice(&secret[0].to_le_bytes());
        bytes[8..].copy_from_slice(&secret[1].to_le_bytes());
        Self { secret: bytes, keys: HashMap::default() }
    }

    /// Keys that fit so many bytes: a map doubles when seven eighths of its buckets are taken, and holds the old ones meanwhile.
    pub(super) fn keys_max(bytes: u64) -> usize {
        let buckets = (bytes * 2 / 3 / BUCKET_BYTES).max(8);
        usize::try_from((1 << buckets.ilog2()) * 7 / 8).unwrap_or(usize::MAX)
    }

    pub(super) fn fingerprint(&self, owner: OwnerId, key: &[u8]) -> Fingerprint {
        let mut bytes = [0; SECRET_BYTES + OWNER_BYTES + KEY_BYTES_MAX];
        let key_start = SECRET_BYTES + OWNER_BYTES;
        bytes[..SECRET_BYTES].copy_from_slice(&self.secret);
        bytes[SECRET_BYTES..key_start].copy_from_slice(&owner.0.to_le_bytes());
        let end = key_start + key.len();
        bytes[key_start..end].copy_from_slice(key);
        let hash = HashKey::of(&bytes[..end]).0;
        Fingerprint([hash as u64, (hash >> 64) as u64])
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn get(&self, key: &Fingerprint) -> Option<&Last> {
        self.keys.get(key)
    }

    /// Puts in a record that is later than all of its key's before. Returns the one that it replaces.
    pub(super) fn put(&mut self, key: Fingerprint, sequence: SequenceNumber, bytes: u32) -> Option<Last> {
        let is_alone = !self.keys.contains_key(&key);
        self.keys.insert(key, Last { sequence, bytes, is_alone })
    }

    /// Takes note of a record before the stretch. Returns whether a later one of its key is in the table.
    pub(super) fn meet(&mut self, key: &Fingerprint, sequence: SequenceNumber) -> bool {
        match self.keys.get_mut(key) {
            Some(last) if last.sequence > sequence => {
                last.is_alone = false;
                true
            }
            Some(_) | None => false,
        }
    }
}

#[cfg(test)]
mod tests;
