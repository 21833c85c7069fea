//! The reference model: what a lane may and must show, from the calls and answers alone.
//!
//! Each entry's payload carries a label that only it has, so a model needs no more than the order of the calls, the answers, and what was read.

use std::collections::BTreeMap;

use tidemill_storage::{AppendError, Appended, sim::Crash};
use tidemill_wire::{OwnerId, message::Ack};

use crate::record::{Seen, payload};

/// An entry that was handed to the lane.
#[derive(Clone, Debug)]
struct Sent {
    bytes: usize,
    record_count: u32,
    ack: Ack,
    answer: Option<Result<Appended, AppendError>>,
}

/// One owner's entries in the order of the calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnerModel {
    /// By label: labels rise with the calls.
    sent: BTreeMap<u64, Sent>,
    /// Labels by base number: from acknowledgements, or as first read.
    placed: BTreeMap<u64, u64>,
}

/// All owners.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) owners: BTreeMap<OwnerId, OwnerModel>,
    next_label: u64,
}

impl Model {
    /// A new entry's label; its place among the owner's entries is where it stands now.
    pub(crate) fn send(&mut self, owner: OwnerId, bytes: usize, record_count: u32, ack: Ack) -> u64 {
        self.next_label += 1;
        let label = self.next_label;
        let sent = Sent { bytes, record_count, ack, answer: None };
        self.owners.entry(owner).or_default().sent.insert(label, sent);
        label
    }

    pub(crate) fn answer(&mut self, owner: OwnerId, label: u64, answer: Result<Appended, AppendError>) {
        let owner = self.owners.entry(owner).or_default();
        if let Ok(appended) = &answer {
            owner.place(appended.base_sequence.0, label);
        }
        owner.sent.get_mut(&label).expect("it was sent").answer = Some(answer);
    }

    /// Checks what a fetch showed while the lane was open.
    pub(crate) fn read(&mut self, owner: OwnerId, seen: &[Seen]) {
        let owner = self.owners.entry(owner).or_default();
        for entry in seen {
            let label = owner.check_entry(entry);
            owner.place(entry.base.0, label);
        }
    }

    /// Checks everything an owner has after a crash, and takes it as the state to go on from.
    pub(crate) fn recover(&mut self, owner: OwnerId, oldest: u64, next: u64, seen: &[Seen], crash: Crash) {
        let owner = self.owners.entry(owner).or_default();
        owner.check_whole(oldest, next, seen);
        let kept = |sent: &Sent| match (&sent.answer, crash, sent.ack) {
            (Some(Ok(appended)), Crash::Process, _) | (Some(Ok(appended)), Crash::Power, Ack::Durable) => {
                Some(appended.base_sequence.0)
            }
            _ => None,
        };
        let present: BTreeMap<u64, u64> = seen.iter().map(|entry| (entry.base.0, label_of(entry))).collect();
        let places: BTreeMap<u64, u64> = present.iter().map(|(base, label)| (*label, *base)).collect();
        let refused = |sent: &Sent| matches!(&sent.answer, Some(Err(error)) if !matches!(error, AppendError::Poisoned { .. }));
        for (label, sent) in &owner.sent {
            let there = places.contains_key(label);
            assert!(!there || !refused(sent), "{label} {sent:?} was refused and is there");
            let Some(base) = kept(sent) else { continue };
            let end = base + u64::from(sent.record_count);
            assert!(end <= next, "numbers do not go on behind {label} {sent:?}: {next}");
            if base >= oldest {
                assert_eq!(present.get(&base), Some(label), "{sent:?} is lost after {crash:?}");
            }
        }
        // What did not survive never existed: its numbers may be given out again.
        owner.sent.retain(|label, sent| match &sent.answer {
            Some(Ok(appended)) => appended.base_sequence.0 < next,
            _ => places.contains_key(label),
        });
        for (label, sent) in &mut owner.sent {
            // Whatever was recovered is stable from now on.
            sent.ack = Ack::Durable;
            if !matches!(sent.answer, Some(Ok(_))) {
                let base_sequence = places[label].into();
                sent.answer = Some(Ok(Appended { base_sequence, append_time: 0.into() }));
            }
        }
        owner.placed.retain(|base, _| *base < next);
        owner.placed.extend(present);
    }
}

impl OwnerModel {
    fn place(&mut self, base: u64, label: u64) {
        let before = self.placed.insert(base, label);
        assert!(before.is_none_or(|before| before == label), "number {base} is {before:?} and {label}");
    }

    fn check_entry(&self, entry: &Seen) -> u64 {
        let label = label_of(entry);
        let sent = self
            .sent
            .get(&label)
            .unwrap_or_else(|| panic!("entry {label} at {} was never sent or was lost before", entry.base));
        assert_eq!(entry.payload, payload(label, sent.bytes), "entry {label} is not what was sent");
        assert_eq!(entry.record_count, sent.record_count);
        label
    }

    /// Dense, in the order of the calls, once each.
    fn check_whole(&self, oldest: u64, next: u64, seen: &[Seen]) {
        let mut number = oldest;
        let mut place = None;
        for entry in seen {
            let label = self.check_entry(entry);
            assert_eq!(entry.base.0, number, "numbers are dense");
            assert!(place.is_none_or(|place| place < label), "entries are in the order of their calls");
            place = Some(label);
            number += u64::from(entry.record_count);
        }
        assert_eq!(number, next, "what is there ends where numbers go on");
    }
}

fn label_of(entry: &Seen) -> u64 {
    u64::from_le_bytes(*entry.payload.first_chunk().expect("payloads carry a label"))
}
