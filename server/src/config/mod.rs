//! Every knob of the server, once: name, unit, range, default, doc.
//!
//! Values come from defaults, then a TOML file, then the environment (`TIDEMILL_<SECTION>_<NAME>`), then
//! flags (`section.name=value`); later ones win, unknown keys are refused with the nearest known one, and a
//! refused value is reported with its range and origin. Knobs that only make sense together are checked
//! together. This module reads the files it is given and nothing else of the world.

mod credentials;
mod error;
mod knob;
mod knobs;
mod print;
mod relation;
mod setting;
mod sources;
mod suggest;
#[cfg(test)]
mod tests;
mod value;

pub use credentials::{Credential, CredentialsError, load_credentials};
pub use error::{ConfigError, Origin};
pub use knob::{Absent, Fault, Form, Knob, Shape, Unit};
pub use knobs::{
    Aws, Config, Data, Http, KNOBS, Limits, Listen, Log, Queues, Quota, Retention, Runtime, SECTIONS, Server,
    Shutdown, Storage,
};
pub use print::{Entry, reference};
pub use setting::{Authentication, LogFormat, LogLevel, UnknownOwners};
pub use sources::{Effective, Sources};
pub use value::Value;
