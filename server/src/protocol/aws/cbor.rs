//! AWS CBOR 1.1: AWS JSON 1.1 in CBOR, as the SDK for Java speaks it.
//!
//! Bytes are byte strings; a moment is tagged 1 and, unlike the tag's own rule, counts milliseconds when it is a whole number. Whatever the bytes
//! are, reading returns a value or a refusal, with the bounds that hold for JSON.

use std::borrow::Cow;

use bytes::Bytes;
use minicbor::data::{IanaTag, Type};
use minicbor::{Decoder, Encoder};
use tidemill_wire::Timestamp;

use super::error::Fault;
use super::json::moment;
use super::limits::{DEPTH_MAX, VALUES_MAX};
use super::output::Output;
use super::shape::{Kind, Shape};
use super::value::Value;

/// The body of a refusal.
pub(super) fn encode_fault(fault: &Fault) -> Vec<u8> {
    let mut out = CborOutput::with_capacity(128);
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
    let mut reader = CborReader::new(body);
    let value = reader.value(shape)?;
    reader.end()?;
    Ok(value.unwrap_or(Value::Structure(Vec::new())))
}

/// Reads CBOR item by item.
pub(super) struct CborReader<'b> {
    decoder: Decoder<'b>,
    left: u32,
}

fn malformed(error: &minicbor::decode::Error) -> Fault {
    Fault::serialization(format!("cbor: {error}"))
}

impl<'b> CborReader<'b> {
    /// A reader of these bytes.
    pub(super) fn new(body: &'b [u8]) -> Self {
        Self { decoder: Decoder::new(body), left: VALUES_MAX }
    }

    /// Refuses bytes behind the value.
    pub(super) fn end(&self) -> Result<(), Fault> {
        match self.decoder.input().len() - self.decoder.position() {
            0 => Ok(()),
            bytes => Err(Fault::serialization(format!("cbor: {bytes} bytes after the end"))),
        }
    }

    /// Whether null comes next, which is passed over.
    pub(super) fn take_null(&mut self) -> Result<bool, Fault> {
        let is_null = matches!(self.datatype()?, Type::Null | Type::Undefined);
        if is_null {
            self.decoder.skip().map_err(|error| malformed(&error))?;
        }
        Ok(is_null)
    }

