//! The parameters of a call: names and values, decoded, in the order of their names.

use std::borrow::Cow;

use super::error::Fault;
use super::limits::VALUES_MAX;

/// What a caller brings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// In order of the names; of several with one name the first holds.
    sorted: Vec<(String, String)>,
}

impl Parameters {
    /// Reads a form, or a query without its question mark, after another one.
    pub(super) fn parse(first: &[u8], more: &[u8]) -> Result<Self, Fault> {
        let mut sorted = Vec::new();
        let pieces = [first, more].into_iter().flat_map(|form| form.split(|byte| *byte == b'&'));
        for piece in pieces.filter(|piece| !piece.is_empty()) {
            if sorted.len() >= VALUES_MAX as usize {
                return Err(Fault::serialization(format!("more than {VALUES_MAX} parameters")));
            }
            let at = piece.iter().position(|byte| *byte == b'=').unwrap_or(piece.len());
            let (name, value) = piece.split_at(at);
            sorted.push((text(name)?, text(value.get(1..).unwrap_or_default())?));
        }
        sorted.sort_by(|(left, _), (right, _)| left.cmp(right));
        Ok(Self { sorted })
    }

    /// The parameter of this name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let at = self.sorted.partition_point(|(known, _)| known.as_str() < name);
        let (known, value) = self.sorted.get(at)?;
        (known == name).then_some(value)
    }

    /// The names that begin with this, a dot behind it, without both.
    pub(super) fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        let from = self.sorted.partition_point(|(known, _)| known.as_str() < prefix);
        let rest = self.sorted.get(from..).unwrap_or_default();
        // Between the name itself and those that go on with a dot are those that go on with less than a dot.
        let begins = rest.iter().map(move |(known, _)| known.strip_prefix(prefix));
        begins.map_while(|rest| rest).filter_map(|rest| rest.strip_prefix('.'))
    }
}

/// Undoes percent-encoding; a plus stands for a space.
fn text(encoded: &[u8]) -> Result<String, Fault> {
    let decoded = decode(encoded).ok_or_else(|| Fault::serialization("a percent sign without two digits"))?;
    String::from_utf8(decoded.into_owned()).map_err(|_| Fault::serialization("a parameter is no UTF-8"))
}

fn decode(encoded: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !encoded.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(Cow::Borrowed(encoded));
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded.iter();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => digit(*rest.next()?)? << 4 | digit(*rest.next()?)?,
            other => *other,
        });
    }
    Some(Cow::Owned(decoded))
}
