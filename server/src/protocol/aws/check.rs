//! Checks values against the constraints of their shapes, and says what is wrong in AWS's pattern of words.
//!
//! Every broken constraint is told of, up to a bound, in the order of the members' names.

use super::error::Fault;
use super::limits::{VALUE_CHARS_MAX, VIOLATIONS_MAX};
use super::shape::{Bounds, Kind, Shape};
use super::value::Value;

/// Refuses a value that breaks a constraint of its shape.
pub(super) fn check(shape: &'static Shape, value: &Value) -> Result<(), Fault> {
    let mut violations = Violations::default();
    violations.visit(shape, value, &mut String::new());
    violations.into_fault()
}

/// Whether an output has the members that its shape knows, and all that it has to have.
pub(super) fn fits(shape: &'static Shape, value: &Value) -> bool {
    match (&shape.kind, value) {
        (Kind::Structure(members), Value::Structure(found)) => {
            let is_known = |(name, value): &(&'static str, Value)| {
                shape.member(name).is_some_and(|member| fits(member.shape, value))
            };
            let is_there = |name: &str| found.iter().any(|(known, _)| *known == name);
            found.iter().all(is_known)
                && members.iter().all(|member| !member.required || is_there(member.name))
        }
        (Kind::List(member, _), Value::List(items)) => items.iter().all(|item| fits(member, item)),
        (Kind::Map(_, member, _), Value::Map(pairs)) => pairs.iter().all(|(_, item)| fits(member, item)),
        (Kind::Enumeration(values), Value::Text(text)) => values.contains(&text.as_str()),
        (Kind::Text(..), Value::Text(_))
        | (Kind::Blob(_), Value::Blob(_))
        | (Kind::Integer(_) | Kind::Long(_), Value::Integer(_))
        | (Kind::Boolean, Value::Boolean(_))
        | (Kind::Timestamp, Value::Timestamp(_)) => true,
        _ => false,
    }
}

#[derive(Default)]
struct Violations {
    found: Vec<String>,
}

impl Violations {
    fn into_fault(self) -> Result<(), Fault> {
        match self.found.len() {
            0 => Ok(()),
            1 => Err(Fault::validation(format!("1 validation error detected: {}", self.found.concat()))),
            more => {
                let all = self.found.join("; ");
                Err(Fault::validation(format!("{more} validation errors detected: {all}")))
            }
        }
    }

    fn add(&mut self, value: &str, path: &str, constraint: &str) {
        if self.found.len() < VIOLATIONS_MAX {
            self.found.push(format!("Value {value} at '{path}' failed to satisfy constraint: {constraint}"));
        }
    }

    fn visit(&mut self, shape: &'static Shape, value: &Value, path: &mut String) {
        for constraint in broken(shape, value) {
            self.add(&shown(value), path, &constraint);
        }
        match (&shape.kind, value) {
            (Kind::Structure(members), _) => {
                for member in *members {
                    let length = path.len();
                    extend(path, member.name);
                    match value.get(member.name) {
                        Some(value) => self.visit(member.shape, value, path),
                        None if member.required => self.add("null", path, "Member must not be null"),
                        None => {}
                    }
                    path.truncate(length);
                }
            }
            (Kind::List(member, _), Value::List(items)) => {
                for (number, item) in (1..).zip(items) {
                    let length = path.len();
                    path.push_str(&format!(".{number}.member"));
                    self.visit(member, item, path);
                    path.truncate(length);
                }
            }
            (Kind::Map(key_shape, value_shape, _), Value::Map(pairs)) => {
                let is_broken = |shape, value: &Value| !broken(shape, value).is_empty();
                if pairs.iter().any(|(key, _)| is_broken(key_shape, &Value::Text(key.clone()))) {
                    let all = constraints(key_shape).join(", ");
                    self.add(&shown(value), path, &format!("Map keys must satisfy constraint: [{all}]"));
                }
                if pairs.iter().any(|(_, item)| is_broken(value_shape, item)) {
                    let all = constraints(value_shape).join(", ");
                    self.add(&shown(value), path, &format!("Map value must satisfy constraint: [{all}]"));
                }
            }
            _ => {}
        }
    }
}