    /// A text.
    pub(super) fn text(&mut self) -> Result<Cow<'b, str>, Fault> {
        match self.datatype()? {
            Type::String => self.decoder.str().map(Cow::Borrowed).map_err(|error| malformed(&error)),
            Type::StringIndef => {
                let parts = self.decoder.str_iter().map_err(|error| malformed(&error))?;
                parts.collect::<Result<String, _>>().map(Cow::Owned).map_err(|error| malformed(&error))
            }
            found => Err(unexpected(found, "a String")),
        }
    }

    /// Bytes.
    pub(super) fn bytes(&mut self) -> Result<Cow<'b, [u8]>, Fault> {
        match self.datatype()? {
            Type::Bytes => self.decoder.bytes().map(Cow::Borrowed).map_err(|error| malformed(&error)),
            Type::BytesIndef => {
                let mut all = Vec::new();
                for part in self.decoder.bytes_iter().map_err(|error| malformed(&error))? {
                    all.extend_from_slice(part.map_err(|error| malformed(&error))?);
                }
                Ok(Cow::Owned(all))
            }
            found => Err(unexpected(found, "a Blob")),
        }
    }

    /// A truth value.
    pub(super) fn boolean(&mut self) -> Result<bool, Fault> {
        match self.datatype()? {
            Type::Bool => self.decoder.bool().map_err(|error| malformed(&error)),
            found => Err(unexpected(found, "a Boolean")),
        }
    }

    /// The members of a structure: `each` reads, or skips, the value that follows the name.
    pub(super) fn members(
        &mut self,
        mut each: impl FnMut(&mut Self, Cow<'b, str>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        match self.datatype()? {
            Type::Map | Type::MapIndef => {}
            found => return Err(unexpected(found, "a structure")),
        }
        let mut left = self.decoder.map().map_err(|error| malformed(&error))?;
        while self.more(&mut left)? {
            let name = self.text()?;
            each(self, name)?;
        }
        Ok(())
    }

    /// The items of a list, each read by `each`.
    pub(super) fn items(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        match self.datatype()? {
            Type::Array | Type::ArrayIndef => {}
            found => return Err(unexpected(found, "a list")),
        }
        let mut left = self.decoder.array().map_err(|error| malformed(&error))?;
        while self.more(&mut left)? {
            each(self)?;
        }
        Ok(())
    }

    /// Passes over one value.
    pub(super) fn skip(&mut self) -> Result<(), Fault> {
        self.skip_nested(DEPTH_MAX)
    }

    fn skip_nested(&mut self, depth: u32) -> Result<(), Fault> {
        let inner = depth.checked_sub(1).ok_or_else(|| Fault::serialization("cbor: nested too deeply"))?;
        match self.datatype()? {
            Type::Map | Type::MapIndef => {
                let mut left = self.decoder.map().map_err(|error| malformed(&error))?;
                while self.more(&mut left)? {
                    self.skip_nested(inner)?;
                    self.skip_nested(inner)?;
                }
                Ok(())
            }
            Type::Array | Type::ArrayIndef => self.items(|reader| reader.skip_nested(inner)),
            Type::Tag => {
                self.decoder.tag().map_err(|error| malformed(&error))?;
                self.skip_nested(inner)
            }
            found @ (Type::Break | Type::Unknown(_)) => Err(unexpected(found, "a value")),
            _ => self.decoder.skip().map_err(|error| malformed(&error)),
        }
    }

    /// Whether another item follows, of `left` or up to the break.
    fn more(&mut self, left: &mut Option<u64>) -> Result<bool, Fault> {
        match left {
            Some(0) => Ok(false),
            Some(count) => {
                *count -= 1;
                Ok(true)
            }
            None if self.datatype()? == Type::Break => {
                self.decoder.skip().map_err(|error| malformed(&error))?;
                Ok(false)
            }
            None => Ok(true),
        }
    }

    fn datatype(&self) -> Result<Type, Fault> {
        self.decoder.datatype().map_err(|error| malformed(&error))
    }

    /// A value of a shape, or null.
    fn value(&mut self, shape: &'static Shape) -> Result<Option<Value>, Fault> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| Fault::serialization(format!("more than {VALUES_MAX} values")))?;
        if self.take_null()? {
            return Ok(None);
        }
        Ok(Some(match shape.kind {
            Kind::Structure(_) => self.structure(shape)?,
            Kind::List(member, _) => {
                let mut list = Vec::new();
                self.items(|reader| {
                    let item = reader.value(member)?;
                    list.push(item.ok_or_else(|| Fault::serialization("a list holds null"))?);
                    Ok(())
                })?;
                Value::List(list)
            }
            Kind::Map(_, member, _) => {
                let mut pairs = Vec::new();
                self.members(|reader, key| {
                    let value = reader.value(member)?;
                    let value = value.ok_or_else(|| Fault::serialization("a map holds null"))?;
                    pairs.push((key.into_owned(), value));
                    Ok(())
                })?;
                Value::Map(pairs)
            }
            Kind::Text(..) | Kind::Enumeration(_) => Value::Text(self.text()?.into_owned()),
            Kind::Blob(_) => Value::Blob(Bytes::from(self.bytes()?.into_owned())),
            Kind::Integer(_) => Value::Integer(i64::from(self.whole::<i32>("an Integer")?)),
            Kind::Long(_) => Value::Integer(self.whole("a Long")?),
            Kind::Boolean => Value::Boolean(self.boolean()?),
            Kind::Timestamp => Value::Timestamp(self.timestamp()?),
        }))
    }

    fn structure(&mut self, shape: &'static Shape) -> Result<Value, Fault> {
        let mut found: Vec<(&'static str, Value)> = Vec::new();
        self.members(|reader, name| {
            let Some(member) = shape.member(&name) else { return reader.skip() };
            let value = reader.value(member.shape)?;
            found.retain(|(known, _)| *known != member.name);
            found.extend(value.map(|value| (member.name, value)));
            Ok(())
        })?;
        Ok(Value::Structure(found))
    }

    fn whole<T: TryFrom<i64>>(&mut self, wanted: &'static str) -> Result<T, Fault> {
        let found = self.datatype()?;
        if !is_whole(found) {
            return Err(unexpected(found, wanted));
        }
        let number = self.decoder.i64().map_err(|error| malformed(&error))?;
        T::try_from(number)
            .map_err(|_| Fault::serialization(format!("{number} can not be converted to {wanted}")))
    }

    fn timestamp(&mut self) -> Result<Timestamp, Fault> {
        if self.datatype()? == Type::Tag {
            let tag = self.decoder.tag().map_err(|error| malformed(&error))?;
            if tag != IanaTag::Timestamp.tag() {
                return Err(Fault::serialization(format!("a Timestamp has the tag {}", tag.as_u64())));
            }
        }
        match self.datatype()? {
            found if is_whole(found) => {
                let ms = self.whole::<i64>("a Timestamp")?;
                let ms = u64::try_from(ms);
                ms.map(Timestamp).map_err(|_| Fault::serialization("a Timestamp lies before 1970"))
            }
            Type::F16 | Type::F32 | Type::F64 => {
                let seconds = self.decoder.f64().map_err(|error| malformed(&error))?;
                moment(seconds).ok_or_else(|| Fault::serialization("a Timestamp is out of range"))
            }
            found => Err(unexpected(found, "a Timestamp")),
        }
    }
}

