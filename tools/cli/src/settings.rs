//! The server's configuration as the command line gives it.

use std::path::PathBuf;

use clap::Args;
use tidemill_server::config::{Effective, Sources};

use crate::failure::{CommandError, Exit, Outcome};

/// Where the configuration comes from; later ones win: defaults, file, environment, flags.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct SettingsArguments {
    /// Directory of the lanes and the catalog; made when it does not exist.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Address and shared port of the native protocol; port 0 takes any free ports.
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) listen: Option<String>,
    /// Port of the AWS APIs over HTTP; 0 takes any free port.
    #[arg(long, value_name = "PORT")]
    pub(crate) http_port: Option<u16>,
    /// Port of metrics and health checks; 0 takes any free port.
    #[arg(long, value_name = "PORT")]
    pub(crate) admin_port: Option<u16>,
    /// Configuration file (TOML).
    #[arg(long, env = "TIDEMILL_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Set one knob, as in `--set storage.segment_size=64MiB`; repeat it for several. `tidemill config` lists them.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_setting)]
    pub(crate) set: Vec<(String, String)>,
}

impl SettingsArguments {
    /// Reads and checks all sources.
    pub(crate) fn load(&self) -> Outcome<Effective> {
        let mut flags = Vec::new();
        let mut flag = |key: &str, value: String| flags.push((key.to_owned(), value));
        if let Some(data) = &self.data {
            flag("data.directory", data.display().to_string());
        }
        if let Some(listen) = &self.listen {
            let (host, port) = split_address(listen);
            flag("listen.host", host.to_owned());
            if let Some(port) = port {
                flag("listen.native_port", port.to_owned());
            }
        }
        if let Some(port) = self.http_port {
            flag("listen.http_port", port.to_string());
        }
        if let Some(port) = self.admin_port {
            flag("listen.admin_port", port.to_string());
        }
        flags.extend(self.set.iter().cloned());
        let sources =
            Sources { file: self.config.clone(), environment: std::env::vars_os().collect(), flags };
        sources.load().map_err(|error| CommandError::new(Exit::Usage, crate::failure::chain(&error)))
    }
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    let (key, value) =
        text.split_once('=').ok_or_else(|| format!("{text:?} has no '=': expected section.name=value"))?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// Splits `host:port`, `[::1]:port`, `::1`, `host`.
fn split_address(text: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    match text.split_once(':') {
        // More than one colon without brackets is an IPv6 address.
        Some((host, port)) if !port.contains(':') => {
            (if host.is_empty() { "0.0.0.0" } else { host }, Some(port))
        }
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests;
