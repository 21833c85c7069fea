//! The sieve: what is left of an owner's entries when the records are taken out that a later one of their key has replaced.
//!
//! Promises the same numbers in all: an entry of which records are gone still takes them, and one of which nothing is left gives them to the
//! entry before, where that can take them. What is left keeps its number, its key, its times and its compression.

use bytes::Bytes;
use tidemill_wire::{
    OwnerId, SequenceNumber, Timestamp,
    batch::BatchView,
    entry::{ENTRY_HEADER_BYTES, EntryHeader, EntryKind},
    numbered::{NumberedBatch, encode_sparse},
};

use super::{
    super::walk::Entry,
    table::{Fingerprint, KeyTable},
};
use crate::{lane::signal::give_way, limits::KEYS_AT_ONCE};

/// Passes an owner's entries on, in order.
pub(in super::super) struct Sieve<'a> {
    table: &'a KeyTable,
    owner: OwnerId,
    /// Tombstones that were taken before this go as well, if they are the only record of their key.
    tombstones_before: Option<Timestamp>,
    /// A sparse entry that may still take numbers.
    pending: Option<Entry>,
    pub(in super::super) dropped_records: u64,
}

impl<'a> Sieve<'a> {
    pub(super) fn new(table: &'a KeyTable, owner: OwnerId, tombstones_before: Option<Timestamp>) -> Self {
        Self { table, owner, tombstones_before, pending: None, dropped_records: 0 }
    }

    /// Takes in an entry. What is ready to be written is put behind `out`.
    pub(in super::super) async fn push(&mut self, entry: Entry, out: &mut Vec<Entry>) {
        let (header, payload) = &entry;
        // What is encrypted or no batch has no keys that could be compared.
        let batch = if header.key_id == 0 { NumberedBatch::parse(header, payload.clone()) } else { Ok(None) };
        let Ok(Some(batch)) = batch else { return self.pass(entry, out) };
        let left = self.left_of(header, &batch).await;
        if left.len() == batch.count() as usize {
            return self.pass(entry, out);
        }
        let dropped = u64::from(batch.count()) - left.len() as u64;
        if left.is_empty() {
            self.dropped_records += dropped;
            return self.cover(header, out);
        }
        let Some(Ok(Some(selected))) = batch.batch().map(|batch| batch.select(&left)) else {
            // Data that does not inflate stays as it is: its readers are told, and nobody else can mend it.
            return self.pass(entry, out);
        };
        self.dropped_records += dropped;
        let offset = |index: &u32| batch.sequence(*index).since(header.base_sequence) as u32;
        let offsets: Vec<u32> = left.iter().map(offset).collect();
        self.pass(sparse(header, encode_sparse(&offsets, &selected)), out);
    }

    /// Passes on what is pending.
    pub(in super::super) fn finish(&mut self, out: &mut Vec<Entry>) {
        out.extend(self.pending.take());
    }

    /// Indexes of the records that stay.
    async fn left_of(&self, header: &EntryHeader, batch: &NumberedBatch) -> Vec<u32> {
        let mut left = Vec::new();
        let Some(view) = batch.batch() else { return left };
        for index in 0..batch.count() {
            if !self.is_over(header, view, index, batch.sequence(index)) {
                left.push(index);
            }
            if index % KEYS_AT_ONCE == KEYS_AT_ONCE - 1 {
                give_way().await;
            }
        }
        left
    }

    /// Whether a record is replaced, or is a tombstone whose time is over.
    fn is_over(&self, header: &EntryHeader, view: &BatchView, index: u32, sequence: SequenceNumber) -> bool {
        let Some(key) = key_of(self.table, self.owner, view, index) else { return false };
        let Some(last) = self.table.get(&key) else { return false };
        let is_old = || self.tombstones_before.is_some_and(|before| header.append_time < before);
        let is_replaced = last.sequence > sequence;
        is_replaced || last.sequence == sequence && last.is_alone && view.data_bytes(index) == 0 && is_old()
    }

    fn pass(&mut self, entry: Entry, out: &mut Vec<Entry>) {
        out.extend(self.pending.take());
        if entry.0.kind == EntryKind::Sparse {
            self.pending = Some(entry);
        } else {
            out.push(entry);
        }
    }

    /// Takes an entry's numbers without a record.
    fn cover(&mut self, header: &EntryHeader, out: &mut Vec<Entry>) {
        if let Some((pending, _)) = &mut self.pending
            && let Some(record_count) = pending.record_count.checked_add(header.record_count)
        {
            assert_eq!(pending.next_sequence(), header.base_sequence, "a part's numbers are dense");
            pending.record_count = record_count;
            return;
        }
        self.pass(sparse(header, encode_sparse(&[], &[])), out);
    }
}

/// A sparse entry in the place of another one.
fn sparse(header: &EntryHeader, payload: Bytes) -> Entry {
    let length = u32::try_from(ENTRY_HEADER_BYTES + payload.len());
    let length = length.expect("a batch and the offsets of its records are far below the largest entry");
    (EntryHeader { kind: EntryKind::Sparse, length, ..*header }, payload)
}

/// What stands for a record's key. Records without one replace nothing and are not replaced.
pub(super) fn key_of(table: &KeyTable, owner: OwnerId, view: &BatchView, index: u32) -> Option<Fingerprint> {
    let key = view.key(index);
    (!key.is_empty()).then(|| table.fingerprint(owner, key))
}

#[cfg(test)]
mod tests;
