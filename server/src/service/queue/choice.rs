//! A receive: which messages it gets, of those that are kept in mind or wait and of those behind the cursor, and what it looks at for that.

use tidemill_wire::Timestamp;

use super::ask::{Ask, Head, Pick, Taken};
use super::groups::Group;
use super::journal::{Entry, Event, Passed, Phase, pass};
use super::state::{DELAYED_MAX, MOVING_MAX, State, WINDOW_MAX};

impl State {
    /// Receives messages: of those that are kept in mind, and of `tail`, which begins at the cursor.
    pub(super) fn receive(&mut self, ask: &Ask, tail: &[Head]) -> Taken {
        self.advance(ask.now);
        let before = self.cursor;
        let (mut passed, mut picked) = (Vec::new(), Vec::new());
        self.take_fresh(ask, tail, &mut passed, &mut picked);
        self.receive_rest(ask, tail, before, passed, picked)
    }

    pub(super) fn receive_rest(
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
            attempt: None,
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
        let is_alone = self.ready() == 0 && fresh.get(count).is_none_or(|next| next.group == 0);
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
            // Behind messages of groups that have much in flight there may be some of others.
            let is_fair = self.is_fifo || self.idle >= wanted || (head.group == 0 && self.runs.is_empty());
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
                self.pass_over(head.sequence, 1, due, head.group);
            }
            self.cursor = head.sequence + 1;
        }
    }

    /// Takes in messages that were looked at.
    pub(super) fn pass_over(&mut self, first: u64, count: u64, due: Timestamp, group: u64) {
        if due == Timestamp(0) && group != 0 && !self.is_fifo {
            self.let_wait(first, count, group);
        } else {
            for sequence in first..first.saturating_add(count) {
                self.attach(sequence, Entry::passed(due, group));
            }
        }
    }

    /// Takes messages of one group, in their order.
    fn pick(&mut self, ask: &Ask, group: u64, max: usize, picked: &mut Vec<Pick>, moving: &mut Vec<u64>) {
        for _ in 0..max {
            let first = self.groups.get(&group).and_then(Group::first);
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
}
