//! What a partition decides: which messages a receive gets, and what every event does. Pure: time, requests and what the log has come in, events go out.
//!
//! Only messages that were looked at and are not deleted are kept in mind, so what waits behind the cursor takes no memory, however much it is. Invariant: events,
//! applied in their order to an empty state, give the state that made them (`tests::replay_gives_the_same_state`), but for what time alone does.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tidemill_wire::Timestamp;

pub(super) use super::ask::{Ask, Head, Pick, Standing, Taken};
use super::format::{FormatError, decode_event};
use super::journal::{Entry, Event, Passed, Phase, pass};
use super::log::Written;
use super::recorder::Replayed;
use super::snapshot::Pending;

/// Messages ready and in flight that are kept in mind at most: a receive looks no further then.
pub(super) const WINDOW_MAX: u64 = 120_000;
/// Delayed messages that are kept in mind beside those, at most.
const DELAYED_MAX: u64 = 1_000_000;
/// Messages that wait ahead of the cursor's, where groups are to be treated alike.
pub(super) const FAIR_WINDOW: u64 = 1_000;
/// Messages that one receive has moved elsewhere at most.
const MOVING_MAX: usize = 10;
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
    groups: HashMap<u64, Group, FixedState>,
    /// Groups that have something to be received, by how much of theirs is in flight, and then by age.
    heads: BTreeSet<(u64, u64, u64)>,
    timers: BTreeSet<(Timestamp, u64)>,
    in_flight: u64,
    delayed: u64,
    ready: u64,
    /// Those of them that were received before, by how often.
    back: BTreeSet<(u32, u64)>,
    /// The snapshot that is being read.
    pub(super) pending: Option<Pending>,
    /// It is what a snapshot says, and what came after it.
    pub(super) is_of_snapshot: bool,
}

