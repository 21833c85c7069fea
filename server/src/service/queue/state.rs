//! What a partition decides: which messages a receive gets, and what every event does. Pure: time, requests and what the log has come in, events go out.
//!
//! Only messages that were looked at and are not deleted are kept in mind, so what waits behind the cursor takes no memory, however much it is. Invariant: events,
//! applied in their order to an empty state, give the state that made them (`tests::replay_gives_the_same_state`), but for what time alone does.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tidemill_wire::Timestamp;

pub(super) use super::ask::{Ask, Head, Pick, Standing, Taken};
use super::attempts::{Attempt, Attempts};
use super::format::{FormatError, decode_event};
use super::groups::{Group, RUNS_MAX, Run};
use super::journal::{Entry, Event, Phase};
use super::log::Written;
use super::recorder::Replayed;
use super::snapshot::Pending;

/// Messages ready and in flight that are kept in mind at most: a receive looks no further then.
pub(super) const WINDOW_MAX: u64 = 120_000;
/// Delayed messages that are kept in mind beside those, at most.
pub(super) const DELAYED_MAX: u64 = 1_000_000;
/// Messages that one receive has moved elsewhere at most.
pub(super) const MOVING_MAX: usize = 10;
/// Messages that one look at the time brings back at most; the next brings back the next.
const ADVANCE_MAX: usize = 10_000;
/// Messages of one part of a snapshot: a core makes it in a fraction of a millisecond.
pub(super) const KEPT_MAX: usize = 2_000;
/// How long a message may be hidden since it was received.
pub(super) const HIDDEN_MAX_MS: u64 = 43_200_000;

/// A partition's messages.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) is_fifo: bool,
    pub(super) cursor: u64,
    pub(super) messages: BTreeMap<u64, Entry>,
    pub(super) groups: HashMap<u64, Group, FixedState>,
    /// Groups that have something to be received, by how much of theirs is in flight, and then by age.
    pub(super) heads: BTreeSet<(u64, u64, u64)>,
    pub(super) timers: BTreeSet<(Timestamp, u64)>,
    pub(super) in_flight: u64,
    pub(super) delayed: u64,
    pub(super) ready: u64,
    /// Messages of groups that were passed over and wait, by the first of each run. Of a FIFO queue there are none: there those are kept in mind by themselves.
    pub(super) runs: BTreeMap<u64, Run>,
    /// How many they are.
    pub(super) waiting: u64,
    /// Heads of groups of which nothing is in flight.
    pub(super) idle: usize,
    /// Those that are ready and were received before, by how often.
    pub(super) back: BTreeSet<(u32, u64)>,
    /// What attempts with names got.
    pub(super) attempts: Attempts,
    /// The snapshot that is being read.
    pub(super) pending: Option<Pending>,
    /// It is what a snapshot says, and what came after it.
    pub(super) is_of_snapshot: bool,
    /// What is gone for ever and much.
    gone: Vec<State>,
}

impl State {
    /// A partition without messages.
    pub(super) fn new(is_fifo: bool) -> Self {
        Self {
            is_fifo,
            cursor: 0,
            messages: BTreeMap::new(),
            groups: HashMap::with_hasher(FixedState::default()),
            heads: BTreeSet::new(),
            timers: BTreeSet::new(),
            in_flight: 0,
            delayed: 0,
            ready: 0,
            runs: BTreeMap::new(),
            waiting: 0,
            idle: 0,
            back: BTreeSet::new(),
            attempts: Attempts::default(),
            pending: None,
            is_of_snapshot: false,
            gone: Vec::new(),
        }
    }

    /// Every message below this was looked at.
    pub(super) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Every message below a number was looked at, and what is to be kept in mind of them is.
    pub(super) fn pass_to(&mut self, cursor: u64) {
        self.cursor = self.cursor.max(cursor);
    }

    /// The oldest message that may be there.
    pub(super) fn oldest(&self) -> u64 {
        let first = [self.messages.keys().next(), self.runs.keys().next()].into_iter().flatten().min();
        first.copied().unwrap_or(self.cursor)
    }

    /// Received and neither deleted nor back.
    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Looked at, and not due yet.
    pub(super) fn delayed(&self) -> u64 {
        self.delayed
    }

    /// Looked at, and to be received.
    pub(super) fn ready(&self) -> u64 {
        self.ready + self.waiting
    }

    /// Messages that are kept in mind, each by itself.
    pub(super) fn kept(&self) -> usize {
        self.messages.len()
    }

    /// What is gone for ever and much, to be [given back](super::gone::give_back) in steps.
    pub(super) fn take_gone(&mut self) -> Vec<State> {
        std::mem::take(&mut self.gone)
    }

    /// Whether a receive may look at more.
    pub(super) fn has_room(&self) -> bool {
        self.ready + self.in_flight < WINDOW_MAX && self.delayed < DELAYED_MAX && self.runs.len() < RUNS_MAX
    }

