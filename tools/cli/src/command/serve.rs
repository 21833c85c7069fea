//! `tidemill serve`: runs a server until it is told to stop.

use clap::Args;
use serde::Serialize;
use tidemill_server::boot::Addresses;
use tidemill_storage::failpoint;

use super::block_on;
use crate::failure::{CommandError, Exit, Outcome};
use crate::hosting;
use crate::logging;
use crate::output::{Output, note};
use crate::settings::SettingsArguments;
use crate::signal::Signals;

/// Where a debug build is told the failpoint at which it kills itself.
const FAILPOINT_VARIABLE: &str = "TIDEMILL_FAILPOINT";

const EXAMPLES: &str = "\
Examples:
  tidemill serve --data /var/lib/tidemill
  tidemill serve --data ./data --listen 0.0.0.0:7600 --set quota.enabled=false
  tidemill serve --listen 127.0.0.1:0 --http-port 0 --admin-port 0   any free
  tidemill serve --set aws.authentication=off    AWS clients need no key

SIGTERM or Ctrl-C stops it: requests in flight are finished, everything is flushed, the exit code is 0. A second signal \
stops it at once; then the next start recovers from the log, and nothing that was acknowledged is lost.";

/// Run a server.
///
/// Prints where it listens as soon as it does, in one line of JSON with --json. Values come from defaults, then the file, then
/// the environment (TIDEMILL_<SECTION>_<NAME>), then flags.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Serve {
    #[command(flatten)]
    settings: SettingsArguments,
}

/// What a running server says of itself.
#[derive(Serialize)]
struct Started {
    version: &'static str,
    pid: u32,
    data: String,
    native: String,
    cores: Vec<String>,
    http: String,
    admin: String,
}

impl Serve {
    pub(crate) fn run(&self, output: Output, verbose: u8) -> Outcome {
        let config = self.settings.load()?.config;
        arm_failpoint()?;
        logging::start_server(config.log.format, config.log.level, verbose);
        let data = config.data.directory.display().to_string();
        block_on(async move {
            let signals = Signals::catch()?;
            let server = tokio::select! {
                server = hosting::start(config) => server?,
                // Nothing was promised to anybody yet, and a recovery that is cut off begins anew.
                () = signals.received(1) => {
                    note("tidemill: stopped before it listened");
                    return Ok(());
                }
            };
            output.print(&describe(server.addresses(), data), Started::text)?;

            signals.received(1).await;
            note("tidemill: stopping, once more to stop at once");
            tokio::select! {
                stopped = hosting::stop(server) => stopped,
                () = signals.received(2) => Err(CommandError::new(Exit::Interrupted, "stopped before everything was finished")),
            }
        })
    }
}

/// Debug builds kill themselves at a step that tests ask for; a release build that is asked to does not start.
pub(crate) fn arm_failpoint() -> Outcome {
    let Some(text) = std::env::var_os(FAILPOINT_VARIABLE) else { return Ok(()) };
    failpoint::arm(&text.to_string_lossy())
        .map_err(|error| CommandError::because(Exit::Usage, FAILPOINT_VARIABLE, &error))
}

fn describe(addresses: &Addresses, data: String) -> Started {
    Started {
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        data,
        native: addresses.native.to_string(),
        cores: addresses.cores.iter().map(ToString::to_string).collect(),
        http: addresses.http.to_string(),
        admin: addresses.admin.to_string(),
    }
}

impl Started {
    fn text(&self) -> String {
        format!(
            "tidemill {} serves {} (process {})\n  clients  {} (cores: {})\n  AWS APIs {}\n  metrics  http://{}/metrics\nCtrl-C stops it.",
            self.version,
            self.data,
            self.pid,
            self.native,
            self.cores.join(", "),
            self.http,
            self.admin
        )
    }
}
