//! The time of a signature: `20150830T123600Z`.

use std::fmt::Write;

const SECONDS_PER_DAY: u64 = 86_400;

/// A moment as it was written, and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment<'a> {
    pub(super) text: &'a str,
    /// Seconds since 1970.
    pub(super) seconds: u64,
}

impl<'a> Moment<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 16 || bytes.get(8) != Some(&b'T') || bytes.get(15) != Some(&b'Z') {
            return None;
        }
        let number = |from: usize, to: usize| {
            bytes
                .get(from..to)?
                .iter()
                .try_fold(0_u64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
        };
        let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
        let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
        // A leap second is written as 60.
        if year < 1970 || hour > 23 || minute > 59 || second > 60 || day == 0 || day > days_in(year, month)? {
            return None;
        }
        let days = days_before_year(year) - days_before_year(1970)
            + (1..month).map_while(|month| days_in(year, month)).sum::<u64>()
            + (day - 1);
        Some(Self { text, seconds: days * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second })
    }

    /// The day, as scopes have it.
    pub(super) fn date(&self) -> &'a str {
        self.text.get(..8).unwrap_or_default()
    }
}

/// Writes a moment.
pub(super) fn format(seconds: u64) -> String {
    let (mut days, rest) = (seconds / SECONDS_PER_DAY, seconds % SECONDS_PER_DAY);
    let mut year = 1970 + days / 366;
    while days_before_year(year + 1) - days_before_year(1970) <= days {
        year += 1;
    }
    days -= days_before_year(year) - days_before_year(1970);
    let mut month = 1;
    while let Some(length) = days_in(year, month).filter(|length| *length <= days) {
        days -= length;
        month += 1;
    }
    let mut text = String::new();
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    write!(text, "{year:04}{month:02}{:02}T{hour:02}{minute:02}{second:02}Z", days + 1)
        .expect("writing to a string cannot fail");
    text
}

/// Days from the year 1 to the beginning of a year.
fn days_before_year(year: u64) -> u64 {
    let before = year - 1;
    before * 365 + before / 4 - before / 100 + before / 400
}

fn days_in(year: u64, month: u64) -> Option<u64> {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if is_leap => Some(29),
        2 => Some(28),
        4 | 6 | 9 | 11 => Some(30),
        1..=12 => Some(31),
        _ => None,
    }
}
