//! When to try again: pauses that double, with a share of chance, until a policy's bound.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tidemill_wire::message::ErrorCode;
use tokio::time::Instant;

use crate::{ClientError, RetryPolicy};

/// A stream of numbers for jitter (SplitMix64). Not for secrets.
#[derive(Debug)]
pub(crate) struct Chance(AtomicU64);

impl Chance {
    /// Numbers that differ from one client to the next.
    pub(crate) fn new() -> Self {
        // The standard library seeds its hash maps from the system's entropy; nothing else of them is used.
        Self::seeded(std::hash::RandomState::new().build_hasher().finish())
    }

    pub(crate) fn seeded(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    pub(crate) fn draw(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between half of `pause` and all of it.
    fn jitter(&self, pause: Duration) -> Duration {
        let half = pause / 2;
        let share = (self.draw() >> 40) as f64 / (1_u64 << 24) as f64;
        half + half.mul_f64(share)
    }
}

/// The pause after so many failures in a row, at least one.
pub(crate) fn backoff(policy: &RetryPolicy, failures: u32, chance: &Chance) -> Duration {
    let doublings = failures.saturating_sub(1).min(20);
    chance.jitter(policy.backoff_min.saturating_mul(1 << doublings).min(policy.backoff_max))
}

/// Failures in a row, against a policy.
#[derive(Debug)]
pub(crate) struct Retry {
    policy: RetryPolicy,
    failures: u32,
    since: Option<Instant>,
}

impl Retry {
    pub(crate) fn new(policy: RetryPolicy) -> Self {
        Self { policy, failures: 0, since: None }
    }

    /// It works again: counting starts anew.
    pub(crate) fn succeeded(&mut self) {
        (self.failures, self.since) = (0, None);
    }

    /// Counts a failure; returns the pause before the next try, or `None` when the policy allows none. The pause is at
    /// least what the server asked for.
    pub(crate) fn failed(&mut self, error: &ClientError, chance: &Chance) -> Option<Duration> {
        if is_transient(error) { self.again(asked_for(error), chance) } else { None }
    }

    /// As [`failed`](Self::failed), whatever the reason.
    pub(crate) fn again(&mut self, at_least: Duration, chance: &Chance) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        let since = *self.since.get_or_insert_with(Instant::now);
        let pause = backoff(&self.policy, self.failures, chance).max(at_least);
        let spent = since.elapsed().saturating_add(pause);
        (self.failures < self.policy.attempts && spent <= self.policy.deadline).then_some(pause)
    }
}

/// Whether the same request may succeed later without the caller's doing.
pub(crate) fn is_transient(error: &ClientError) -> bool {
    match error {
        ClientError::Connect { .. } | ClientError::Disconnected { .. } | ClientError::Timeout { .. } => true,
        ClientError::Refused(failure) => {
            failure.code.is_retryable() || failure.code == ErrorCode::ShuttingDown
        }
        ClientError::Protocol { .. } | ClientError::OtherNode { .. } | ClientError::Batch { .. } => false,
    }
}

/// Whether a failed request may have been carried out all the same.
pub(crate) fn may_be_carried_out(error: &ClientError) -> bool {
    match error {
        ClientError::Disconnected { sent, .. } => *sent,
        ClientError::Timeout { .. } | ClientError::Protocol { .. } => true,
        // The server cannot tell how far it came, or what a restart will find.
        ClientError::Refused(failure) => {
            matches!(failure.code, ErrorCode::Internal | ErrorCode::LanePoisoned | ErrorCode::Unrecognized)
        }
        ClientError::Connect { .. } | ClientError::OtherNode { .. } | ClientError::Batch { .. } => false,
    }
}

fn asked_for(error: &ClientError) -> Duration {
    match error {
        ClientError::Refused(failure) => Duration::from_millis(failure.retry_after_ms.into()),
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests;
