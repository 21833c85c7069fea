//! Where values come from: defaults, then the TOML file, then the environment, then flags; later ones win.
//!
//! Every source is walked against the table of knobs, and what the table does not know is refused: a
//! misspelt knob is an error, not a default that nobody asked for.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, Origin};
use super::knob::{Fault, Knob};
use super::knobs::{Config, KNOBS, SECTIONS};
use super::relation;
use super::suggest::nearest;
use super::value::Value;

/// Environment variables of the server begin with this, the section and an underscore.
const VARIABLE_PREFIX: &str = "TIDEMILL_";

/// What the configuration is put together from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The TOML file, if there is one.
    pub file: Option<PathBuf>,
    /// The process's environment, as `std::env::vars_os` gives it.
    pub environment: Vec<(OsString, OsString)>,
    /// `section.name` and value from the command line, in order.
    pub flags: Vec<(String, String)>,
}

/// The effective configuration, and where each value came from.
#[derive(Debug, Clone)]
pub struct Effective {
    /// The values.
    pub config: Config,
    /// One origin per knob, in the order of [`KNOBS`].
    pub(super) origins: Vec<Origin>,
}

impl Default for Config {
    fn default() -> Self {
        let defaults: Vec<Value> = KNOBS.iter().map(default_of).collect();
        Self::from_values(&defaults)
    }
}

impl Sources {
    /// Reads all sources and checks every value and the relations between them.
    ///
    /// # Errors
    /// The first key that is unknown, value that is not understood or out of range, or pair of values that
    /// do not go together; or that the file cannot be read.
    pub fn load(&self) -> Result<Effective, ConfigError> {
        let mut layers = Layers::new();
        if let Some(path) = &self.file {
            layers.file(path)?;
        }
        for (name, value) in &self.environment {
            layers.variable(name, value)?;
        }
        for (key, value) in &self.flags {
            layers.flag(key, value)?;
        }
        let config = Config::from_values(&layers.values);
        relation::check(&config)?;
        Ok(Effective { config, origins: layers.origins })
    }
}

/// The values so far, one per knob.
struct Layers {
    values: Vec<Value>,
    origins: Vec<Origin>,
}

impl Layers {
    fn new() -> Self {
        Self {
            values: KNOBS.iter().map(default_of).collect(),
            origins: KNOBS.iter().map(|_| Origin::Default).collect(),
        }
    }

    fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
            path: path.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        let origin = Origin::File(path.to_owned());
        for (section, entries) in &table {
            let Some(entries) = entries.as_table().filter(|_| is_section(section)) else {
                let sections = SECTIONS.iter().map(|(name, _)| format!("[{name}]"));
                let key = if entries.is_table() { format!("[{section}]") } else { section.clone() };
                return Err(ConfigError::Unknown { nearest: nearest(&key, sections), key, origin });
            };
            for (name, value) in entries {
                self.set(&format!("{section}.{name}"), &toml_text(value), &origin)?;
            }
        }
        Ok(())
    }

    fn variable(&mut self, name: &OsString, value: &OsString) -> Result<(), ConfigError> {
        // A name that is not UTF-8 cannot begin with one of ours and go on with a known knob.
        let Some(name) = name.to_str() else { return Ok(()) };
        let Some(rest) = name.strip_prefix(VARIABLE_PREFIX) else { return Ok(()) };
        let rest = rest.to_ascii_lowercase();
        let Some((section, name_in_section)) =
            rest.split_once('_').filter(|(section, _)| is_section(section))
        else {
            return Ok(());
        };
        let key = format!("{section}.{name_in_section}");
        let origin = Origin::Environment(name.to_owned());
        if position(&key).is_none() {
            let known = KNOBS.iter().map(Knob::variable);
            return Err(ConfigError::Unknown { key: name.to_owned(), origin, nearest: nearest(name, known) });
        }
        let Some(value) = value.to_str() else {
            let (value, expected) = (value.to_string_lossy().into_owned(), "text in UTF-8".to_owned());
            return Err(ConfigError::Malformed { key, value, origin, expected });
        };
        self.set(&key, value, &origin)
    }

    fn flag(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        self.set(key, value, &Origin::Flag(key.to_owned()))
    }

    fn set(&mut self, key: &str, text: &str, origin: &Origin) -> Result<(), ConfigError> {
        let Some((index, knob)) = position(key).and_then(|index| Some((index, KNOBS.get(index)?))) else {
            let nearest = nearest(key, KNOBS.iter().map(Knob::key));
            return Err(ConfigError::Unknown { key: key.to_owned(), origin: origin.clone(), nearest });
        };
        let (key, value, expected) = (knob.key(), text.to_owned(), knob.shape.expected());
        match knob.shape.parse(text) {
            Ok(parsed) => {
                self.values[index] = parsed;
                self.origins[index] = origin.clone();
                Ok(())
            }
            Err(Fault::Malformed) => {
                Err(ConfigError::Malformed { key, value, origin: origin.clone(), expected })
            }
            Err(Fault::OutOfRange) => {
                Err(ConfigError::OutOfRange { key, value, origin: origin.clone(), expected })
            }
        }
    }
}

/// The default of a knob as a value; `tests::every_default_reads_and_prints_back` guards that it is one.
fn default_of(knob: &Knob) -> Value {
    knob.shape.parse(knob.default).expect("every default in the table is a value of its knob")
}

fn is_section(name: &str) -> bool {
    SECTIONS.iter().any(|(section, _)| *section == name)
}

fn position(key: &str) -> Option<usize> {
    let (section, name) = key.split_once('.')?;
    KNOBS.iter().position(|knob| knob.section == section && knob.name == name)
}

/// The text that a TOML value stands for; what is no string stays as TOML writes it and so is refused by
/// every shape that is not meant.
fn toml_text(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
