//! What a knob is: its names, the shape of its values, and how a text becomes a value of that shape.
//!
//! A shape accepts exactly what the type of the knob's field holds, so the conversion into the field
//! cannot fail afterwards (`tests::every_bound_fits_its_field` guards it).

use std::net::IpAddr;
use std::time::Duration;

use super::credentials::is_account;
use super::value::{Value, parse_bytes, parse_count, parse_duration, show_bytes, show_duration};

/// Characters of a region or a partition.
const LABEL_CHARS_MAX: usize = 32;
/// Characters of an origin.
const ORIGIN_CHARS_MAX: usize = 256;

/// One setting, as the table in `knobs.rs` describes it.
#[derive(Debug, Clone, Copy)]
pub struct Knob {
    /// Section of the TOML file.
    pub section: &'static str,
    /// Name inside the section.
    pub name: &'static str,
    /// What values it takes.
    pub shape: Shape,
    /// Default, as one would write it.
    pub default: &'static str,
    /// What it does, in one or two sentences.
    pub doc: &'static str,
}

/// What values a knob takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A path of the file system.
    Path {
        /// The word for having none, if there may be none.
        absent: Option<Absent>,
    },
    /// A text of this form.
    Text {
        /// What it has to look like.
        form: Form,
        /// The word for having none, if there may be none.
        absent: Option<Absent>,
    },
    /// An IP address.
    Address,
    /// `true` or `false`.
    Switch,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A plain number, bounds inclusive.
    Count {
        /// What is counted.
        unit: &'static str,
        /// Least value.
        min: u64,
        /// Greatest value.
        max: u64,
        /// The word for having no value, if there may be none.
        absent: Option<Absent>,
    },
    /// A number of bytes, bounds inclusive; a plain number is in bytes.
    Bytes {
        /// Least value.
        min: u64,
        /// Greatest value.
        max: u64,
        /// Every value is a multiple of this.
        step: u64,
        /// The word for having no value, if there may be none.
        absent: Option<Absent>,
    },
    /// A span of time, bounds inclusive.
    Time {
        /// Unit of a plain number.
        unit: Unit,
        /// Least value.
        min: Duration,
        /// Greatest value.
        max: Duration,
    },
}

/// What a text has to look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The number of an AWS account.
    Account,
    /// A word as AWS names regions and partitions.
    Label,
    /// An origin of web pages, or `*` for all.
    Origin,
    /// Scheme and host of a server.
    Server,
}

/// The word by which a knob is left without a value, and what that means. `0` says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absent {
    /// The word: `auto` or `none`.
    pub word: &'static str,
    /// What happens then.
    pub meaning: &'static str,
}

/// Unit of a plain number that stands for a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Millisecond,
    /// Seconds.
    Second,
}

/// Why a text is not a value of a knob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It does not read as one at all.
    Malformed,
    /// It does, and lies outside the range or between its steps.
    OutOfRange,
}

/// A path.
pub(super) const PATH: Shape = Shape::Path { absent: None };

/// A text.
pub(super) const fn text(form: Form) -> Shape {
    Shape::Text { form, absent: None }
}

/// A plain number between two bounds, both included.
pub(super) const fn count(unit: &'static str, min: u64, max: u64) -> Shape {
    Shape::Count { unit, min, max, absent: None }
}

/// A number of bytes between two bounds, both included.
pub(super) const fn bytes(min: u64, max: u64) -> Shape {
    Shape::Bytes { min, max, step: 1, absent: None }
}

/// A span of time between two bounds, both included.
pub(super) const fn time(unit: Unit, min: Duration, max: Duration) -> Shape {
    Shape::Time { unit, min, max }
}

impl Knob {
    /// `section.name`, as flags and messages have it.
    pub fn key(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// Name of the environment variable.
    pub fn variable(&self) -> String {
        format!("TIDEMILL_{}_{}", self.section, self.name).to_ascii_uppercase()
    }
}

impl Shape {
    /// The same values, or the word that stands for none.
    pub(super) const fn or(self, word: &'static str, meaning: &'static str) -> Self {
        let absent = Some(Absent { word, meaning });
        match self {
            Shape::Count { unit, min, max, .. } => Shape::Count { unit, min, max, absent },
            Shape::Bytes { min, max, step, .. } => Shape::Bytes { min, max, step, absent },
            Shape::Path { .. } => Shape::Path { absent },
            Shape::Text { form, .. } => Shape::Text { form, absent },
            other => other,
        }
    }

    /// The same numbers of bytes, in multiples of `step`.
    pub(super) const fn in_steps_of(self, step: u64) -> Self {
        match self {
            Shape::Bytes { min, max, absent, .. } => Shape::Bytes { min, max, step, absent },
            other => other,
        }
    }

