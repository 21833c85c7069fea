//! What attempts to receive got, by their names: an answer that was lost is given again to whoever makes the same attempt again.
//!
//! Part of a FIFO partition's state, so the same attempt gets the same over a restart. Bounded by number; those that are too old go when they are too many, or when somebody
//! says so. Leaves out whether what an attempt got is still in flight.

use std::collections::BTreeMap;
use std::ops::Bound;

use tidemill_wire::Timestamp;

/// How long the same attempt gets the same messages.
const ATTEMPT_MS: u64 = 300_000;
/// Attempts that are remembered; half of them go when there are so many.
const ATTEMPTS_MAX: usize = 10_000;
/// Attempts of one part of a snapshot.
const PART_MAX: usize = 500;

/// An attempt and what it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    /// Its name.
    pub(super) name: String,
    /// When it was made.
    pub(super) at: Timestamp,
    /// The messages, and which receive of each it was.
    pub(super) picked: Vec<(u64, u32)>,
}

/// The attempts of the last minutes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attempts(BTreeMap<String, Got>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Got {
    at: Timestamp,
    picked: Vec<(u64, u32)>,
}

impl Got {
    fn is_young(&self, now: Timestamp) -> bool {
        self.at.0.saturating_add(ATTEMPT_MS) > now.0
    }
}

impl Attempts {
    /// Remembers an attempt, in place of one of the same name. The older half makes room if there are as many as may be.
    pub(super) fn remember(&mut self, Attempt { name, at, picked }: Attempt) {
        if self.0.len() >= ATTEMPTS_MAX && !self.0.contains_key(&name) {
            let mut times: Vec<Timestamp> = self.0.values().map(|got| got.at).collect();
            let (_, median, _) = times.select_nth_unstable(ATTEMPTS_MAX / 2);
            self.0.retain(|_, got| got.at > *median);
        }
        self.0.insert(name, Got { at, picked });
    }

    /// What an attempt of this name got, unless that is too long ago.
    pub(super) fn got(&self, name: &str, now: Timestamp) -> Option<&[(u64, u32)]> {
        self.0.get(name).filter(|got| got.is_young(now)).map(|got| got.picked.as_slice())
    }

    /// Forgets those that time is over for.
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.0.retain(|_, got| got.is_young(now));
    }

    /// The last of their names.
    pub(super) fn last(&self) -> Option<String> {
        self.0.last_key_value().map(|(name, _)| name.clone())
    }

    /// The next of them behind a name and up to another one, as a part of a snapshot; none behind the last.
    pub(super) fn part(&self, after: Option<&str>, last: Option<&str>) -> Vec<Attempt> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.0.range::<str, _>((from, Bound::Unbounded));
        let part = behind.take_while(|(name, _)| Some(name.as_str()) <= last).take(PART_MAX);
        part.map(|(name, got)| Attempt { name: name.clone(), at: got.at, picked: got.picked.clone() })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(number: u64) -> Attempt {
        Attempt { name: format!("{number:05}"), at: Timestamp(number), picked: vec![(number, 1)] }
    }

    #[test]
    fn an_attempt_is_known_for_five_minutes_and_the_last_of_a_name_counts() {
        let mut attempts = Attempts::default();
        attempts.remember(attempt(1));
        attempts.remember(Attempt { picked: vec![(7, 2)], ..attempt(1) });
        assert_eq!(attempts.got("00001", Timestamp(300_000)), Some(&[(7, 2)][..]));
        assert_eq!(attempts.got("00001", Timestamp(300_001)), None);
        assert_eq!(attempts.got("00002", Timestamp(2)), None);
        attempts.forget(Timestamp(300_000));
        assert_eq!(attempts.part(None, attempts.last().as_deref()).len(), 1);
        attempts.forget(Timestamp(300_001));
        assert_eq!(attempts, Attempts::default());
    }

    #[test]
    fn the_older_half_makes_room_and_parts_have_all_the_others_once() {
        let mut attempts = Attempts::default();
        (0..ATTEMPTS_MAX as u64).for_each(|number| attempts.remember(attempt(number)));
        attempts.remember(attempt(0));
        assert_eq!(attempts.0.len(), ATTEMPTS_MAX, "one that is known needs no room");
        attempts.remember(attempt(ATTEMPTS_MAX as u64));
        assert_eq!(attempts.0.len(), ATTEMPTS_MAX / 2);
        let (mut read, mut after) = (Attempts::default(), None);
        for _ in 0..=ATTEMPTS_MAX / PART_MAX {
            let part = attempts.part(after.as_deref(), attempts.last().as_deref());
            assert!(part.len() <= PART_MAX);
            after = part.last().map(|last| last.name.clone()).or(after);
            part.into_iter().for_each(|attempt| read.remember(attempt));
        }
        assert_eq!(read, attempts);
    }
}
