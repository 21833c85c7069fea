//! What inputs have to hold before a handler looks at them: what the model asks for is there, and numbers are in their ranges.

use std::fmt;
use std::ops::RangeInclusive;

use super::super::Fault;
use super::super::shape::{Kind, Shape};
use super::super::value::Value;
use super::error::{invalid_value, missing};

/// Refuses an input that lacks something. What is in lists is named by its place.
pub(super) fn check_required(shape: &'static Shape, input: &Value) -> Result<(), Fault> {
    visit(shape, input, &Path::Root)
}

/// Where a value is. It is written down only when something is missing there.
enum Path<'p> {
    Root,
    Member(&'p Path<'p>, &'p str),
    Place(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Member(Self::Root, name) => out.write_str(name),
            Self::Member(parent, name) => write!(out, "{parent}.{name}"),
            Self::Place(parent, number) => write!(out, "{parent}.{number}"),
        }
    }
}

fn visit(shape: &'static Shape, value: &Value, path: &Path<'_>) -> Result<(), Fault> {
    match (&shape.kind, value) {
        (Kind::Structure(members), _) => members.iter().try_for_each(|member| {
            let name = member.naming.as_ref().map_or(member.name, |naming| naming.name);
            let path = Path::Member(path, name);
            match value.get(member.name) {
                Some(value) => visit(member.shape, value, &path),
                None if member.required => Err(missing(&path.to_string())),
                None => Ok(()),
            }
        }),
        (Kind::List(item, _), Value::List(items)) => {
            (1..).zip(items).try_for_each(|(number, value)| visit(item, value, &Path::Place(path, number)))
        }
        (Kind::Map(_, item, _), Value::Map(pairs)) => {
            pairs.iter().try_for_each(|(key, value)| visit(item, value, &Path::Member(path, key)))
        }
        _ => Ok(()),
    }
}

/// A number within its range, if it is there.
pub(super) fn number(input: &Value, name: &str, range: &RangeInclusive<i64>) -> Result<Option<u32>, Fault> {
    let Some(number) = input.get_integer(name) else { return Ok(None) };
    let fits = range.contains(&number).then(|| u32::try_from(number).ok()).flatten();
    fits.map(Some).ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        let reason = match name {
            "WaitTimeSeconds" => format!("Must be >= {least} and <= {most}, if provided."),
            "DelaySeconds" => format!("DelaySeconds must be >= {least} and <= {most}."),
            _ => format!("Must be between {least} and {most}, if provided."),
        };
        invalid_value(&number.to_string(), name, &reason)
    })
}
