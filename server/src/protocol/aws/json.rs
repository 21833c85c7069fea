//! AWS JSON 1.1: bytes are base64, moments are seconds.
//!
//! A body is read straight into the values that its shape has; what the model does not know is skipped. Whatever the bytes are, reading returns a
//! value or a refusal: nesting is bounded by the shape, what is skipped is skipped without recursion, and the number of values is bounded by `limits`.

use std::cell::Cell;
use std::fmt;
use std::io::Write;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use tidemill_wire::Timestamp;

use super::base64::{decode as decode_base64, encode_into};
use super::error::Fault;
use super::limits::VALUES_MAX;
use super::output::Output;
use super::shape::{Kind, Shape};
use super::value::Value;

/// The body of a refusal.
pub(super) fn encode_fault(fault: &Fault) -> Vec<u8> {
    let mut out = JsonOutput::with_capacity(128);
    out.begin_structure(2);
    out.name("__type");
    out.text(fault.name);
    out.name("message");
    out.text(&fault.message);
    out.end_structure();
    out.finish()
}

/// Reads a value of a shape. A body without anything is a structure without members.
pub(super) fn decode(shape: &'static Shape, body: &[u8]) -> Result<Value, Fault> {
    if body.is_empty() {
        return Ok(Value::Structure(Vec::new()));
    }
    let left = Cell::new(VALUES_MAX);
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = Seed { shape, left: &left }.deserialize(&mut reader).map_err(|error| malformed(&error))?;
    reader.end().map_err(|error| malformed(&error))?;
    Ok(value.unwrap_or(Value::Structure(Vec::new())))
}

/// What a reader says about bytes that it cannot read.
pub(super) fn malformed(error: &serde_json::Error) -> Fault {
    Fault::serialization(error.to_string())
}

/// A moment from seconds, to the millisecond.
pub(super) fn moment(seconds: f64) -> Option<Timestamp> {
    let ms = (seconds * 1_000.0).round();
    // Below 2^53 every whole number has its own float; these milliseconds last for 285,000 years.
    let is_within = (0.0..=9_007_199_254_740_992.0).contains(&ms);
    is_within.then_some(Timestamp(ms as u64))
}

/// Reads a value of a shape; `None` is null.
#[derive(Clone, Copy)]
struct Seed<'a> {
    shape: &'static Shape,
    left: &'a Cell<u32>,
}