/// The constraints of the shape itself that the value breaks.
fn broken(shape: &'static Shape, value: &Value) -> Vec<String> {
    match (&shape.kind, value) {
        (Kind::Text(bounds, pattern), Value::Text(text)) => {
            let mut broken = out_of(*bounds, count(text.chars().count()), "length");
            let pattern = pattern.as_ref().filter(|pattern| !pattern.matches(text));
            broken.extend(pattern.map(|pattern| of_pattern(pattern.text)));
            broken
        }
        (Kind::Enumeration(values), Value::Text(text)) if !values.contains(&text.as_str()) => {
            vec![of_enumeration(values)]
        }
        (Kind::Blob(bounds), Value::Blob(bytes)) => out_of(*bounds, count(bytes.len()), "length"),
        (Kind::Integer(bounds) | Kind::Long(bounds), Value::Integer(number)) => {
            out_of(*bounds, *number, "value")
        }
        (Kind::List(_, bounds), Value::List(items)) => out_of(*bounds, count(items.len()), "length"),
        (Kind::Map(_, _, bounds), Value::Map(pairs)) => out_of(*bounds, count(pairs.len()), "length"),
        _ => Vec::new(),
    }
}

/// Every constraint of a shape, as a message about a map lists them.
fn constraints(shape: &'static Shape) -> Vec<String> {
    match &shape.kind {
        Kind::Text(bounds, pattern) => {
            let mut all: Vec<String> = bounds.max.map(|max| at_most(max, "length")).into_iter().collect();
            all.extend(bounds.min.map(|min| at_least(min, "length")));
            all.extend(pattern.as_ref().map(|pattern| of_pattern(pattern.text)));
            all
        }
        Kind::Enumeration(values) => vec![of_enumeration(values)],
        _ => Vec::new(),
    }
}

fn out_of(bounds: Bounds, number: i64, what: &str) -> Vec<String> {
    let above = bounds.max.filter(|max| number > *max).map(|max| at_most(max, what));
    let below = bounds.min.filter(|min| number < *min).map(|min| at_least(min, what));
    above.into_iter().chain(below).collect()
}

fn at_most(max: i64, what: &str) -> String {
    format!("Member must have {what} less than or equal to {max}")
}

fn at_least(min: i64, what: &str) -> String {
    format!("Member must have {what} greater than or equal to {min}")
}

fn of_pattern(pattern: &str) -> String {
    format!("Member must satisfy regular expression pattern: {pattern}")
}

fn of_enumeration(values: &[&str]) -> String {
    format!("Member must satisfy enum value set: [{}]", values.join(", "))
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// Members begin with a small letter in these messages.
fn extend(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    let mut letters = name.chars();
    path.extend(letters.next().map(|first| first.to_ascii_lowercase()));
    path.push_str(letters.as_str());
}

/// A value as messages show it: bytes are not, and long ones are cut.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::Text(text) => text.chars().take(VALUE_CHARS_MAX).collect(),
        Value::Integer(number) => number.to_string(),
        Value::Boolean(value) => value.to_string(),
        Value::Timestamp(time) => time.to_string(),
        Value::Blob(bytes) => format!("{} bytes", bytes.len()),
        Value::List(items) => format!("[{} members]", items.len()),
        Value::Map(pairs) => {
            let pairs: Vec<String> = pairs
                .iter()
                .map(|(key, value)| format!("{key}={}", shown(value).trim_matches('\'')))
                .collect();
            format!("{{{}}}", pairs.join(", ")).chars().take(VALUE_CHARS_MAX).collect()
        }
        Value::Structure(_) => "{}".to_owned(),
    };
    format!("'{text}'")
}