    /// When time alone next changes something.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// Messages that a receive would get now, counted up to `max`.
    pub(super) fn deliverable(&self, max: usize) -> usize {
        if !self.is_fifo {
            return usize::try_from(self.ready()).unwrap_or(usize::MAX).min(max);
        }
        let mut count = 0;
        for (_, _, group) in &self.heads {
            count += self.groups.get(group).map_or(0, |group| group.ready.len());
            if count >= max {
                return max;
            }
        }
        count
    }

    /// Messages without a group that a receive gets before it looks at more, in their order and so many at most; not those that it has moved elsewhere.
    pub(super) fn first_ready(&self, receives_max: Option<u32>, max: usize) -> Vec<u64> {
        let is_worn = |sequence: &u64| {
            let receives = self.messages.get(sequence).map_or(0, |entry| entry.receives);
            receives_max.is_some_and(|max| receives >= max)
        };
        let ready = self.groups.get(&0).into_iter().flat_map(|group| group.ready.iter().copied());
        ready.take(max.saturating_add(MOVING_MAX)).filter(|sequence| !is_worn(sequence)).take(max).collect()
    }

    /// Brings back what is due.
    pub(super) fn advance(&mut self, now: Timestamp) {
        for _ in 0..ADVANCE_MAX {
            let Some((_, sequence)) = self.timers.first().copied().filter(|(due, _)| *due <= now) else {
                return;
            };
            self.change(sequence, |entry| entry.phase = Phase::Ready);
        }
    }

    /// Forgets what is gone for ever.
    fn forget(&mut self, oldest: u64) {
        if self.cursor <= oldest {
            // All of it is, and may be much.
            let (cursor, is_of_snapshot, pending) = (self.cursor, self.is_of_snapshot, self.pending.take());
            let (attempts, gone) = (std::mem::take(&mut self.attempts), self.take_gone());
            let empty = Self { cursor, is_of_snapshot, attempts, pending, gone, ..Self::new(self.is_fifo) };
            let all = std::mem::replace(self, empty);
            if all.messages.len() + all.runs.len() > KEPT_MAX {
                self.gone.push(all);
            }
        }
        self.clear_runs(0, oldest);
        while let Some(sequence) = self.messages.keys().next().copied().filter(|first| *first < oldest) {
            self.detach(sequence);
        }
        self.cursor = self.cursor.max(oldest);
    }

    /// What a receipt of a message stands for.
    pub(super) fn standing(&self, sequence: u64, receives: u32) -> Standing {
        match self.messages.get(&sequence) {
            None if sequence < self.cursor && self.run_of(sequence).is_none() => Standing::Gone,
            None => Standing::Never,
            Some(entry) if receives == 0 || receives > entry.receives => Standing::Never,
            Some(Entry { phase: Phase::InFlight(_), receives: latest, received, .. })
                if *latest == receives =>
            {
                Standing::InFlight { received: *received }
            }
            Some(_) => Standing::Lapsed,
        }
    }

    /// Lets go of a message and returns what was known of it.
    pub(super) fn lift(&mut self, sequence: u64) -> Option<Entry> {
        self.detach(sequence)
    }

    /// Takes in a message that another state has let go of.
    pub(super) fn place(&mut self, sequence: u64, entry: Entry) {
        self.pass_to(sequence.saturating_add(1));
        self.attach(sequence, entry);
    }

    /// Whether it keeps a message in mind.
    pub(super) fn keeps(&self, sequence: u64) -> bool {
        self.messages.contains_key(&sequence)
    }

    /// Whether a message that is kept in mind knows nothing of a receive at that time.
    pub(super) fn is_older(&self, sequence: u64, received: Timestamp) -> bool {
        let is_older = |entry: &Entry| entry.receives == 0 || received < entry.first_received;
        self.messages.get(&sequence).is_some_and(is_older)
    }

    /// Messages that can be received and were received so often before, those first that were received most; so many at most.
    pub(super) fn worn(&self, receives_max: u32, max: usize) -> Vec<u64> {
        let worn = self.back.iter().rev().take_while(|(receives, _)| *receives >= receives_max);
        worn.take(max).map(|(_, sequence)| *sequence).collect()
    }

