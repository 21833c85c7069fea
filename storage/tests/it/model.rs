//! The reference model: what a lane may and must show, from the calls and answers alone.
//!
//! Each entry's payload carries a label that only it has, so a model needs no more than the order of the calls, the answers, and what was read.

use std::collections::BTreeMap;

use tidemill_storage::{AppendError, Appended, Retention, sim::Crash};
use tidemill_wire::{OwnerId, SequenceNumber, Timestamp, message::Ack};

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
    /// When entries were taken, by base number, with the number after the last record.
    times: BTreeMap<u64, (u64, Timestamp)>,
    /// Below this nothing is shown any more in this life.
    oldest: u64,
}

/// What an answer is held against where records go by age.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ages {
    pub(crate) retention: Retention,
    /// The wall clock when it was asked for.
    pub(crate) asked: Timestamp,
    /// What a clock may show that follows the wall clock and never falls, when the answer came.
    pub(crate) latest: Timestamp,
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
            let next = appended.base_sequence.0 + u64::from(owner.sent[&label].record_count);
            owner.take_time(appended.base_sequence.0, next, appended.append_time);
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

    /// A life begins: what was hidden only, and not gone, may be seen once more.
    pub(crate) fn begin(&mut self) {
        self.owners.values_mut().for_each(|owner| owner.oldest = 0);
    }

    /// Checks when entries were taken that a fetch showed, and what it did not show any more.
    pub(crate) fn read_times(
        &mut self,
        owner: OwnerId,
        seen: &[(SequenceNumber, SequenceNumber, Timestamp)],
        oldest: SequenceNumber,
        ages: Ages,
    ) {
        let owner = self.owners.entry(owner).or_default();
        let age_ms = u64::try_from(ages.retention.age.as_millis()).unwrap_or(u64::MAX);
        for (base, next, time) in seen {
            owner.take_time(base.0, next.0, *time);
            assert!(time.0.saturating_add(age_ms) >= ages.asked.0, "{base} of {time} is over, {ages:?}");
        }
        assert!(oldest.0 >= owner.oldest, "{oldest} can be seen again, {} was the oldest", owner.oldest);
        owner.oldest = oldest.0;
        if ages.retention.bytes.is_none() {
            let over = owner.times.range(..oldest.0).next_back();
            let young = over.filter(|(_, (_, time))| time.0.saturating_add(age_ms) > ages.latest.0);
            assert!(young.is_none(), "{young:?} goes before it is over, {ages:?}");
        }
    }

    /// When some entry of an owner was taken, if one is known.
    pub(crate) fn time_at(&self, owner: OwnerId, place: u64) -> Option<Timestamp> {
        let times = &self.owners.get(&owner)?.times;
        times.values().nth(times.len() * place as usize / 100).map(|(_, time)| *time)
    }

    /// Checks the first number of a time.
    pub(crate) fn check_time(
        &self,
        owner: OwnerId,
        time: Timestamp,
        found: SequenceNumber,
        oldest: SequenceNumber,
    ) {
        let times = &self.owners[&owner].times;
        let before = times.range(oldest.0..found.0.max(oldest.0)).next_back();
        assert!(
            before.is_none_or(|(_, (_, taken))| *taken < time),
            "{before:?} was taken at {time}, not {found} first"
        );
        let after = times.range(found.0.max(oldest.0)..).next();
        assert!(
            after.is_none_or(|(_, (_, taken))| *taken >= time),
            "{after:?} was not taken at {time} or later"
        );
    }

    /// Checks what is left of an owner's entries after some place was damaged. Returns how many that were to be kept are lost.
    pub(crate) fn judge_damaged(
        &self,
        owner: OwnerId,
        (oldest, next): (u64, u64),
        seen: &[Seen],
        crash: Crash,
        mut is_told: impl FnMut(u64) -> bool,
    ) -> u64 {
        let Some(owner) = self.owners.get(&owner) else { return 0 };
        let mut present = BTreeMap::new();
        let (mut before, mut number) = (None, 0);
        for entry in seen {
            let label = owner.check_entry(entry);
            assert!(before.is_none_or(|before| before < label), "entries are in the order of their calls");
            assert!(entry.base.0 >= number, "numbers rise");
            assert!(
                owner.placed.get(&entry.base.0).is_none_or(|placed| *placed == label),
                "{} is another",
                entry.base
            );
            (before, number) = (Some(label), entry.base.0 + u64::from(entry.record_count));
            present.insert(entry.base.0, label);
        }
        assert!(number <= next, "numbers go on behind what is there");
        let mut lost = 0;
        for (label, sent) in &owner.sent {
            let Some(base) = kept(sent, crash) else { continue };
            if base < oldest || present.get(&base) == Some(label) {
                continue;
            }
            assert!(is_told(base), "{label} {sent:?} is lost, and nobody says so");
            lost += 1;
        }
        lost
    }

    /// The number after the last one that is known to be stable.
    pub(crate) fn stable_end(&self, owner: OwnerId, crash: Crash) -> u64 {
        let sent = self.owners.get(&owner).into_iter().flat_map(|owner| owner.sent.values());
        let ends = sent.filter_map(|sent| Some(kept(sent, crash)? + u64::from(sent.record_count)));
        ends.max().unwrap_or(0)
    }

    /// Checks everything an owner has after a crash, and takes it as the state to go on from.
    pub(crate) fn recover(&mut self, owner: OwnerId, oldest: u64, next: u64, seen: &[Seen], crash: Crash) {
        let owner = self.owners.entry(owner).or_default();
        owner.check_whole(oldest, next, seen);
        let present: BTreeMap<u64, u64> = seen.iter().map(|entry| (entry.base.0, label_of(entry))).collect();
        let places: BTreeMap<u64, u64> = present.iter().map(|(base, label)| (*label, *base)).collect();
        let refused = |sent: &Sent| matches!(&sent.answer, Some(Err(error)) if !matches!(error, AppendError::Poisoned { .. }));
        for (label, sent) in &owner.sent {
            let there = places.contains_key(label);
            assert!(!there || !refused(sent), "{label} {sent:?} was refused and is there");
            let Some(base) = kept(sent, crash) else { continue };
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
        owner.times.retain(|base, _| *base < next);
        owner.placed.extend(present);
    }
}

/// The number of an entry that must survive.
fn kept(sent: &Sent, crash: Crash) -> Option<u64> {
    match (&sent.answer, crash, sent.ack) {
        (Some(Ok(appended)), Crash::Process, _) | (Some(Ok(appended)), Crash::Power, Ack::Durable) => {
            Some(appended.base_sequence.0)
        }
        _ => None,
    }
}

impl OwnerModel {
    /// Takes in when an entry was taken: always the same, and not before the one before it.
    fn take_time(&mut self, base: u64, next: u64, time: Timestamp) {
        let known = self.times.insert(base, (next, time));
        assert!(known.is_none_or(|known| known == (next, time)), "{base} is of {known:?} and {time}");
        let before = self.times.range(..base).next_back().is_none_or(|(_, (_, before))| *before <= time);
        let after = self.times.range(base + 1..).next().is_none_or(|(_, (_, after))| *after >= time);
        assert!(before && after, "times never fall, {time} of {base} does");
    }

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