    /// Reads a value.
    ///
    /// # Errors
    /// When the text does not read as a value of this shape, or lies outside its range.
    pub fn parse(&self, text: &str) -> Result<Value, Fault> {
        let text = text.trim();
        match *self {
            Shape::Path { absent: Some(absent) } | Shape::Text { absent: Some(absent), .. }
                if text == absent.word =>
            {
                Ok(Value::Absent)
            }
            Shape::Path { .. } if text.is_empty() => Err(Fault::Malformed),
            Shape::Path { .. } => Ok(Value::Text(text.to_owned())),
            Shape::Text { form, .. } if form.admits(text) => Ok(Value::Text(text.to_owned())),
            Shape::Text { .. } => Err(Fault::Malformed),
            Shape::Address => match text.parse::<IpAddr>() {
                Ok(address) => Ok(Value::Text(address.to_string())),
                Err(_) => Err(Fault::Malformed),
            },
            Shape::Switch => match text {
                "true" => Ok(Value::Switch(true)),
                "false" => Ok(Value::Switch(false)),
                _ => Err(Fault::Malformed),
            },
            Shape::Choice(words) if words.contains(&text) => Ok(Value::Text(text.to_owned())),
            Shape::Choice(_) => Err(Fault::Malformed),
            Shape::Count { min, max, absent, .. } => number(text, absent, min..=max, 1, parse_count),
            Shape::Bytes { min, max, step, absent } => number(text, absent, min..=max, step, parse_bytes),
            Shape::Time { unit, min, max } => {
                let span = parse_duration(text, unit).ok_or(Fault::Malformed)?;
                if span < min || span > max { Err(Fault::OutOfRange) } else { Ok(Value::Time(span)) }
            }
        }
    }

    /// Writes a value so that [`Shape::parse`] reads it back.
    pub fn show(&self, value: &Value) -> String {
        match (self, value) {
            (_, Value::Text(text)) => text.clone(),
            (_, Value::Switch(on)) => on.to_string(),
            (_, Value::Time(span)) => show_duration(*span),
            (Shape::Bytes { .. }, Value::Number(number)) => show_bytes(*number),
            (_, Value::Number(number)) => number.to_string(),
            (_, Value::Absent) => self.absent().map_or("none", |absent| absent.word).to_owned(),
        }
    }

    /// The word for having no value, if there may be none.
    pub fn absent(&self) -> Option<Absent> {
        match *self {
            Shape::Count { absent, .. }
            | Shape::Bytes { absent, .. }
            | Shape::Path { absent }
            | Shape::Text { absent, .. } => absent,
            _ => None,
        }
    }

    /// What is accepted, in words: `4MiB to 4GiB`.
    pub fn expected(&self) -> String {
        let range = match *self {
            Shape::Path { .. } => "a path".to_owned(),
            Shape::Text { form, .. } => form.expected().to_owned(),
            Shape::Address => "an IP address".to_owned(),
            Shape::Switch => "true or false".to_owned(),
            Shape::Choice(words) => words.join(" or "),
            Shape::Count { unit, min, max, .. } => format!("{min} to {max} {unit}"),
            Shape::Bytes { min, max, step: 1, .. } => format!("{} to {}", show_bytes(min), show_bytes(max)),
            Shape::Bytes { min, max, step, .. } => {
                format!("{} to {} in steps of {}", show_bytes(min), show_bytes(max), show_bytes(step))
            }
            Shape::Time { min, max, .. } => format!("{} to {}", show_duration(min), show_duration(max)),
        };
        match self.absent() {
            Some(Absent { word, meaning }) => format!("{range}, or {word} ({meaning})"),
            None => range,
        }
    }
}

impl Form {
    fn admits(self, text: &str) -> bool {
        match self {
            Self::Account => is_account(text),
            Self::Label => {
                let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
                (1..=LABEL_CHARS_MAX).contains(&text.len()) && text.bytes().all(allowed)
            }
            Self::Origin => text == "*" || is_server(text),
            Self::Server => is_server(text),
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Account => "12 digits",
            Self::Label => "up to 32 lower-case letters, digits and '-'",
            Self::Origin => "an origin as `https://host:port`, or `*`",
            Self::Server => "scheme and host as `https://host:port`",
        }
    }
}

/// Whether a text is a scheme and a host, with a port or without.
fn is_server(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_host =
        |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    text.len() <= ORIGIN_CHARS_MAX && rest.is_some_and(is_host)
}

/// Reads a number, or the word (or the zero) that stands for none.
fn number(
    text: &str,
    absent: Option<Absent>,
    range: std::ops::RangeInclusive<u64>,
    step: u64,
    parse: fn(&str) -> Option<u64>,
) -> Result<Value, Fault> {
    if absent.is_some_and(|absent| absent.word == text || text == "0") {
        return Ok(Value::Absent);
    }
    let number = parse(text).ok_or(Fault::Malformed)?;
    let allowed = range.contains(&number) && number.is_multiple_of(step);
    if allowed { Ok(Value::Number(number)) } else { Err(Fault::OutOfRange) }
}
