//! Which partition key a line gets.
//!
//! Records with the same key go to the same shard and stay in order. A line that a rule finds no key in, or one of more than
//! [`KEY_BYTES_MAX`] bytes, goes without a key, and the ingest counts it.

#[cfg(test)]
mod tests;

use std::str::FromStr;

use regex::bytes::Regex;
use tidemill_wire::limits::KEY_BYTES_MAX;

/// Where the key of a line comes from.
#[derive(Clone, Debug)]
pub(crate) enum KeyRule {
    /// The field of this number, from 1; fields are apart by blanks and tabs.
    Field(usize),
    /// The first group of the expression, or all of the match if it has no group.
    Regex(Regex),
    /// The path of the file.
    File,
    /// No key: whole batches go to one shard after the other.
    None,
}

impl FromStr for KeyRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "file" => Ok(Self::File),
            None if text == "none" => Ok(Self::None),
            Some(("field", number)) => match number.parse() {
                Ok(number @ 1..) => Ok(Self::Field(number)),
                _ => Err(format!("field number {number:?} is not a whole number from 1")),
            },
            Some(("regex", expression)) => Regex::new(expression)
                .map(Self::Regex)
                .map_err(|error| format!("regex {expression:?}: {error}")),
            _ => Err(format!("{text:?} is not a key rule: expected field:N, regex:RE, file or none")),
        }
    }
}

impl KeyRule {
    /// The key of a line of a file; `None` where the rule finds none.
    pub(crate) fn key<'l>(&self, line: &'l [u8], path: &'l [u8]) -> Option<&'l [u8]> {
        let key = match self {
            Self::Field(number) => field(line, *number),
            Self::Regex(regex) if regex.captures_len() == 1 => regex.find(line).map(|found| found.as_bytes()),
            Self::Regex(regex) => regex.captures(line)?.get(1).map(|group| group.as_bytes()),
            Self::File => Some(path),
            Self::None => None,
        };
        key.filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()))
    }

    /// Whether a line without a key is worth telling.
    pub(crate) fn wants_key(&self) -> bool {
        !matches!(self, Self::None)
    }
}

/// As awk counts fields: runs of blanks and tabs lie between them, and those at the ends do not count.
fn field(line: &[u8], number: usize) -> Option<&[u8]> {
    line.split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|field| !field.is_empty())
        .nth(number.checked_sub(1)?)
}
