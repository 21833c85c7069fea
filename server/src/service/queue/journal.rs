//! What became of a partition's messages: the events that its state is made of, in the order in which they are written.

use tidemill_wire::Timestamp;

use super::attempts::Attempt;

/// How long a message that is on its way to another queue is hidden.
const MOVING_MS: u64 = 60_000;

/// A change of a partition's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Messages were looked at, and some of them received.
    Received {
        /// When.
        at: Timestamp,
        /// Until when those that were received are hidden.
        until: Timestamp,
        /// Every message below this had been looked at before.
        from: u64,
        /// Every message below this was looked at.
        cursor: u64,
        /// Those that were looked at for the first time and are to be kept in mind.
        passed: Vec<Passed>,
        /// Those that were received.
        picked: Vec<u64>,
        /// Those that were received too often before, and are on their way to another queue: hidden for [`MOVING_MS`], and not received once more.
        moving: Vec<u64>,
        /// The name of the attempt that received them, if it has one.
        attempt: Option<String>,
    },
    /// Messages are gone for ever.
    Deleted(Vec<u64>),
    /// Messages in flight are hidden until then.
    Hidden(Vec<(u64, Timestamp)>),
    /// Every message below this is gone for ever: deleted, or too old.
    Purged {
        /// The first one that is left.
        below: u64,
    },
    /// What is needed of all events before: the messages that are kept in mind follow, so many.
    Snapshot {
        /// Every message below this was looked at.
        cursor: u64,
        /// How many are kept in mind.
        messages: u64,
    },
    /// A part of a snapshot.
    Kept(Vec<Kept>),
    /// A snapshot in parts begins: the messages that are kept in mind below the cursor follow, with other events between them, up to [`Ended`](Self::Ended).
    Begun {
        /// Every message below this was looked at.
        cursor: u64,
    },
    /// A snapshot in parts is complete.
    Ended,
    /// A part of a snapshot: attempts to receive that have names.
    Attempted(Vec<Attempt>),
    /// A part of a snapshot: messages of groups that were passed over and wait, as runs of which nothing is delayed.
    Waiting(Vec<Passed>),
}

impl Event {
    /// It tells what is, and not what happens.
    pub(super) fn is_of_snapshot(&self) -> bool {
        matches!(
            self,
            Self::Snapshot { .. }
                | Self::Kept(_)
                | Self::Begun { .. }
                | Self::Ended
                | Self::Attempted(_)
                | Self::Waiting(_)
        )
    }
}

/// Messages that were looked at and are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Passed {
    /// The first one.
    pub(super) first: u64,
    /// How many follow each other, this one included.
    pub(super) count: u64,
    /// Until when they are delayed; 0 if they are not.
    pub(super) due: Timestamp,
    /// Their group; 0 for none.
    pub(super) group: u64,
}

/// A message that is kept in mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// Its number.
    pub(super) sequence: u64,
    /// What it is kept as.
    pub(super) entry: Entry,
}

/// What is known of a message that was looked at and is not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where it stands.
    pub(super) phase: Phase,
    /// Its group; 0 for none.
    pub(super) group: u64,
    /// How often it was received.
    pub(super) receives: u32,
    /// When it was received first; 0 if it never was.
    pub(super) first_received: Timestamp,
    /// When it was received last; 0 if it never was.
    pub(super) received: Timestamp,
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It can be received.
    Ready,
    /// It was received, and comes back then.
    InFlight(Timestamp),
    /// It is on its way to another queue, and comes back then if it does not get there.
    Moving(Timestamp),
    /// It was sent with a delay that ends then.
    Delayed(Timestamp),
}

impl Entry {
    /// One that nobody has received.
    pub(super) fn new(group: u64, phase: Phase) -> Self {
        Self { phase, group, receives: 0, first_received: Timestamp(0), received: Timestamp(0) }
    }

    /// One that was looked at, and is due then; 0 for at once.
    pub(super) fn passed(due: Timestamp, group: u64) -> Self {
        Self::new(group, if due == Timestamp(0) { Phase::Ready } else { Phase::Delayed(due) })
    }

    /// It is received, and hidden until then.
    pub(super) fn receive(&mut self, at: Timestamp, until: Timestamp) {
        if self.receives == 0 {
            self.first_received = at;
        }
        self.receives = self.receives.saturating_add(1);
        self.received = at;
        self.phase = Phase::InFlight(until);
    }
}

impl Phase {
    /// It is moved elsewhere from now on.
    pub(super) fn moving_since(at: Timestamp) -> Self {
        Self::Moving(Timestamp(at.0.saturating_add(MOVING_MS)))
    }
}

/// Adds a message to runs of those that are alike.
pub(super) fn pass(runs: &mut Vec<Passed>, sequence: u64, due: Timestamp, group: u64) {
    match runs.last_mut() {
        Some(run) if run.first + run.count == sequence && (run.due, run.group) == (due, group) => {
            run.count += 1;
        }
        _ => runs.push(Passed { first: sequence, count: 1, due, group }),
    }
}
