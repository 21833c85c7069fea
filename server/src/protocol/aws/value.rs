//! Inputs and outputs of operations as trees of values, for operations that are not called for every record.

use bytes::Bytes;
use tidemill_wire::Timestamp;

/// A value of some shape.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// A truth value.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Blob(Bytes),
    /// A moment.
    Timestamp(Timestamp),
    /// Values in their order.
    List(Vec<Value>),
    /// Values under keys of the caller's.
    Map(Vec<(String, Value)>),
    /// Values under the model's names.
    Structure(Vec<(&'static str, Value)>),
}

impl Value {
    /// A structure of the members that are there.
    pub(super) fn structure<const N: usize>(members: [(&'static str, Option<Value>); N]) -> Self {
        Self::Structure(members.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }

    /// A text.
    pub(super) fn text(text: impl Into<String>) -> Option<Self> {
        Some(Self::Text(text.into()))
    }

    /// The member of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Structure(members) => Some(&members.iter().find(|(known, _)| *known == name)?.1),
            _ => None,
        }
    }

    /// The member of this name, which is not there any more then.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        let Self::Structure(members) = self else { return None };
        let at = members.iter().position(|(known, _)| *known == name)?;
        Some(members.swap_remove(at).1)
    }

    /// The text of this name, which is not there any more then.
    pub(super) fn take_text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text of this name.
    pub(super) fn get_text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number of this name.
    pub(super) fn get_integer(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The truth value of this name; false if there is none.
    pub(super) fn is_set(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Self::Boolean(true)))
    }

    /// The moment of this name.
    pub(super) fn get_timestamp(&self, name: &str) -> Option<Timestamp> {
        match self.get(name)? {
            Self::Timestamp(time) => Some(*time),
            _ => None,
        }
    }

    /// The texts of the list of this name.
    pub(super) fn texts<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let items = match self.get(name) {
            Some(Self::List(items)) => items.as_slice(),
            _ => &[],
        };
        items.iter().filter_map(|item| match item {
            Self::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The texts of the map of this name, with their keys.
    pub(super) fn text_pairs<'a>(&'a self, name: &str) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let pairs = match self.get(name) {
            Some(Self::Map(pairs)) => pairs.as_slice(),
            _ => &[],
        };
        pairs.iter().filter_map(|(key, value)| match value {
            Self::Text(text) => Some((key.as_str(), text.as_str())),
            _ => None,
        })
    }
}
