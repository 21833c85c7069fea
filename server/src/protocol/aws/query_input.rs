//! An operation's input from the parameters of the query protocol, by the names that its shape has there.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::base64::decode as decode_base64;
use super::error::Fault;
use super::json::moment;
use super::parameters::Parameters;
use super::shape::{Kind, Naming, Parts, Shape};
use super::value::Value;

/// Reads a structure of a shape. Members without a parameter are not there, and parameters that the shape does not know are skipped.
pub(super) fn decode(shape: &'static Shape, parameters: &Parameters) -> Result<Value, Fault> {
    let reader = Reader { parameters };
    Ok(reader.structure(shape, &mut String::new())?.unwrap_or(Value::Structure(Vec::new())))
}

struct Reader<'a> {
    parameters: &'a Parameters,
}

impl Reader<'_> {
    /// A value at a path; `None` if there is none.
    fn value(&self, shape: &'static Shape, path: &mut String) -> Result<Option<Value>, Fault> {
        if matches!(shape.kind, Kind::Structure(_)) {
            return self.structure(shape, path);
        }
        self.parameters.get(path).map(|text| scalar(shape, path, text)).transpose()
    }

    fn structure(&self, shape: &'static Shape, path: &mut String) -> Result<Option<Value>, Fault> {
        let mut found = Vec::new();
        for member in shape.members() {
            let Some(naming) = &member.naming else { continue };
            let length = extend(path, naming.name);
            let value = self.member(member.shape, naming, path)?;
            path.truncate(length);
            found.extend(value.map(|value| (member.name, value)));
        }
        // A structure without anything is there when it is named.
        let is_there = !found.is_empty() || (!path.is_empty() && self.parameters.get(path).is_some());
        Ok(is_there.then_some(Value::Structure(found)))
    }

    fn member(
        &self,
        shape: &'static Shape,
        naming: &Naming,
        path: &mut String,
    ) -> Result<Option<Value>, Fault> {
        match (&shape.kind, naming.parts) {
            (Kind::List(item, _), Parts::Items) => self.list(item, path),
            (Kind::List(item, _), Parts::Listed(name)) => {
                let length = extend(path, name);
                let list = self.list(item, path);
                path.truncate(length);
                list
            }
            (Kind::Map(_, item, _), Parts::Pairs { key, value }) => self.map(item, path, key, value),
            (Kind::Map(_, item, _), Parts::Entries { key, value }) => {
                let length = extend(path, "entry");
                let map = self.map(item, path, key, value);
                path.truncate(length);
                map
            }
            _ => self.value(shape, path),
        }
    }

    fn list(&self, item: &'static Shape, path: &mut String) -> Result<Option<Value>, Fault> {
        let mut found = Vec::new();
        for number in self.numbers(path)? {
            let length = extend(path, &number.to_string());
            let value = self.value(item, path)?;
            path.truncate(length);
            found.extend(value);
        }
        // The name alone, with nothing, is a list without items.
        let is_there = !found.is_empty() || self.parameters.get(path).is_some();
        Ok(is_there.then_some(Value::List(found)))
    }

    fn map(
        &self,
        item: &'static Shape,
        path: &mut String,
        key: &str,
        value: &str,
    ) -> Result<Option<Value>, Fault> {
        let mut found: Vec<(String, Value)> = Vec::new();
        for number in self.numbers(path)? {
            let length = extend(path, &number.to_string());
            let before_key = extend(path, key);
            let name = self.parameters.get(path);
            path.truncate(before_key);
            extend(path, value);
            let content = self.value(item, path)?;
            match (name, content) {
                (Some(name), Some(content)) => found.push((name.to_owned(), content)),
                (None, None) => {}
                _ => return Err(Fault::serialization(format!("{path} lacks its {key} or its {value}"))),
            }
            path.truncate(length);
        }
        let is_there = !found.is_empty() || self.parameters.get(path).is_some();
        Ok(is_there.then_some(Value::Map(found)))
    }

    /// The numbers that are named below a path, in order.
    fn numbers(&self, path: &str) -> Result<BTreeSet<u32>, Fault> {
        let numbers = self.parameters.below(path).map(|rest| {
            let number = rest.split('.').next().unwrap_or_default();
            let is_number = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
            // A number has one spelling, or what is read would not be what was counted.
            let number = number.parse().ok().filter(|found: &u32| is_number && found.to_string() == number);
            number.ok_or_else(|| Fault::serialization(format!("{path}.{rest} has no number in its place")))
        });
        numbers.collect()
    }
}

/// Adds a part to a path, and returns its length before.
fn extend(path: &mut String, part: &str) -> usize {
    let length = path.len();
    if length > 0 {
        path.push('.');
    }
    path.push_str(part);
    length
}

fn scalar(shape: &'static Shape, path: &str, text: &str) -> Result<Value, Fault> {
    let refuse = |wanted: &str| Fault::serialization(format!("{path} must be {wanted}"));
    Ok(match shape.kind {
        Kind::Text(..) | Kind::Enumeration(_) => Value::Text(text.to_owned()),
        Kind::Blob(_) => {
            let bytes =
                decode_base64(text.as_bytes()).map_err(|error| refuse(&format!("in base64: {error}")))?;
            Value::Blob(Bytes::from(bytes))
        }
        Kind::Integer(_) => {
            Value::Integer(text.parse::<i32>().map_err(|_| refuse("a number of 32 bits"))?.into())
        }
        Kind::Long(_) => Value::Integer(text.parse().map_err(|_| refuse("a number of 64 bits"))?),
        Kind::Boolean if text.eq_ignore_ascii_case("true") => Value::Boolean(true),
        Kind::Boolean if text.eq_ignore_ascii_case("false") => Value::Boolean(false),
        Kind::Boolean => return Err(refuse("true or false")),
        Kind::Timestamp => {
            let seconds = text.parse().ok().and_then(moment);
            Value::Timestamp(seconds.ok_or_else(|| refuse("a moment in seconds"))?)
        }
        // Lists in lists and maps have no names in this protocol, and no table has them.
        Kind::Structure(_) | Kind::List(..) | Kind::Map(..) => return Err(refuse("of another form")),
    })
}
