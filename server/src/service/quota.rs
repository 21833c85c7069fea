//! Rates of a shard, kept exact over any length of time.
//!
//! Invariant: what a [`Bucket`] admits in any window never exceeds rate × (window + one second), or
//! rate × window + the largest single cost if that is more, and what it refuses for lack of time it admits at exactly the moment it named, to the nanosecond,
//! unless somebody else took it (`tests::admissions_match_the_exact_model`, `tests::no_window_exceeds_its_bound`).
//! The level is an integer in billionths of a token, in which a rate per second times nanoseconds is whole,
//! so nothing is ever rounded and nothing drifts.
//!
//! Time comes in as nanoseconds of a monotonic clock. Time that goes backwards is taken as standing still.

use std::num::NonZeroU64;
use std::time::Duration;

use tidemill_wire::message::Quota;

/// Billionths of a token in a token: one nanosecond at a rate of one per second.
const PARTS_PER_TOKEN: i128 = 1_000_000_000;

/// How long to wait before the same request is admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wait {
    /// Nanoseconds from the `now` of the request that was refused.
    pub ns: u64,
}

impl Wait {
    /// The wait as a span.
    pub fn duration(self) -> Duration {
        Duration::from_nanos(self.ns)
    }
}

/// A token bucket: tokens flow in at a rate, and no further than what flows in a second, and requests take theirs out.
///
/// A cost above that is admitted only by a full bucket and leaves it in debt, so that a large record
/// passes and the average still holds.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Billionths of a token; negative when in debt.
    level: i128,
    /// Tokens that flow in, and the most that the bucket holds.
    rate_per_second: NonZeroU64,
    /// The latest `now` seen, up to which tokens have flowed in.
    filled_until_ns: u64,
}

impl Bucket {
    /// A full bucket.
    pub fn new(rate_per_second: NonZeroU64) -> Self {
        Self { level: parts(rate_per_second.get()), rate_per_second, filled_until_ns: 0 }
    }

    /// Takes `cost` tokens, or says how long to wait for them.
    ///
    /// # Errors
    /// When the bucket does not hold enough yet.
    pub fn admit(&mut self, now_ns: u64, cost: u64) -> Result<(), Wait> {
        self.affords(now_ns, cost)?;
        self.level -= parts(cost);
        Ok(())
    }

    /// Whole tokens that can be taken now, or the wait for the first one.
    ///
    /// # Errors
    /// When the bucket holds less than one token.
    pub fn available(&mut self, now_ns: u64) -> Result<NonZeroU64, Wait> {
        self.affords(now_ns, 1)?;
        let tokens = u64::try_from(self.level / PARTS_PER_TOKEN).ok().and_then(NonZeroU64::new);
        Ok(tokens.expect("a bucket that affords one token holds one, and no more than its rate"))
    }

    /// Changes the rate from `now` on. Tokens beyond what it holds now are lost, none are given.
    pub fn change(&mut self, now_ns: u64, rate_per_second: NonZeroU64) {
        self.fill(now_ns);
        self.rate_per_second = rate_per_second;
        self.level = self.level.min(parts(rate_per_second.get()));
    }

    /// Whether `cost` could be taken now; takes nothing.
    fn affords(&mut self, now_ns: u64, cost: u64) -> Result<(), Wait> {
        self.fill(now_ns);
        let missing = parts(cost.min(self.rate_per_second.get())) - self.level;
        if missing <= 0 {
            return Ok(());
        }
        let rate = i128::from(self.rate_per_second.get());
        let flow_ns = u64::try_from((missing + rate - 1) / rate).unwrap_or(u64::MAX);
        // A clock that went back first has to come forward again to where the bucket stands.
        Err(Wait { ns: flow_ns.saturating_add(self.filled_until_ns.saturating_sub(now_ns)) })
    }

    fn fill(&mut self, now_ns: u64) {
        let passed_ns = now_ns.saturating_sub(self.filled_until_ns);
        self.filled_until_ns = self.filled_until_ns.max(now_ns);
        // Both factors are below 2^64, so the product fits 128 bits unsigned; what does not fit signed fills any bucket.
        let flown = u128::from(passed_ns) * u128::from(self.rate_per_second.get());
        let flown = i128::try_from(flown).unwrap_or(i128::MAX);
        self.level = self.level.saturating_add(flown).min(parts(self.rate_per_second.get()));
    }
}

fn parts(tokens: u64) -> i128 {
    i128::from(tokens) * PARTS_PER_TOKEN
}

/// What one shard may take in and give out, with one second of it at once; a fixed number of bytes whatever
/// happens. A rate of 0 is no limit.
#[derive(Debug, Clone)]
pub struct ShardQuota {
    write_bytes: Option<Bucket>,
    write_records: Option<Bucket>,
    read_bytes: Option<Bucket>,
    read_calls: Option<Bucket>,
}

/// The quotas of a hundred thousand shards take less than 13 MB.
const SHARD_QUOTA_BYTES_MAX: usize = 128;
const _: () = assert!(size_of::<ShardQuota>() <= SHARD_QUOTA_BYTES_MAX);

