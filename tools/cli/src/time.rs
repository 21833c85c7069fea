//! Points in a stream as people write them, and times as they are shown; the home of the jiff crate.
//!
//! Times are shown and, where no offset is given, read in UTC: the same command has to mean the same on every machine.

#[cfg(test)]
mod tests;

use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use tidemill_wire::{SequenceNumber, Timestamp};

use crate::quantity::parse_span;

/// A place in every shard of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// The record of this number.
    Sequence(SequenceNumber),
    /// The first record appended at or after this time.
    Time(Timestamp),
    /// The oldest record that is kept.
    Oldest,
    /// Behind the newest record.
    Newest,
}

/// How a point is written, for help texts and messages.
pub(crate) const POINT_FORMS: &str = "a sequence number (1000), a time (2026-01-31, 2026-01-31T12:00:00Z, \
     2026-01-31T12:00:00+02:00; UTC without an offset), a span before now (15m, 2h30m), `oldest`, or `newest` (also `end`)";

/// The present.
pub(crate) fn now() -> Timestamp {
    from_jiff(jiff::Timestamp::now())
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text, now())
    }
}

impl Point {
    fn parse(text: &str, now: Timestamp) -> Result<Self, String> {
        let text = text.trim();
        match text {
            "oldest" | "start" => return Ok(Self::Oldest),
            "newest" | "end" => return Ok(Self::Newest),
            _ => {}
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = text.parse().map_err(|_| format!("{text} is beyond every sequence number"))?;
            return Ok(Self::Sequence(SequenceNumber(number)));
        }
        if let Ok(span) = parse_span(text) {
            let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
            return Ok(Self::Time(Timestamp(now.get().saturating_sub(millis))));
        }
        parse_time(text)
            .map(Self::Time)
            .ok_or_else(|| format!("{text:?} is not a point in a stream: expected {POINT_FORMS}"))
    }
}

/// A time with an offset, or a date with or without a time of day, in UTC.
fn parse_time(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(from_jiff(time));
    }
    let civil = text.parse::<Date>().map(DateTime::from).or_else(|_| text.parse::<DateTime>()).ok()?;
    // A day is also a date and time of day at midnight; the more exact reading wins where there is one.
    let civil = text.parse::<DateTime>().unwrap_or(civil);
    Some(from_jiff(civil.to_zoned(TimeZone::UTC).ok()?.timestamp()))
}

/// Milliseconds since the epoch; what lies before it is the epoch.
fn from_jiff(time: jiff::Timestamp) -> Timestamp {
    Timestamp(u64::try_from(time.as_millisecond()).unwrap_or(0))
}

/// `2026-01-31T12:00:00.123Z`, always with three decimals, so that texts sort as times do.
pub(crate) fn show_time(time: Timestamp) -> String {
    let millis = i64::try_from(time.get()).ok();
    millis.and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok()).map_or_else(
        // Beyond the year 9999 there is no such text; the number still says when.
        || format!("{}ms", time.get()),
        |shown| format!("{shown:.3}"),
    )
}
