//! Groups of a partition's messages: which comes next, and those of their messages that wait.
//!
//! Where a standard queue's messages have groups, a receive passes over those of a group that has much in flight to find those of others. What it passes over waits in runs of
//! neighbours of one group: a burst of a million costs as much as one message, and one message of its own costs some fifty bytes. Invariant: runs are as long as they can be,
//! and no message is in two of them, or in one and kept in mind by itself (`state::tests::replay_gives_the_same_state`).

use std::collections::BTreeSet;

use tidemill_wire::Timestamp;

use super::journal::Entry;
use super::state::{KEPT_MAX, State};

/// Runs that wait at most: while there are so many, a receive passes over no more.
pub(super) const RUNS_MAX: usize = 1_000_000;

/// Messages that belong together.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    /// Those that are kept in mind and can be received.
    pub(super) ready: BTreeSet<u64>,
    /// Where its runs begin.
    pub(super) runs: BTreeSet<u64>,
    pub(super) in_flight: u64,
}

/// Messages of one group that follow each other and wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// How many.
    pub(super) count: u64,
    /// Their group.
    pub(super) group: u64,
}

impl Group {
    /// The first of its messages that can be received.
    pub(super) fn first(&self) -> Option<u64> {
        [self.ready.first(), self.runs.first()].into_iter().flatten().min().copied()
    }
}

impl State {
    /// Lets messages of a group wait that were passed over. Those of them that wait already do so in that group from now on.
    pub(super) fn let_wait(&mut self, first: u64, count: u64, group: u64) {
        // Most often they follow the last one, whose group stays where it is.
        if let Some(mut last) = self.runs.last_entry()
            && last.key() + last.get().count == first
            && last.get().group == group
        {
            let longer = count.min(u64::MAX - first);
            last.get_mut().count += longer;
            self.waiting += longer;
            return;
        }
        let (mut from, mut end) = (first, first.saturating_add(count));
        if from >= end {
            return;
        }
        self.clear_runs(from, end);
        self.waiting += end - from;
        self.leave_heads(group);
        let of_group = &mut self.groups.entry(group).or_default().runs;
        if let Some((before, run)) = self.runs.range(..from).next_back().map(|(first, run)| (*first, *run))
            && before + run.count == from
            && run.group == group
        {
            self.runs.remove(&before);
            of_group.remove(&before);
            from = before;
        }
        if let Some(run) = self.runs.get(&end).copied().filter(|run| run.group == group) {
            self.runs.remove(&end);
            of_group.remove(&end);
            end += run.count;
        }
        self.runs.insert(from, Run { count: end - from, group });
        of_group.insert(from);
        self.enter_heads(group);
    }

    /// Where those end that wait and are below a number: some of them, for all may be too many for one step. Nothing if none waits there.
    pub(super) fn waiting_below(&self, oldest: u64) -> Option<u64> {
        self.runs.keys().next().filter(|first| **first < oldest)?;
        Some(self.runs.keys().nth(KEPT_MAX).map_or(oldest, |next| oldest.min(*next)))
    }

    /// Takes a message out of those that wait.
    pub(super) fn take_waiting(&mut self, sequence: u64) -> Option<Entry> {
        let group = self.run_of(sequence)?.1.group;
        self.clear_runs(sequence, sequence.saturating_add(1));
        Some(Entry::passed(Timestamp(0), group))
    }

    /// The run in which a message waits.
    pub(super) fn run_of(&self, sequence: u64) -> Option<(u64, Run)> {
        let (first, run) = self.runs.range(..=sequence).next_back()?;
        (sequence - first < run.count).then_some((*first, *run))
    }

    /// Forgets those that wait from a number on, up to another one.
    pub(super) fn clear_runs(&mut self, from: u64, end: u64) {
        if from >= end {
            return;
        }
        if let Some((first, _)) = self.run_of(from) {
            self.cut(first, from, end);
        }
        while let Some(first) = self.runs.range(from..end).next().map(|(first, _)| *first) {
            self.cut(first, from, end);
        }
    }

    /// Forgets that part of a run.
    fn cut(&mut self, first: u64, from: u64, to: u64) {
        let Some(Run { count, group }) = self.runs.remove(&first) else { return };
        let end = first + count;
        let (before, behind) = (from.saturating_sub(first).min(count), end.saturating_sub(to).min(count));
        self.leave_heads(group);
        let of_group = &mut self.groups.entry(group).or_default().runs;
        of_group.remove(&first);
        for (first, count) in [(first, before), (end - behind, behind)] {
            if count > 0 {
                self.runs.insert(first, Run { count, group });
                of_group.insert(first);
            }
        }
        self.waiting -= count - before - behind;
        self.enter_heads(group);
    }

    fn head_of(&self, id: u64) -> Option<(u64, u64, u64)> {
        let group = self.groups.get(&id)?;
        let first = group.first()?;
        (!self.is_fifo || group.in_flight == 0).then_some((group.in_flight, first, id))
    }

    pub(super) fn leave_heads(&mut self, id: u64) {
        if let Some(head) = self.head_of(id)
            && self.heads.remove(&head)
        {
            self.idle -= usize::from(head.0 == 0);
        }
    }

    /// Puts a group where it belongs, or forgets it when nothing of it is left.
    pub(super) fn enter_heads(&mut self, id: u64) {
        if let Some(head) = self.head_of(id) {
            if self.heads.insert(head) {
                self.idle += usize::from(head.0 == 0);
            }
        } else if self.groups.get(&id).is_some_and(|group| group.first().is_none() && group.in_flight == 0) {
            self.groups.remove(&id);
        }
    }
}
