//! `tidemill config`: the configuration that a server would start with.

use clap::Args;
use serde::Serialize;
use tidemill_server::config::Effective;

use crate::failure::Outcome;
use crate::output::Output;
use crate::settings::SettingsArguments;

const EXAMPLES: &str = "\
Examples:
  tidemill config                                    every knob and its default
  tidemill config --config tidemill.toml > new.toml  what holds, as a file
  tidemill config --set quota.enabled=false --json";

/// Print the server's effective configuration, and where each value comes from.
///
/// Takes the same flags as `serve`. The text is a TOML file that loads to the same values.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Config {
    #[command(flatten)]
    settings: SettingsArguments,
}

#[derive(Serialize)]
struct Entry {
    key: String,
    value: String,
    origin: String,
    doc: &'static str,
}

impl Config {
    pub(crate) fn run(&self, output: Output) -> Outcome {
        let effective = self.settings.load()?;
        output.print(&entries(&effective), |_| effective.to_toml())
    }
}

fn entries(effective: &Effective) -> Vec<Entry> {
    let entries = effective.entries().into_iter();
    entries
        .map(|entry| Entry {
            key: entry.key,
            value: entry.value,
            origin: entry.origin.to_string(),
            doc: entry.doc,
        })
        .collect()
}
