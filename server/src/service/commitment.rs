//! The account's commitment to a minimum throughput, which AWS bills and this server only remembers: who has committed may keep streams warm.

use tidemill_wire::Timestamp;

/// A commitment lasts so long at least.
const COMMITTED_MS_MIN: u64 = 86_400_000;

/// When the account has committed itself. The default is that it never has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commitment {
    /// When the last commitment began, 0 for never.
    pub started: Timestamp,
    /// When it ends or ended, 0 while nobody has ended it.
    pub ended: Timestamp,
}

/// How a commitment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitmentStatus {
    /// There is none.
    Disabled,
    /// There is one.
    Enabled,
    /// It was ended before it could be, and ends by itself.
    Ending,
}

impl Commitment {
    /// How it stands at a time.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> CommitmentStatus {
        match (self.started.get(), self.ended.get()) {
            (0, _) => CommitmentStatus::Disabled,
            (_, 0) => CommitmentStatus::Enabled,
            (_, ended) if ended > now.get() => CommitmentStatus::Ending,
            _ => CommitmentStatus::Disabled,
        }
    }

    /// The earliest time at which it may end.
    #[must_use]
    pub fn earliest_end(&self) -> Timestamp {
        Timestamp(self.started.get().saturating_add(COMMITTED_MS_MIN))
    }

    /// The commitment once it is wanted, or wanted no more. What it is already stays.
    #[must_use]
    pub fn changed(self, is_wanted: bool, now: Timestamp) -> Self {
        match (is_wanted, self.status(now)) {
            (true, CommitmentStatus::Disabled) => {
                Self { started: now.max(Timestamp(1)), ended: Timestamp(0) }
            }
            (true, _) => Self { ended: Timestamp(0), ..self },
            (false, CommitmentStatus::Enabled) => Self { ended: now.max(self.earliest_end()), ..self },
            (false, _) => self,
        }
    }
}