fn is_whole(found: Type) -> bool {
    use Type::{I8, I16, I32, I64, Int, U8, U16, U32, U64};
    matches!(found, U8 | U16 | U32 | U64 | I8 | I16 | I32 | I64 | Int)
}

fn unexpected(found: Type, wanted: &str) -> Fault {
    Fault::serialization(format!("{found} can not be converted to {wanted}"))
}

/// Writes CBOR.
pub(super) struct CborOutput {
    encoder: Encoder<Vec<u8>>,
}

impl CborOutput {
    /// With memory for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { encoder: Encoder::new(Vec::with_capacity(bytes)) }
    }
}

/// Memory takes all that is written to it.
fn done<T>(written: &Result<T, minicbor::encode::Error<std::convert::Infallible>>) {
    assert!(written.is_ok(), "memory takes all that is written to it");
}

impl Output for CborOutput {
    fn begin_structure(&mut self, members: usize) {
        done(&self.encoder.map(members as u64));
    }

    fn name(&mut self, name: &str) {
        done(&self.encoder.str(name));
    }

    fn end_structure(&mut self) {}

    fn begin_list(&mut self, items: usize) {
        done(&self.encoder.array(items as u64));
    }

    fn end_list(&mut self) {}

    fn text(&mut self, text: &str) {
        done(&self.encoder.str(text));
    }

    fn blob(&mut self, bytes: &[u8]) {
        done(&self.encoder.bytes(bytes));
    }

    fn integer(&mut self, number: i64) {
        done(&self.encoder.i64(number));
    }

    fn boolean(&mut self, value: bool) {
        done(&self.encoder.bool(value));
    }

    fn timestamp(&mut self, time: Timestamp) {
        done(&self.encoder.tag(IanaTag::Timestamp));
        done(&self.encoder.u64(time.get()));
    }

    fn finish(self) -> Vec<u8> {
        self.encoder.into_writer()
    }
}
