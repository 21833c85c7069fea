//! Sizes, spans of time, counts and rates: how people write them, and how they are shown.

#[cfg(test)]
mod tests;

use std::time::Duration;

const SIZES: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("T", 1 << 40),
    ("G", 1 << 30),
    ("M", 1 << 20),
    ("K", 1 << 10),
    ("B", 1),
    ("", 1),
];

const SPANS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

/// Reads `4096`, `64KiB`, `1MB` or `2G`. Two letters count in thousands, one letter or `iB` in 1,024.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let wanted =
        || format!("{text:?} is not a size: expected a number and B, KB, MB, GB, TB, KiB, MiB, GiB or TiB");
    let (number, unit) = split(text.trim()).ok_or_else(wanted)?;
    let (_, factor) = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(wanted)?;
    scale(number, *factor).ok_or_else(wanted)
}

/// Reads `500ms`, `90s`, `1h30m` or `7d`.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    let wanted =
        || format!("{text:?} is not a span of time: expected numbers and ms, s, m, h, d or w, as in 1h30m");
    let mut rest = text.trim();
    let mut millis = 0_u64;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wanted)?;
        let (number, tail) = rest.split_at(unit_at);
        let unit_end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, after) = tail.split_at(unit_end);
        let (_, factor) = SPANS.iter().find(|(name, _)| *name == unit).ok_or_else(wanted)?;
        let part = scale(number.trim(), *factor).ok_or_else(wanted)?;
        millis = millis.checked_add(part).ok_or_else(wanted)?;
        rest = after.trim_start();
    }
    if text.trim().is_empty() { Err(wanted()) } else { Ok(Duration::from_millis(millis)) }
}

/// Splits a number from what follows it.
fn split(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '_'))).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (!number.is_empty()).then(|| (number, unit.trim()))
}

/// A decimal number times a factor, exact for whole numbers.
fn scale(number: &str, factor: u64) -> Option<u64> {
    let number = number.replace('_', "");
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let (whole, fraction) = number.split_once('.')?;
    let digits = fraction.len().try_into().ok().filter(|digits| (1..=9).contains(digits))?;
    let part = u128::from(fraction.parse::<u64>().ok()?) * u128::from(factor) / 10_u128.pow(digits);
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    whole.checked_add(u64::try_from(part).ok()?)
}

/// `999 B`, `1.50 kB`, `3.21 GB`: three figures, in thousands, as disks and networks count.
pub(crate) fn show_bytes(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1e3;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1e3;
        unit += 1;
    }
    format!("{} {}", figures(value), units[unit])
}

/// Bytes a second.
pub(crate) fn show_rate(bytes: u64, elapsed: Duration) -> String {
    format!("{}/s", show_bytes(per_second(bytes, elapsed)))
}

/// Something a second, rounded down; 0 when no time has passed.
pub(crate) fn per_second(count: u64, elapsed: Duration) -> u64 {
    let nanos = elapsed.as_nanos().max(1);
    u64::try_from(u128::from(count) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
}

/// `1,234,567`.
pub(crate) fn show_count(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// `1 record`, `1,234 records`.
pub(crate) fn show_counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", show_count(count), if count == 1 { "" } else { "s" })
}

/// `850 µs`, `12.3 ms`, `4.20 s`, `3m 20s`, `2h 5m`, `7d`.
pub(crate) fn show_span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 if span < Duration::from_millis(1) => format!("{} µs", span.as_micros()),
        0 => format!("{} ms", figures(span.as_secs_f64() * 1e3)),
        1..60 => format!("{} s", figures(span.as_secs_f64())),
        60..3_600 => two_units(seconds / 60, "m", seconds % 60, "s"),
        3_600..172_800 => two_units(seconds / 3_600, "h", seconds % 3_600 / 60, "m"),
        _ => two_units(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

fn two_units(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large}{large_unit}")
    } else {
        format!("{large}{large_unit} {small}{small_unit}")
    }
}

/// Three significant figures of a number from 0 to 1,000.
fn figures(value: f64) -> String {
    match value {
        v if v < 9.995 => format!("{v:.2}"),
        v if v < 99.95 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}
