//! How a record is printed: its data and a newline, or a JSON object on a line.
//!
//! The object has `shard`, `sequence`, `time` (of the append, UTC), `key` and `data`. A key or data that is not
//! UTF-8 is in `key_base64` or `data_base64` instead (RFC 4648, padded), so that nothing is lost and nothing is guessed.
//! A record without a key has neither.

use std::io::{self, Write};

use serde::Serialize;
use tidemill_wire::{SequenceNumber, ShardIndex, Timestamp};

use crate::time::show_time;

/// The form of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Data and a newline.
    Raw,
    /// One JSON object on a line.
    Json,
}

/// A record and its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printed<'a> {
    pub(crate) shard: ShardIndex,
    pub(crate) sequence: SequenceNumber,
    pub(crate) append_time: Timestamp,
    pub(crate) key: &'a [u8],
    pub(crate) data: &'a [u8],
}

#[derive(Serialize)]
struct Object<'a> {
    shard: u32,
    sequence: u64,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

impl Printed<'_> {
    /// Writes the record and a newline.
    pub(crate) fn write(&self, form: Form, out: &mut impl Write) -> io::Result<()> {
        match form {
            Form::Raw => out.write_all(self.data)?,
            Form::Json => self.write_json(out)?,
        }
        out.write_all(b"\n")
    }

    fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        let (key, key_base64) = text_or_base64(self.key);
        let (data, data_base64) = text_or_base64(self.data);
        let has_key = !self.key.is_empty();
        let object = Object {
            shard: self.shard.get(),
            sequence: self.sequence.get(),
            time: show_time(self.append_time),
            key: key.filter(|_| has_key),
            key_base64,
            data,
            data_base64,
        };
        serde_json::to_writer(out, &object).map_err(io::Error::from)
    }
}

/// Bytes as text, or in base64 where they are none.
pub(crate) fn text_or_base64(bytes: &[u8]) -> (Option<&str>, Option<String>) {
    std::str::from_utf8(bytes).map_or_else(|_| (None, Some(base64(bytes))), |text| (Some(text), None))
}

/// RFC 4648, section 4, with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * index) & 63) as usize];
            text.push(if index <= group.len() { char::from(letter) } else { '=' });
        }
    }
    text
}
