//! The most that came into a stream on demand on each of the last thirty days: it keeps shards for twice as much, whatever comes in now.
//!
//! Pure: times and rates come in. Promises to grow no further than a day for each that is remembered. Leaves out measuring and keeping.

use tidemill_wire::Timestamp;
use tidemill_wire::message::Quota;

use crate::service::governor::rates_of;

/// Days for which a peak counts, the present one not among them.
pub const PEAK_DAYS: u32 = 30;
/// Peaks that are kept of a stream.
pub const PEAKS_MAX: usize = PEAK_DAYS as usize + 1;
const DAY_MS: u64 = 86_400_000;
/// Of a peak, what there are shards for.
const HEADROOM: u64 = 2;

/// The most that came in on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peak {
    /// Days since 1970.
    pub day: u32,
    /// Bytes of keys and data in a second.
    pub bytes_per_second: u64,
    /// Records in a second.
    pub records_per_second: u64,
}

/// The peaks of a stream, one for each day that had traffic, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peaks(Vec<Peak>);

impl Peaks {
    /// Those that were kept; `None` if they are too many or not in order.
    #[must_use]
    pub fn of(peaks: Vec<Peak>) -> Option<Self> {
        let is_sound = peaks.len() <= PEAKS_MAX && peaks.is_sorted_by(|one, next| one.day < next.day);
        is_sound.then_some(Self(peaks))
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Peak> {
        self.0.iter()
    }

    /// Notes what came in. True if the day now asks for more shards than before, which is worth keeping.
    pub fn note(
        &mut self,
        now: Timestamp,
        bytes_per_second: u64,
        records_per_second: u64,
        rates: Quota,
    ) -> bool {
        let day = day_of(now);
        if bytes_per_second == 0 && records_per_second == 0 {
            return false;
        }
        let at = self.0.partition_point(|peak| peak.day < day);
        let new = Peak { day, bytes_per_second: 0, records_per_second: 0 };
        let before = self.0.get(at).copied().filter(|peak| peak.day == day).unwrap_or(new);
        let peak = Peak {
            day,
            bytes_per_second: before.bytes_per_second.max(bytes_per_second),
            records_per_second: before.records_per_second.max(records_per_second),
        };
        match self.0.get_mut(at) {
            Some(known) if known.day == day => *known = peak,
            _ => self.0.insert(at, peak),
        }
        self.0.retain(|peak| is_recent(peak.day, day));
        // A clock that was set back may have left days that are still to come.
        if self.0.len() > PEAKS_MAX {
            self.0.remove(0);
        }
        shards_for(peak, rates) > shards_for(before, rates)
    }

    /// Shards that the stream has at least.
    #[must_use]
    pub fn shards_min(&self, now: Timestamp, rates: Quota) -> u32 {
        let recent = self.0.iter().filter(|peak| is_recent(peak.day, day_of(now)));
        recent.map(|peak| shards_for(*peak, rates)).max().unwrap_or(0)
    }
}

fn day_of(now: Timestamp) -> u32 {
    u32::try_from(now.get() / DAY_MS).unwrap_or(u32::MAX)
}

fn is_recent(day: u32, today: u32) -> bool {
    today.saturating_sub(day) <= PEAK_DAYS
}

fn shards_for(peak: Peak, rates: Quota) -> u32 {
    let (bytes, records) = rates_of(rates);
    let shards = |used: u64, rate: u64| used.saturating_mul(HEADROOM).div_ceil(rate.max(1));
    let shards = shards(peak.bytes_per_second, bytes).max(shards(peak.records_per_second, records));
    u32::try_from(shards).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATES: Quota = Quota {
        write_bytes_per_second: 1_000_000,
        write_records_per_second: 1_000,
        read_bytes_per_second: 2_000_000,
    };

    fn at(day: u64) -> Timestamp {
        Timestamp(20_000 * DAY_MS + day * DAY_MS + 7)
    }

    #[test]
    fn a_peak_counts_for_thirty_days_and_twice() {
        let mut peaks = Peaks::default();
        assert_eq!(peaks.shards_min(at(0), RATES), 0);
        assert!(peaks.note(at(0), 3_100_000, 10, RATES));
        assert_eq!(peaks.shards_min(at(0), RATES), 7);
        assert!(!peaks.note(at(0), 3_000_000, 10, RATES), "it was more before");
        assert!(!peaks.note(at(0), 3_400_000, 10, RATES), "it asks for as many");
        assert!(peaks.note(at(0), 10, 4_000, RATES), "records count as bytes do");
        assert_eq!(peaks.shards_min(at(0), RATES), 8);
        assert!(peaks.note(at(9), 1_000_000, 10, RATES));
        assert_eq!((peaks.shards_min(at(30), RATES), peaks.shards_min(at(31), RATES)), (8, 2));
        assert_eq!((peaks.shards_min(at(39), RATES), peaks.shards_min(at(40), RATES)), (2, 0));
        assert!(!peaks.note(at(40), 0, 0, RATES));
        assert!(peaks.note(at(40), 1, 1, RATES));
        assert_eq!(peaks.iter().len(), 1, "what does not count is not kept");
        assert_eq!(peaks.shards_min(at(40), Quota::OFF), 1, "a shard without rates counts as one of AWS");
    }

    proptest! {
        #[test]
        fn peaks_are_bounded_and_in_order(notes in prop::collection::vec((0_u64..200, any::<u64>(), any::<u64>()), 0..200)) {
            let mut peaks = Peaks::default();
            for (day, bytes, records) in notes {
                peaks.note(at(day), bytes, records, RATES);
                prop_assert_eq!(Peaks::of(peaks.iter().copied().collect()), Some(peaks.clone()));
            }
        }
    }
}