/// Messages that belong together.
#[derive(Clone, Debug, Default)]
struct Group {
    ready: BTreeSet<u64>,
    in_flight: u64,
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
            back: BTreeSet::new(),
            pending: None,
            is_of_snapshot: false,
        }
    }

    /// Every message below this was looked at.
    pub(super) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The oldest message that may be there.
    pub(super) fn oldest(&self) -> u64 {
        self.messages.keys().next().copied().unwrap_or(self.cursor)
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
        self.ready
    }

    /// Messages that are kept in mind.
    pub(super) fn kept(&self) -> usize {
        self.messages.len()
    }

    /// Whether a receive may look at more.
    pub(super) fn has_room(&self) -> bool {
        self.ready + self.in_flight < WINDOW_MAX && self.delayed < DELAYED_MAX
    }

    /// When time alone next changes something.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// Messages that a receive would get now, counted up to `max`.
    pub(super) fn deliverable(&self, max: usize) -> usize {
        if !self.is_fifo {
            return usize::try_from(self.ready).unwrap_or(usize::MAX).min(max);
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
        if self.messages.keys().next_back().is_some_and(|last| *last < oldest) {
            let (cursor, is_of_snapshot, pending) = (self.cursor, self.is_of_snapshot, self.pending.take());
            *self = Self { cursor, is_of_snapshot, pending, ..Self::new(self.is_fifo) };
        }
        while let Some(sequence) = self.messages.keys().next().copied().filter(|first| *first < oldest) {
            self.detach(sequence);
        }
        self.cursor = self.cursor.max(oldest);
    }

    /// Receives messages: of those that are kept in mind, and of `tail`, which begins at the cursor.
    pub(super) fn receive(&mut self, ask: &Ask, tail: &[Head]) -> Taken {
        self.advance(ask.now);
        let before = self.cursor;
        let (mut passed, mut picked) = (Vec::new(), Vec::new());
        self.take_fresh(ask, tail, &mut passed, &mut picked);
        self.receive_rest(ask, tail, before, passed, picked)
    }

    fn receive_rest(
        &mut self,
        ask: &Ask,
        tail: &[Head],
        before: u64,
        mut passed: Vec<Passed>,
        mut picked: Vec<Pick>,
    ) -> Taken {
        let mut moving = Vec::new();
        // Who is moved elsewhere makes room for another one.
        loop {
            let moved = moving.len();
            self.look(ask, ask.messages_max - picked.len(), tail, &mut passed);
            while picked.len() < ask.messages_max
                && moving.len() < MOVING_MAX
                && let Some((_, _, group)) = self.heads.first().copied()
            {
                let whole = if self.is_fifo { ask.messages_max - picked.len() } else { 1 };
                self.pick(ask, group, whole, &mut picked, &mut moving);
            }
            if picked.len() == ask.messages_max || moving.len() == moved || moving.len() >= MOVING_MAX {
                break;
            }
        }
        let is_changed = self.cursor > before || !picked.is_empty() || !moving.is_empty();
        let event = is_changed.then(|| Event::Received {
            at: ask.now,
            until: ask.until,
            from: before,
            cursor: self.cursor,
            passed,
            picked: picked.iter().map(|pick: &Pick| pick.sequence).collect(),
            moving: moving.clone(),
        });
        Taken { event, picked, moving }
    }

    /// Receives messages as a look and a pick of each would, in one step: nothing is ready before them, and no group is among them or right behind.
    fn take_fresh(&mut self, ask: &Ask, tail: &[Head], passed: &mut Vec<Passed>, picked: &mut Vec<Pick>) {
        let from = tail.partition_point(|head| head.sequence < self.cursor);
        let fresh = tail.get(from..).unwrap_or_default();
        let is_fresh = |head: &&Head| head.due <= ask.now && head.over > ask.now && head.group == 0;
        let count = fresh.iter().take(ask.messages_max).take_while(is_fresh).count();
        let is_whole = count == ask.messages_max.min(fresh.len());
        let is_alone = self.ready == 0 && fresh.get(count).is_none_or(|next| next.group == 0);
        let has_room = self.in_flight + count as u64 <= WINDOW_MAX && self.delayed < DELAYED_MAX;
        if self.is_fifo || !is_whole || !is_alone || !has_room {
            return;
        }
        for head in &fresh[..count] {
            pass(passed, head.sequence, Timestamp(0), head.group);
            let (sequence, mut entry) = (head.sequence, Entry::passed(Timestamp(0), head.group));
            entry.receive(ask.now, ask.until);
            self.attach(sequence, entry);
            self.cursor = sequence + 1;
            picked.push(Pick { sequence, receives: entry.receives, first_received: entry.first_received });
        }
    }

    /// Looks at messages behind the cursor, until so many can be received.
    fn look(&mut self, ask: &Ask, wanted: usize, tail: &[Head], passed: &mut Vec<Passed>) {
        let cursor = self.cursor;
        for head in tail.iter().skip_while(|head| head.sequence < cursor) {
            let is_enough = self.deliverable(wanted) >= wanted;
            let is_fair = self.is_fifo || head.group == 0 || self.ready >= FAIR_WINDOW;
            if is_enough && is_fair || !self.has_room() {
                break;
            }
            let is_due = head.due <= ask.now;
            if head.over > ask.now {
                if !is_due && !head.is_out_of_order {
                    break;
                }
                let due = if is_due { Timestamp(0) } else { head.due };
                pass(passed, head.sequence, due, head.group);
                self.attach(head.sequence, Entry::passed(due, head.group));
            }
            self.cursor = head.sequence + 1;
        }
    }

    /// Takes messages of one group, in their order.
    fn pick(&mut self, ask: &Ask, group: u64, max: usize, picked: &mut Vec<Pick>, moving: &mut Vec<u64>) {
        for _ in 0..max {
            let first = self.groups.get(&group).and_then(|group| group.ready.first().copied());
            let Some(sequence) = first else { return };
            let receives = self.messages.get(&sequence).map_or(0, |entry| entry.receives);
            if ask.receives_max.is_some_and(|max| receives >= max) {
                self.change(sequence, |entry| entry.phase = Phase::moving_since(ask.now));
                moving.push(sequence);
                return;
            }
            let entry = self.change(sequence, |entry| entry.receive(ask.now, ask.until));
            let Entry { receives, first_received, .. } = entry.expect("who is ready is kept in mind");
            picked.push(Pick { sequence, receives, first_received });
        }
    }

    /// What a receipt of a message stands for.
    pub(super) fn standing(&self, sequence: u64, receives: u32) -> Standing {
        match self.messages.get(&sequence) {
            None if sequence < self.cursor => Standing::Gone,
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
        self.cursor = self.cursor.max(sequence.saturating_add(1));
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
            Event::Received { at, until, cursor, passed, picked, moving, .. } => {
                for run in passed {
                    for sequence in run.first..run.first.saturating_add(run.count).min(*cursor) {
                        self.attach(sequence, Entry::passed(run.due, run.group));
                    }
                }
                self.cursor = self.cursor.max(*cursor);
                for sequence in picked {
                    self.change(*sequence, |entry| entry.receive(*at, *until));
                }
                for sequence in moving {
                    self.change(*sequence, |entry| entry.phase = Phase::moving_since(*at));
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
        }
    }

    /// Changes a message that is kept in mind, and gives it as it is then.
    fn change(&mut self, sequence: u64, change: impl FnOnce(&mut Entry)) -> Option<Entry> {
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
        let entry = self.messages.remove(&sequence)?;
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

    fn head_of(&self, id: u64) -> Option<(u64, u64, u64)> {
        let group = self.groups.get(&id)?;
        let first = group.ready.first()?;
        (!self.is_fifo || group.in_flight == 0).then_some((group.in_flight, *first, id))
    }

    fn leave_heads(&mut self, id: u64) {
        if let Some(head) = self.head_of(id) {
            self.heads.remove(&head);
        }
    }

    /// Puts a group where it belongs, or forgets it when nothing of it is left.
    fn enter_heads(&mut self, id: u64) {
        if let Some(head) = self.head_of(id) {
            self.heads.insert(head);
        } else if self.groups.get(&id).is_some_and(|group| group.ready.is_empty() && group.in_flight == 0) {
            self.groups.remove(&id);
        }
    }
}

impl Replayed for State {
    fn take(&mut self, event: &Written) -> Result<bool, FormatError> {
        let event = decode_event(&event.data)?;
        self.apply(&event);
        Ok(matches!(event, Event::Snapshot { .. } | Event::Begun { .. }))
    }

    fn is_whole(&self) -> bool {
        self.is_of_snapshot
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        // All else follows from these.
        (self.is_fifo, self.cursor, &self.messages) == (other.is_fifo, other.cursor, &other.messages)
    }
}

#[cfg(test)]
mod tests;