impl ShardQuota {
    /// Full buckets.
    pub fn new(rates: Quota) -> Self {
        Self {
            write_bytes: bucket(rates.write_bytes_per_second),
            write_records: bucket(rates.write_records_per_second),
            read_bytes: bucket(rates.read_bytes_per_second),
            read_calls: None,
        }
    }

    /// Changes how often calls that are counted may read, as [`change`](Self::change) does the rates.
    pub fn change_calls(&mut self, now_ns: u64, calls_per_second: u64) {
        change(&mut self.read_calls, now_ns, calls_per_second);
    }

    /// Takes a call that is counted.
    ///
    /// # Errors
    /// The wait, when there have been too many.
    pub fn admit_call(&mut self, now_ns: u64) -> Result<(), Wait> {
        self.read_calls.as_mut().map_or(Ok(()), |bucket| bucket.admit(now_ns, 1))
    }

    /// Changes the rates from `now` on. Between two rates no tokens are minted; a limit that was off begins full.
    pub fn change(&mut self, now_ns: u64, rates: Quota) {
        change(&mut self.write_bytes, now_ns, rates.write_bytes_per_second);
        change(&mut self.write_records, now_ns, rates.write_records_per_second);
        change(&mut self.read_bytes, now_ns, rates.read_bytes_per_second);
    }

    /// Whether anything that is written is counted.
    pub fn limits_writes(&self) -> bool {
        self.write_bytes.is_some() || self.write_records.is_some()
    }

    /// Takes a batch's bytes and records, or neither.
    ///
    /// # Errors
    /// The longer of the two waits, when either bucket does not hold enough.
    pub fn admit_write(&mut self, now_ns: u64, bytes: u64, records: u64) -> Result<(), Wait> {
        let waits = [
            affords(&mut self.write_bytes, now_ns, bytes),
            affords(&mut self.write_records, now_ns, records),
        ];
        if let Some(longest) = waits.into_iter().filter_map(Result::err).max() {
            return Err(longest);
        }
        take(&mut self.write_bytes, bytes);
        take(&mut self.write_records, records);
        Ok(())
    }

    /// Gives back what a batch took that was not stored after all. A bucket never holds more than a second's flow, so no window admits more
    /// than if the batch had never come.
    pub fn give_back_write(&mut self, bytes: u64, records: u64) {
        give_back(&mut self.write_bytes, bytes);
        give_back(&mut self.write_records, records);
    }

    /// Takes the bytes of an answer.
    ///
    /// # Errors
    /// The wait, when the bucket does not hold enough.
    pub fn admit_read(&mut self, now_ns: u64, bytes: u64) -> Result<(), Wait> {
        self.read_bytes.as_mut().map_or(Ok(()), |bucket| bucket.admit(now_ns, bytes))
    }

    /// Bytes that may be read now (`u64::MAX` without limit), or the wait for the first one.
    ///
    /// # Errors
    /// When not one byte may be read.
    pub fn readable(&mut self, now_ns: u64) -> Result<NonZeroU64, Wait> {
        self.read_bytes.as_mut().map_or(Ok(NonZeroU64::MAX), |bucket| bucket.available(now_ns))
    }

    /// The same for a call that may take so many at once when nothing was read for a while, and whose reader is refused afterwards until the average
    /// holds again.
    ///
    /// # Errors
    /// When not one byte may be read.
    pub fn readable_ahead(&mut self, now_ns: u64, bytes: NonZeroU64) -> Result<NonZeroU64, Wait> {
        let readable = self.readable(now_ns)?;
        let is_full = self.read_bytes.as_ref().is_none_or(|bucket| readable >= bucket.rate_per_second);
        Ok(if is_full { readable.max(bytes) } else { readable })
    }
}

/// A full bucket, or none for a rate of 0.
fn bucket(rate_per_second: u64) -> Option<Bucket> {
    NonZeroU64::new(rate_per_second).map(Bucket::new)
}

fn change(present: &mut Option<Bucket>, now_ns: u64, rate_per_second: u64) {
    match (present.as_mut(), NonZeroU64::new(rate_per_second)) {
        (Some(bucket), Some(rate)) => bucket.change(now_ns, rate),
        _ => *present = bucket(rate_per_second),
    }
}

fn affords(bucket: &mut Option<Bucket>, now_ns: u64, cost: u64) -> Result<(), Wait> {
    bucket.as_mut().map_or(Ok(()), |bucket| bucket.affords(now_ns, cost))
}

fn take(bucket: &mut Option<Bucket>, cost: u64) {
    if let Some(bucket) = bucket {
        bucket.level -= parts(cost);
    }
}

fn give_back(bucket: &mut Option<Bucket>, cost: u64) {
    if let Some(bucket) = bucket {
        bucket.level = (bucket.level + parts(cost)).min(parts(bucket.rate_per_second.get()));
    }
}

#[cfg(test)]
mod tests;
