//! Values of knobs, and how numbers with units are read and written.
//!
//! All arithmetic is in whole bytes and whole microseconds: what is printed reads back as the same value.

use std::time::Duration;

use super::knob::Unit;

/// A value of some knob, before it becomes a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A word, a path or an address.
    Text(String),
    /// A count or a number of bytes.
    Number(u64),
    /// A span of time.
    Time(Duration),
    /// On or off.
    Switch(bool),
    /// No value: `auto` or `none`.
    Absent,
}

/// Units of size, largest first within each family; binary before decimal when printing.
const SIZES: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// Units of time in microseconds, largest first.
const TIMES: &[(&str, u64)] = &[
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

/// Reads `10000` or `10_000`.
pub(super) fn parse_count(text: &str) -> Option<u64> {
    let digits = text.as_bytes();
    let outer = digits.first().zip(digits.last())?;
    if !(outer.0.is_ascii_digit() && outer.1.is_ascii_digit()) || text.contains("__") {
        return None;
    }
    text.bytes().filter(|byte| *byte != b'_').try_fold(0_u64, |sum, byte| {
        let digit = char::from(byte).to_digit(10)?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Reads `256MiB`, `1MB`, `64 KiB` or a plain number of bytes. Case does not matter.
pub(super) fn parse_bytes(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    if unit.is_empty() {
        return Some(number);
    }
    let (_, factor) = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.checked_mul(*factor)
}

/// Reads `500ms`, `1s`, `24h`, `7d`, or a plain number in `unit`.
pub(super) fn parse_duration(text: &str, unit: Unit) -> Option<Duration> {
    let (number, name) = split_unit(text)?;
    let name = match (name, unit) {
        ("", Unit::Millisecond) => "ms",
        ("", Unit::Second) => "s",
        (name, _) => name,
    };
    let (_, factor) = TIMES.iter().find(|(known, _)| *known == name)?;
    number.checked_mul(*factor).map(Duration::from_micros)
}

/// Writes bytes in the largest unit that is exact.
pub(super) fn show_bytes(bytes: u64) -> String {
    show(bytes, SIZES, "B", |_| true)
}

/// Writes a span in the largest unit that is exact. A single day reads `24h`, as the field says it.
pub(super) fn show_duration(span: Duration) -> String {
    let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    show(micros, TIMES, "s", |factor| factor < 86_400_000_000 || micros > factor)
}

fn show(number: u64, units: &[(&str, u64)], zero: &str, fits: impl Fn(u64) -> bool) -> String {
    if number == 0 {
        return format!("0{zero}");
    }
    let exact = units.iter().find(|(_, factor)| number.is_multiple_of(*factor) && fits(*factor));
    exact.map_or_else(|| number.to_string(), |(name, factor)| format!("{}{name}", number / factor))
}

/// Splits `12 MiB` into the number and the unit, which may be empty.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '_')).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    Some((parse_count(number)?, unit.trim_start()))
}
