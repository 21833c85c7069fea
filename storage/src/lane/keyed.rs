//! What the lane keeps in memory about an owner whose records are compacted by key: how far it is clean, and when it is looked at again.
//!
//! Nothing of it is written down: after a start everything counts as dirty.

use std::time::Duration;

use tidemill_wire::{SequenceNumber, Timestamp};

use super::answer::KeyCompaction;

/// One owner.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keyed {
    pub(super) tombstone_age: Duration,
    /// The records below this were looked at.
    pub(super) scanned: SequenceNumber,
    /// The looks that there was no memory for at once.
    pub(super) pass: Option<Pass>,
    /// When the last look ended.
    pub(super) scanned_at: Timestamp,
    /// When there was last nothing left that could have gone.
    pub(super) clean_at: Timestamp,
    /// What could go was found, and was not worth its rewriting yet.
    pub(super) has_leftover: bool,
    /// When another tombstone is over its time.
    pub(super) tombstone_due: Option<Timestamp>,
}

/// Looks at one owner, stretch after stretch, up to the last of its sealed records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass {
    /// Where the next look begins.
    pub(super) resume: SequenceNumber,
    /// What could go has to.
    pub(super) is_late: bool,
    pub(super) has_leftover: bool,
    pub(super) tombstone_due: Option<Timestamp>,
}

impl Keyed {
    pub(super) fn new(policy: KeyCompaction, now: Timestamp) -> Self {
        Self {
            tombstone_age: policy.tombstone_age,
            scanned: SequenceNumber(0),
            pass: None,
            scanned_at: now,
            clean_at: now,
            has_leftover: false,
            tombstone_due: None,
        }
    }

    /// Whether everything that could go has to, whether it is worth it or not.
    pub(super) fn is_late(&self, now: Timestamp, lag: Duration) -> bool {
        now >= later(self.clean_at, lag)
    }

    /// Whether the owner is to be looked at, with so many payload bytes in sealed segments, of which so many came since it was last.
    pub(super) fn is_due(&self, total: u64, dirty: u64, now: Timestamp, lag: Duration) -> bool {
        let has_grown = dirty > 0 && dirty.saturating_mul(2) >= total;
        let has_something = dirty > 0 || self.has_leftover;
        // Each look reads everything, so tombstones do not come due one by one.
        let rested = now >= later(self.scanned_at, lag.min(self.tombstone_age));
        let has_tombstone = self.tombstone_due.is_some_and(|due| due <= now) && rested;
        self.pass.is_some() || has_grown || has_something && self.is_late(now, lag) || has_tombstone
    }
}

pub(super) fn later(time: Timestamp, duration: Duration) -> Timestamp {
    Timestamp(time.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
}