    /// Does what an event says.
    pub(super) fn apply(&mut self, event: &Event) {
        if !event.is_of_snapshot() {
            self.change_pending(event);
        }
        match event {
            // What it follows was not written, and nobody was told of it.
            Event::Received { from, .. } if *from > self.cursor => {}
            Event::Received { at, until, cursor, passed, picked, moving, attempt, .. } => {
                for run in passed {
                    let count = run.count.min(cursor.saturating_sub(run.first));
                    self.pass_over(run.first, count, run.due, run.group);
                }
                self.cursor = self.cursor.max(*cursor);
                for sequence in picked {
                    self.change(*sequence, |entry| entry.receive(*at, *until));
                }
                for sequence in moving {
                    self.change(*sequence, |entry| entry.phase = Phase::moving_since(*at));
                }
                if let Some(name) = attempt {
                    self.name_attempt(name, *at, picked);
                }
            }
            Event::Deleted(messages) => {
                for sequence in messages {
                    self.detach(*sequence);
                }
            }
            Event::Hidden(changes) => {
                for (sequence, until) in changes {
                    self.change(*sequence, |entry| entry.phase = Phase::InFlight(*until));
                }
            }
            Event::Purged { below } => self.forget(*below),
            Event::Snapshot { cursor, messages } => self.begin_pending(*cursor, Some(*messages)),
            Event::Kept(kept) => self.take_kept(kept),
            Event::Begun { cursor } => self.begin_pending(*cursor, None),
            Event::Ended => self.end_pending(),
            Event::Attempted(attempts) => self.take_attempts(attempts),
            Event::Waiting(runs) => self.take_runs(runs),
        }
    }

    /// Remembers by whom messages were received.
    fn name_attempt(&mut self, name: &str, at: Timestamp, picked: &[u64]) {
        let receive =
            |sequence: &u64| (*sequence, self.messages.get(sequence).map_or(0, |entry| entry.receives));
        let picked = picked.iter().map(receive).collect();
        self.attempts.remember(Attempt { name: name.to_owned(), at, picked });
    }

    /// Has what was just received be received by the attempt of a name.
    pub(super) fn receive_by(&mut self, name: String, taken: &mut Taken) {
        if let Some(Event::Received { at, picked, attempt, .. }) = &mut taken.event
            && !picked.is_empty()
        {
            self.name_attempt(&name, *at, picked);
            *attempt = Some(name);
        }
    }

    /// What the attempt of a name received, if all of it is in flight still as it received it.
    pub(super) fn received_by(&self, name: &str, now: Timestamp) -> Option<Vec<Pick>> {
        let pick = |(sequence, receives): &(u64, u32)| {
            let entry = self.messages.get(sequence)?;
            let is_same = matches!(entry.phase, Phase::InFlight(_)) && entry.receives == *receives;
            let first_received = entry.first_received;
            is_same.then_some(Pick { sequence: *sequence, receives: *receives, first_received })
        };
        self.attempts.got(name, now)?.iter().map(pick).collect()
    }

    /// Changes a message that is kept in mind, and gives it as it is then.
    pub(super) fn change(&mut self, sequence: u64, change: impl FnOnce(&mut Entry)) -> Option<Entry> {
        let mut entry = self.detach(sequence)?;
        change(&mut entry);
        self.attach(sequence, entry);
        Some(entry)
    }

    pub(super) fn attach(&mut self, sequence: u64, entry: Entry) {
        self.detach(sequence);
        self.leave_heads(entry.group);
        let group = self.groups.entry(entry.group).or_default();
        match entry.phase {
            Phase::Ready => {
                group.ready.insert(sequence);
                self.ready += 1;
                self.back.extend((entry.receives > 0).then_some((entry.receives, sequence)));
            }
            Phase::InFlight(until) | Phase::Moving(until) => {
                group.in_flight += 1;
                self.timers.insert((until, sequence));
                self.in_flight += 1;
            }
            Phase::Delayed(due) => {
                self.timers.insert((due, sequence));
                self.delayed += 1;
            }
        }
        self.messages.insert(sequence, entry);
        self.enter_heads(entry.group);
    }

    fn detach(&mut self, sequence: u64) -> Option<Entry> {
        let Some(entry) = self.messages.remove(&sequence) else { return self.take_waiting(sequence) };
        self.leave_heads(entry.group);
        let group = self.groups.entry(entry.group).or_default();
        match entry.phase {
            Phase::Ready => {
                group.ready.remove(&sequence);
                self.ready -= 1;
                self.back.remove(&(entry.receives, sequence));
            }
            Phase::InFlight(until) | Phase::Moving(until) => {
                group.in_flight -= 1;
                self.timers.remove(&(until, sequence));
                self.in_flight -= 1;
            }
            Phase::Delayed(due) => {
                self.timers.remove(&(due, sequence));
                self.delayed -= 1;
            }
        }
        self.enter_heads(entry.group);
        Some(entry)
    }
}

impl Replayed for State {
    fn take(&mut self, event: &Written) -> Result<bool, FormatError> {
        let event = decode_event(&event.data)?;
        self.apply(&event);
        // One after the other, and not all of them at the end.
        drop(self.take_gone());
        Ok(matches!(event, Event::Snapshot { .. } | Event::Begun { .. }))
    }

    fn is_whole(&self) -> bool {
        self.is_of_snapshot
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        // All else follows from these.
        (self.is_fifo, self.cursor, &self.messages, &self.runs, &self.attempts)
            == (other.is_fifo, other.cursor, &other.messages, &other.runs, &other.attempts)
    }
}

#[cfg(test)]
mod tests;
