//! What is a point, and how a time looks.

use tidemill_wire::{SequenceNumber, Timestamp};

use super::{Point, show_time};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

#[test]
fn points_are_told_apart_by_their_form() {
    let check =
        |text: &str, expected: Option<Point>| assert_eq!(Point::parse(text, NOW).ok(), expected, "{text}");
    let time = |millis| Some(Point::Time(Timestamp(millis)));
    check("0", Some(Point::Sequence(SequenceNumber(0))));
    check("1000", Some(Point::Sequence(SequenceNumber(1_000))));
    check("oldest", Some(Point::Oldest));
    check("newest", Some(Point::Newest));
    check("end", Some(Point::Newest));
    check("15m", time(NOW.get() - 900_000));
    check("2026-01-31", time(1_769_817_600_000));
    check("2026-01-31T12:00:00Z", time(1_769_860_800_000));
    check("2026-01-31T12:00:00.250Z", time(1_769_860_800_250));
    check("2026-01-31T14:00:00+02:00", time(1_769_860_800_000));
    check("2026-01-31T12:00:00", time(1_769_860_800_000));
    check("2026-01-31 12:00", time(1_769_860_800_000));
    check("1969-07-20", time(0));
    check("99999999999999999999", None);
    check("-5", None);
    check("yesterday", None);
    check("", None);
}

#[test]
fn times_are_shown_in_utc_with_milliseconds() {
    assert_eq!(show_time(Timestamp(1_769_860_800_250)), "2026-01-31T12:00:00.250Z");
    assert_eq!(show_time(Timestamp(0)), "1970-01-01T00:00:00.000Z");
    assert_eq!(show_time(Timestamp(u64::MAX)), "18446744073709551615ms");
}
