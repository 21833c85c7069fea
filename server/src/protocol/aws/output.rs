//! What an answer is written with, value by value: one way for both encodings.

use tidemill_wire::Timestamp;

use super::cbor::CborOutput;
use super::json::JsonOutput;
use super::value::Value;

/// A writer of values. Whoever calls it opens and closes structures and lists in pairs, and says beforehand how much is in them.
pub(super) trait Output {
    /// A structure or map of so many members follows: a name and a value each.
    fn begin_structure(&mut self, members: usize);
    /// The name of the value that follows.
    fn name(&mut self, name: &str);
    /// The structure is complete.
    fn end_structure(&mut self);
    /// A list of so many values follows.
    fn begin_list(&mut self, items: usize);
    /// The list is complete.
    fn end_list(&mut self);
    /// A text.
    fn text(&mut self, text: &str);
    /// Bytes.
    fn blob(&mut self, bytes: &[u8]);
    /// A whole number.
    fn integer(&mut self, number: i64);
    /// A truth value.
    fn boolean(&mut self, value: bool);
    /// A moment.
    fn timestamp(&mut self, time: Timestamp);
    /// Everything that was written.
    fn finish(self) -> Vec<u8>;

    /// A whole tree of values.
    fn value(&mut self, value: &Value) {
        match value {
            Value::Boolean(value) => self.boolean(*value),
            Value::Integer(number) => self.integer(*number),
            Value::Text(text) => self.text(text),
            Value::Blob(bytes) => self.blob(bytes),
            Value::Timestamp(time) => self.timestamp(*time),
            Value::List(items) => {
                self.begin_list(items.len());
                items.iter().for_each(|item| self.value(item));
                self.end_list();
            }
            Value::Map(pairs) => self.members(pairs.iter().map(|(key, value)| (key.as_str(), value))),
            Value::Structure(members) => self.members(members.iter().map(|(name, value)| (*name, value))),
        }
    }

    /// A structure of these members.
    fn members<'v>(&mut self, members: impl ExactSizeIterator<Item = (&'v str, &'v Value)>) {
        self.begin_structure(members.len());
        for (name, value) in members {
            self.name(name);
            self.value(value);
        }
        self.end_structure();
    }
}

/// A writer of the encoding that the caller has chosen.
pub(super) enum AnyOutput {
    /// JSON.
    Json(JsonOutput),
    /// CBOR.
    Cbor(CborOutput),
}

macro_rules! either {
    ($self:ident, $out:ident => $call:expr) => {
        match $self {
            Self::Json($out) => $call,
            Self::Cbor($out) => $call,
        }
    };
}

impl Output for AnyOutput {
    fn begin_structure(&mut self, members: usize) {
        either!(self, out => out.begin_structure(members));
    }

    fn name(&mut self, name: &str) {
        either!(self, out => out.name(name));
    }

    fn end_structure(&mut self) {
        either!(self, out => out.end_structure());
    }

    fn begin_list(&mut self, items: usize) {
        either!(self, out => out.begin_list(items));
    }

    fn end_list(&mut self) {
        either!(self, out => out.end_list());
    }

    fn text(&mut self, text: &str) {
        either!(self, out => out.text(text));
    }

    fn blob(&mut self, bytes: &[u8]) {
        either!(self, out => out.blob(bytes));
    }

    fn integer(&mut self, number: i64) {
        either!(self, out => out.integer(number));
    }

    fn boolean(&mut self, value: bool) {
        either!(self, out => out.boolean(value));
    }

    fn timestamp(&mut self, time: Timestamp) {
        either!(self, out => out.timestamp(time));
    }

    fn finish(self) -> Vec<u8> {
        either!(self, out => out.finish())
    }
}
