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
    label: u64,
    bytes: usize,
    record_count: u32,
    ack: Ack,
    answer: Option<Result<Appended, AppendError>>,
}

/// One owner's entries in the order of the calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnerModel {
    sent: Vec<Sent>,
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
        let sent = Sent { label, bytes, record_count, ack, answer: None };
        self.owners.entry(owner).or_default().sent.push(sent);
        label
    }

    pub(crate) fn answer(&mut self, owner: OwnerId, label: u64, answer: Result<Appended, AppendError>) {
        let owner = self.owners.entry(owner).or_default();
        if let Ok(appended) = &answer {
            owner.place(appended.base_sequence.0, label);
        }
        let sent = owner.sent.iter_mut().find(|sent| sent.label == label).expect("it was sent");
        sent.answer = Some(answer);
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
        for sent in &owner.sent {
            let Some(base) = kept(sent) else { continue };
            assert!(
                base + u64::from(sent.record_count) <= next,
                "numbers do not go on behind {sent:?}: {next}"
            );
            if base >= oldest {
                assert_eq!(present.get(&base), Some(&sent.label), "{sent:?} is lost after {crash:?}");
            }
        }
        let refused = |sent: &Sent| matches!(&sent.answer, Some(Err(error)) if !matches!(error, AppendError::Poisoned { .. }));
        let refused = owner.sent.iter().filter(|sent| refused(sent));
        for sent in refused {
            assert!(!present.values().any(|label| *label == sent.label), "{sent:?} was refused and is there");
        }
        // What did not survive never existed: its numbers may be given out again.
        let there = |sent: &Sent| match &sent.answer {
            Some(Ok(appended)) => appended.base_sequence.0 < next,
            _ => present.values().any(|label| *label == sent.label),
        };
        owner.sent.retain(there);
        for sent in &mut owner.sent {
            // Whatever was recovered is stable from now on.
            sent.ack = Ack::Durable;
            if !matches!(sent.answer, Some(Ok(_))) {
                let base = present.iter().find(|(_, label)| **label == sent.label).expect("just found").0;
                let base_sequence = (*base).into();
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
        let sent = self.sent.iter().find(|sent| sent.label == label);
        let sent = sent
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
