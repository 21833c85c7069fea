//! What a receive asks of a partition's state and gets of it, and what a receipt stands for there. Plain values.

use tidemill_wire::Timestamp;

use super::journal::Event;

/// A message that no receive has looked at yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Its number.
    pub(super) sequence: u64,
    /// When it can be received.
    pub(super) due: Timestamp,
    /// Its delay is its own and not the queue's, so that later ones may be due before it.
    pub(super) is_out_of_order: bool,
    /// Its group; 0 for none.
    pub(super) group: u64,
    /// When it is too old to be received.
    pub(super) over: Timestamp,
}

/// What a receive asks of a partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    /// The time.
    pub(super) now: Timestamp,
    /// Until when what is received is hidden.
    pub(super) until: Timestamp,
    /// So many at most.
    pub(super) messages_max: usize,
    /// Who was received so often is moved elsewhere.
    pub(super) receives_max: Option<u32>,
}

/// What a receive gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// What is to be written down, if anything has changed.
    pub(super) event: Option<Event>,
    /// What was received.
    pub(super) picked: Vec<Pick>,
    /// What is to be moved elsewhere.
    pub(super) moving: Vec<u64>,
}

/// A message that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pick {
    /// Its number.
    pub(super) sequence: u64,
    /// How often it was received, this time included.
    pub(super) receives: u32,
    /// When it was received first.
    pub(super) first_received: Timestamp,
}

/// What a receipt stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// A message in flight, received last at that time.
    InFlight {
        /// When.
        received: Timestamp,
    },
    /// A message that is back in the queue, or was received again since.
    Lapsed,
    /// A message that is gone.
    Gone,
    /// No message that was ever received so.
    Never,
}
