//! What is read and what is shown.

use std::time::Duration;

use super::{parse_bytes, parse_span, per_second, show_bytes, show_count, show_span};

#[test]
fn sizes_are_read_in_thousands_and_in_1024() {
    let check = |text: &str, expected: Option<u64>| assert_eq!(parse_bytes(text).ok(), expected, "{text}");
    check("0", Some(0));
    check("4096", Some(4_096));
    check("64KiB", Some(64 << 10));
    check("64k", Some(64 << 10));
    check("1MB", Some(1_000_000));
    check("1.5 GiB", Some(3 << 29));
    check("1_000", Some(1_000));
    check("", None);
    check("MB", None);
    check("12 parsecs", None);
    check("-1", None);
    check("99999999TiB", None);
}

#[test]
fn spans_may_have_several_units() {
    let check = |text: &str, expected: Option<u64>| {
        assert_eq!(parse_span(text).ok(), expected.map(Duration::from_millis), "{text}");
    };
    check("500ms", Some(500));
    check("1h30m", Some(5_400_000));
    check("1.5h", Some(5_400_000));
    check("7d", Some(604_800_000));
    check("5", None);
    check("", None);
    check("m", None);
    check("1y", None);
}

#[test]
fn numbers_are_shown_with_three_figures() {
    let sizes = [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.00 kB"),
        (12_345, "12.3 kB"),
        (999_999, "1.00 MB"),
        (u64::MAX, "18.4 EB"),
    ];
    for (bytes, shown) in sizes {
        assert_eq!(show_bytes(bytes), shown);
    }
    let spans = [
        (850, "850 µs"),
        (12_345, "12.3 ms"),
        (4_200_000, "4.20 s"),
        (200_000_000, "3m 20s"),
        (86_400_000_000, "24h"),
    ];
    for (micros, shown) in spans {
        assert_eq!(show_span(Duration::from_micros(micros)), shown);
    }
    assert_eq!(show_count(1_234_567), "1,234,567");
    assert_eq!(show_count(123), "123");
}

#[test]
fn rates_survive_no_time_at_all() {
    assert_eq!(per_second(10, Duration::from_secs(2)), 5);
    assert!(per_second(1, Duration::ZERO) > 0);
}