impl Seed<'_> {
    fn spend<E: Error>(&self) -> Result<(), E> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| E::custom(format_args!("more than {VALUES_MAX} values")))?);
        Ok(())
    }

    fn convert<E: Error>(&self, found: &str) -> E {
        let wanted = match self.shape.kind {
            Kind::Structure(_) => "a structure",
            Kind::List(..) => "a list",
            Kind::Map(..) => "a map",
            Kind::Text(..) | Kind::Enumeration(_) => "a String",
            Kind::Blob(_) => "a Blob",
            Kind::Integer(_) => "an Integer",
            Kind::Long(_) => "a Long",
            Kind::Boolean => "a Boolean",
            Kind::Timestamp => "a Timestamp",
        };
        E::custom(format_args!("{found} can not be converted to {wanted}"))
    }

    fn whole<E: Error>(&self, number: i64) -> Result<Value, E> {
        match self.shape.kind {
            Kind::Integer(_) if i32::try_from(number).is_ok() => Ok(Value::Integer(number)),
            Kind::Long(_) => Ok(Value::Integer(number)),
            Kind::Timestamp => moment(number as f64)
                .map(Value::Timestamp)
                .ok_or_else(|| self.convert("a number out of range")),
            _ => Err(self.convert("NUMBER_VALUE")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Option<Value>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a value of {}", self.shape.name)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        self.spend()?;
        match self.shape.kind {
            Kind::Boolean => Ok(Some(Value::Boolean(value))),
            _ => Err(self.convert(if value { "TRUE_VALUE" } else { "FALSE_VALUE" })),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        self.spend()?;
        self.whole(number).map(Some)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        self.spend()?;
        let number = i64::try_from(number).map_err(|_| self.convert("a number out of range"))?;
        self.whole(number).map(Some)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        self.spend()?;
        let time = matches!(self.shape.kind, Kind::Timestamp).then(|| moment(number)).flatten();
        time.map(|time| Some(Value::Timestamp(time))).ok_or_else(|| self.convert("DECIMAL_VALUE"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        self.spend()?;
        match self.shape.kind {
            Kind::Text(..) | Kind::Enumeration(_) => Ok(Some(Value::Text(text.to_owned()))),
            Kind::Blob(_) => {
                let bytes = decode_base64(text.as_bytes());
                let bytes = bytes.map_err(|error| E::custom(format_args!("base64: {error}")))?;
                Ok(Some(Value::Blob(Bytes::from(bytes))))
            }
            _ => Err(self.convert("STRING_VALUE")),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        self.spend()?;
        let Kind::List(member, _) = self.shape.kind else {
            return Err(A::Error::custom("Start of list found where not expected"));
        };
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Seed { shape: member, ..self })? {
            list.push(item.ok_or_else(|| A::Error::custom("a list holds null"))?);
        }
        Ok(Some(Value::List(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        self.spend()?;
        match self.shape.kind {
            Kind::Structure(_) => {
                let mut found: Vec<(&'static str, Value)> = Vec::new();
                while let Some(name) = members.next_key::<std::borrow::Cow<'_, str>>()? {
                    let Some(member) = self.shape.member(&name) else {
                        members.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    let value = members.next_value_seed(Seed { shape: member.shape, ..self })?;
                    // Of members that are there twice the last one holds.
                    found.retain(|(known, _)| *known != member.name);
                    found.extend(value.map(|value| (member.name, value)));
                }
                Ok(Some(Value::Structure(found)))
            }
            Kind::Map(_, shape, _) => {
                let mut found: Vec<(String, Value)> = Vec::new();
                while let Some(key) = members.next_key::<String>()? {
                    let value = members.next_value_seed(Seed { shape, ..self })?;
                    let value = value.ok_or_else(|| A::Error::custom("a map holds null"))?;
                    found.push((key, value));
                }
                Ok(Some(Value::Map(found)))
            }
            _ => Err(A::Error::custom("Start of structure or map found where not expected.")),
        }
    }
}

/// Whether a text is written as it is. All of its bytes are looked at, which goes many at a time.
fn is_plain(text: &str) -> bool {
    let is_special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    !text.bytes().fold(false, |found, byte| found | is_special(byte))
}

/// Writes JSON.
pub(super) struct JsonOutput {
    out: Vec<u8>,
    /// The next name or item is not the first of its structure or list.
    is_further: bool,
}

impl JsonOutput {
    /// With memory for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes), is_further: false }
    }

    fn separate(&mut self) {
        if self.is_further {
            self.out.push(b',');
        }
        self.is_further = true;
    }

    fn quoted(&mut self, text: &str) {
        if is_plain(text) {
            self.out.push(b'"');
            self.out.extend_from_slice(text.as_bytes());
            self.out.push(b'"');
            return;
        }
        serde_json::to_writer(&mut self.out, text).expect("memory takes all that is written to it");
    }
}

impl Output for JsonOutput {
    fn begin_structure(&mut self, _members: usize) {
        self.separate();
        self.out.push(b'{');
        self.is_further = false;
    }

    fn name(&mut self, name: &str) {
        self.separate();
        self.quoted(name);
        self.out.push(b':');
        self.is_further = false;
    }

    fn end_structure(&mut self) {
        self.out.push(b'}');
        self.is_further = true;
    }

    fn begin_list(&mut self, _items: usize) {
        self.separate();
        self.out.push(b'[');
        self.is_further = false;
    }

    fn end_list(&mut self) {
        self.out.push(b']');
        self.is_further = true;
    }

    fn text(&mut self, text: &str) {
        self.separate();
        self.quoted(text);
    }

    fn blob(&mut self, bytes: &[u8]) {
        self.separate();
        self.out.push(b'"');
        encode_into(bytes, &mut self.out);
        self.out.push(b'"');
    }

    fn integer(&mut self, number: i64) {
        self.separate();
        write!(self.out, "{number}").expect("memory takes all that is written to it");
    }

    fn boolean(&mut self, value: bool) {
        self.separate();
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn timestamp(&mut self, time: Timestamp) {
        self.separate();
        let (seconds, ms) = (time.get() / 1_000, time.get() % 1_000);
        write!(self.out, "{seconds}.{ms:03}").expect("memory takes all that is written to it");
    }

    fn finish(self) -> Vec<u8> {
        self.out
    }
}
