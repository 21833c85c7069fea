//! Why a configuration is refused. Each message names the value, where it came from, and what to do.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// Where a value came from, weakest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The table of knobs.
    Default,
    /// The TOML file of this path.
    File(PathBuf),
    /// The environment variable of this name.
    Environment(String),
    /// A flag of the command line that set this key.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(out, "default"),
            Self::File(path) => write!(out, "file {}", path.display()),
            Self::Environment(name) => write!(out, "environment {name}"),
            Self::Flag(key) => write!(out, "flag {key}"),
        }
    }
}

/// Why a configuration is refused.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration file {path}: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("configuration file {path} is not valid TOML: {message}", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What the parser says, with line and column.
        message: String,
    },
    /// There is no such knob or section.
    #[error("unknown configuration key {key} ({origin}){}", suggestion(nearest.as_ref()))]
    Unknown {
        /// The key, as it was given.
        key: String,
        /// Where it was given.
        origin: Origin,
        /// The known key that is written most alike, in the same form.
        nearest: Option<String>,
    },
    /// The text does not read as a value of the knob.
    #[error("{key} = {value} ({origin}) is not understood: expected {expected}")]
    Malformed {
        /// The knob.
        key: String,
        /// The value, as it was given.
        value: String,
        /// Where it was given.
        origin: Origin,
        /// What the knob takes.
        expected: String,
    },
    /// The value lies outside the knob's range.
    #[error("{key} = {value} ({origin}) is out of range: expected {expected}")]
    OutOfRange {
        /// The knob.
        key: String,
        /// The value, as it was given.
        value: String,
        /// Where it was given.
        origin: Origin,
        /// The range.
        expected: String,
    },
    /// Two values do not go together.
    #[error("{key} = {value} does not go with {other_key} = {other_value}: {rule}")]
    Conflict {
        /// One knob.
        key: String,
        /// Its value.
        value: String,
        /// The other knob.
        other_key: String,
        /// Its value.
        other_value: String,
        /// What must hold, and how to get there.
        rule: String,
    },
}

fn suggestion(nearest: Option<&String>) -> String {
    nearest.map_or_else(String::new, |nearest| format!(": did you mean {nearest}?"))
}
