//! The canonical form of a request: what is signed of it.
//!
//! ```text
//! METHOD \n path \n query \n name:value\n … \n signed;names \n digest of the body
//! ```
//! It goes piece by piece to a digest and is never whole in memory.

use std::borrow::Cow;

use super::Head;
use super::claim::{Claim, SIGNATURE_PARAMETER};

/// A request and what its signer said of it.
pub(super) struct Canonical<'a, 'b> {
    pub(super) head: Head<'a>,
    pub(super) claim: &'b Claim<'a>,
    pub(super) payload: &'b str,
}

impl Canonical<'_, '_> {
    /// Hands it over, in pieces.
    pub(super) fn write(&self, sink: &mut impl FnMut(&[u8])) {
        sink(self.head.method.as_bytes());
        sink(b"\n");
        write_path(self.head.path, sink);
        sink(b"\n");
        write_query(self.head.query, sink);
        sink(b"\n");
        for name in self.claim.signed_headers.split(';') {
            sink(name.as_bytes());
            sink(b":");
            for (index, value) in self.head.values(name).enumerate() {
                if index > 0 {
                    sink(b",");
                }
                write_trimmed(value, sink);
            }
            sink(b"\n");
        }
        sink(b"\n");
        sink(self.claim.signed_headers.as_bytes());
        sink(b"\n");
        sink(self.payload.as_bytes());
    }
}

/// The path with `.`, `..` and empty segments resolved, and what was sent encoded once more, as for every service but S3.
fn write_path(path: &str, sink: &mut impl FnMut(&[u8])) {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    for segment in &segments {
        sink(b"/");
        write_encoded(segment.as_bytes(), sink);
    }
    let ends_open = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
    if segments.is_empty() || ends_open {
        sink(b"/");
    }
}

/// The parameters, encoded anew and in order, without the signature itself.
fn write_query(query: &str, sink: &mut impl FnMut(&[u8])) {
    if query.is_empty() {
        return;
    }
    let encoded = |text: &str| {
        let mut out = Vec::new();
        write_encoded(&decode(text), &mut |piece: &[u8]| out.extend_from_slice(piece));
        out
    };
    let mut parameters: Vec<(Vec<u8>, Vec<u8>)> = query
        .split('&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
        .filter(|(name, _)| *name != SIGNATURE_PARAMETER)
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect();
    parameters.sort();
    for (index, (name, value)) in parameters.iter().enumerate() {
        if index > 0 {
            sink(b"&");
        }
        sink(name);
        sink(b"=");
        sink(value);
    }
}

/// A header's value without space around it, and with one where there are several.
fn write_trimmed(value: &[u8], sink: &mut impl FnMut(&[u8])) {
    let mut words = value.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    if let Some(first) = words.next() {
        sink(first);
    }
    for word in words {
        sink(b" ");
        sink(word);
    }
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
fn write_encoded(bytes: &[u8], sink: &mut impl FnMut(&[u8])) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let mut rest = bytes;
    while !rest.is_empty() {
        let plain = rest.iter().take_while(|byte| is_plain(byte)).count();
        let (piece, other) = rest.split_at(plain);
        if !piece.is_empty() {
            sink(piece);
        }
        rest = match other.split_first() {
            Some((byte, after)) => {
                sink(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
                after
            }
            None => other,
        };
    }
}

/// Undoes percent-encoding; a plus stands for a space, as forms have it. A percent sign without two digits stands for itself.
pub(super) fn decode(text: &str) -> Cow<'_, [u8]> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text.as_bytes());
    }
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let pair = (digit(bytes.get(at + 1)), digit(bytes.get(at + 2)));
        match (byte, pair) {
            (b'%', (Some(high), Some(low))) => {
                out.push(u8::try_from(high * 16 + low).expect("two digits are a byte"));
                at += 3;
            }
            (b'+', _) => {
                out.push(b' ');
                at += 1;
            }
            (other, _) => {
                out.push(*other);
                at += 1;
            }
        }
    }
    Cow::Owned(out)
}
