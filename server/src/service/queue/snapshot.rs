//! The whole of a state as events: in one row, or in parts between which the state changes.
//!
//! A snapshot in parts goes through the messages below the cursor with which it begins, in their order. Events that come meanwhile lie between its parts and are
//! applied to what has been read of it: of a message that it has come to, they change what it says; one that it has not come to is not there yet, and it tells of it as it is
//! then; those from the cursor on are told of by events alone. Invariant: what has been read at its end is the state
//! (`state::tests::replay_gives_the_same_state`), but for what time alone does.

use tidemill_wire::Timestamp;

use super::attempts::Attempt;
use super::groups::Run;
use super::journal::{Event, Kept, Passed};
use super::state::State;

/// A snapshot that is being read.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    state: Box<State>,
    /// Messages that it still has, if it stands in one row; one in parts says where it ends.
    left: Option<u64>,
}

/// A snapshot in parts that is being written.
#[derive(Debug)]
pub(super) struct Walk {
    stage: Stage,
    /// Messages of a part at most.
    part_max: usize,
}

#[derive(Debug)]
enum Stage {
    Begin,
    /// Runs of messages that wait are to be told of. They come first: one of them that is received meanwhile is told of by itself.
    Runs {
        next: u64,
        end: u64,
    },
    /// Messages from `next` on are to be told of, up to `end`.
    Parts {
        next: u64,
        end: u64,
    },
    /// The attempts behind a name are to be told of, up to another one. They come last, when all messages that they could have received are there, so those that are made
    /// meanwhile tell of themselves.
    Attempts {
        after: Option<String>,
        last: Option<String>,
    },
    Over,
}

impl Walk {
    /// A snapshot that has not begun, with so many messages in a part at most.
    pub(super) fn new(part_max: usize) -> Self {
        Self { stage: Stage::Begin, part_max }
    }

    /// The next event of it, of the state as it is now; nothing after the last one.
    pub(super) fn next(&mut self, state: &State) -> Option<Event> {
        match &self.stage {
            Stage::Begin => {
                self.stage = Stage::Runs { next: 0, end: state.cursor };
                Some(Event::Begun { cursor: state.cursor })
            }
            &Stage::Runs { next, end } => {
                let part: Vec<Passed> = state.runs_from(next, end).take(self.part_max).collect();
                let Some(last) = part.last() else {
                    self.stage = Stage::Parts { next: 0, end };
                    return self.next(state);
                };
                self.stage = Stage::Runs { next: last.first + last.count, end };
                Some(Event::Waiting(part))
            }
            &Stage::Parts { next, end } => {
                let below = state.kept_from(next).take_while(|kept| kept.sequence < end);
                let part: Vec<Kept> = below.take(self.part_max).collect();
                let Some(last) = part.last() else {
                    self.stage = Stage::Attempts { after: None, last: state.attempts.last() };
                    return self.next(state);
                };
                self.stage = Stage::Parts { next: last.sequence + 1, end };
                Some(Event::Kept(part))
            }
            Stage::Attempts { after, last } => {
                let part = state.attempts.part(after.as_deref(), last.as_deref());
                let told = part.last().map(|last| last.name.clone());
                let event = if told.is_some() { Event::Attempted(part) } else { Event::Ended };
                self.stage = told
                    .map_or(Stage::Over, |told| Stage::Attempts { after: Some(told), last: last.clone() });
                Some(event)
            }
            Stage::Over => None,
        }
    }
}

impl State {
    /// Messages that are kept in mind, from a number on.
    pub(super) fn kept_from(&self, sequence: u64) -> impl Iterator<Item = Kept> {
        self.messages.range(sequence..).map(|(sequence, entry)| Kept { sequence: *sequence, entry: *entry })
    }

    /// Messages that wait, from a number on and up to another one.
    fn runs_from(&self, next: u64, end: u64) -> impl Iterator<Item = Passed> {
        let run = move |(first, run): (&u64, &Run)| {
            let count = run.count.min(end - first);
            Passed { first: *first, count, due: Timestamp(0), group: run.group }
        };
        self.runs.range(next..end.max(next)).map(run)
    }

    /// Events that give this state by themselves, in one row, as older versions wrote them.
    #[cfg(test)]
    pub(super) fn snapshot(&self) -> Vec<Event> {
        let kept: Vec<Kept> = self.kept_from(0).collect();
        let begin = Event::Snapshot { cursor: self.cursor, messages: kept.len() as u64 };
        std::iter::once(begin)
            .chain(kept.chunks(super::state::KEPT_MAX).map(|part| Event::Kept(part.to_vec())))
            .collect()
    }

    /// Applies what comes between the parts of a snapshot to what has been read of it.
    pub(super) fn change_pending(&mut self, event: &Event) {
        match &mut self.pending {
            // A snapshot in one row that was cut short is none.
            Some(Pending { left: Some(_), .. }) => self.pending = None,
            Some(Pending { state, left: None }) => {
                state.apply(event);
                drop(state.take_gone());
            }
            None => {}
        }
    }

    /// Begins to read a snapshot: of so many messages in one row, or in parts.
    pub(super) fn begin_pending(&mut self, cursor: u64, left: Option<u64>) {
        let mut state = Self::new(self.is_fifo);
        state.cursor = cursor;
        self.pending = Some(Pending { state: Box::new(state), left });
        self.settle_row();
    }

    /// Takes in a part of a snapshot.
    pub(super) fn take_kept(&mut self, kept: &[Kept]) {
        let Some(Pending { state, left }) = &mut self.pending else { return };
        for Kept { sequence, entry } in kept {
            state.attach(*sequence, *entry);
        }
        if let Some(left) = left {
            *left = left.saturating_sub(kept.len() as u64);
        }
        self.settle_row();
    }

    /// Takes in messages of a snapshot that wait.
    pub(super) fn take_runs(&mut self, runs: &[Passed]) {
        if let Some(Pending { state, .. }) = &mut self.pending {
            runs.iter().for_each(|run| state.let_wait(run.first, run.count, run.group));
        }
    }

    /// Takes in attempts of a snapshot.
    pub(super) fn take_attempts(&mut self, attempts: &[Attempt]) {
        if let Some(Pending { state, .. }) = &mut self.pending {
            attempts.iter().cloned().for_each(|attempt| state.attempts.remember(attempt));
        }
    }

    /// Is what a snapshot in one row says once it is complete.
    fn settle_row(&mut self) {
        if let Some(pending) = self.pending.take_if(|pending| pending.left == Some(0)) {
            *self = *pending.state;
            self.is_of_snapshot = true;
        }
    }

    /// Is what a snapshot in parts says: it is complete.
    pub(super) fn end_pending(&mut self) {
        if let Some(pending) = self.pending.take_if(|pending| pending.left.is_none()) {
            *self = *pending.state;
            self.is_of_snapshot = true;
        }
    }
}
