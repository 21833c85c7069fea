//! Entries that tell what they are: owner, number and size can be read back from the payload.

use bytes::Bytes;
use tidemill_storage::{Env, Fetched, Lane};
use tidemill_wire::{
    OwnerId, SequenceNumber, Timestamp,
    entry::{EntryKind, EntryRun},
};

/// A payload of `bytes` bytes that only this `label` has.
pub(crate) fn payload(label: u64, bytes: usize) -> Bytes {
    let mut state = label.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut payload = Vec::with_capacity(bytes + 8);
    payload.extend_from_slice(&label.to_le_bytes());
    while payload.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        payload.extend_from_slice(&state.to_le_bytes());
    }
    payload.truncate(bytes.max(8));
    payload.into()
}

/// An entry as a reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) base: SequenceNumber,
    pub(crate) record_count: u32,
    pub(crate) payload: Bytes,
}

/// The entries of an answer. Panics where one is broken or belongs to another owner.
pub(crate) fn seen(owner: OwnerId, fetched: &Fetched) -> Vec<Seen> {
    let mut entries = Vec::new();
    for run in &fetched.entries {
        for entry in EntryRun::new(run.clone()) {
            let (header, payload) = entry.expect("a fetch returns whole, valid entries");
            assert_eq!((header.owner, header.kind), (owner, EntryKind::Batch));
            entries.push(Seen { base: header.base_sequence, record_count: header.record_count, payload });
        }
    }
    entries
}

/// The entries of an answer: first number, the number after the last one, and when it was taken.
pub(crate) fn times(fetched: &Fetched) -> Vec<(SequenceNumber, SequenceNumber, Timestamp)> {
    let headers = fetched.entries.iter().flat_map(|run| EntryRun::new(run.clone()));
    let headers = headers.map(|entry| entry.expect("a fetch returns whole, valid entries").0);
    headers.map(|header| (header.base_sequence, header.next_sequence(), header.append_time)).collect()
}

/// Everything an owner has, in fetches of `bytes_max`.
pub(crate) async fn read_all<E: Env>(lane: &Lane<E>, owner: OwnerId, bytes_max: usize) -> Vec<Seen> {
    let bounds = lane.bounds(owner).expect("a known owner");
    let mut from = bounds.oldest;
    let mut entries = Vec::new();
    loop {
        let fetched = lane.fetch(owner, from, bytes_max).await.expect("fetched");
        if fetched.entries.is_empty() {
            assert_eq!(fetched.next, fetched.end);
            return entries;
        }
        assert!(fetched.next > from);
        if fetched.from > from {
            // Retention took what was to come next, and so what was read before it as well.
            entries.clear();
        }
        entries.extend(seen(owner, &fetched));
        from = fetched.next;
    }
}
