//! `tidemill doctor`: whether this machine can run the server well, and what to do where it cannot.

mod disk;
mod finding;
mod machine;
mod threads;

use clap::Args;
use serde::Serialize;

use crate::failure::{CommandError, Exit, Outcome};
use crate::output::{Output, Table};
use crate::settings::SettingsArguments;

use finding::{Finding, Verdict};

const EXAMPLES: &str = "\
Examples:
  tidemill doctor --data /var/lib/tidemill
  tidemill doctor --json | jq '.findings[] | select(.verdict != \"ok\")'
  tidemill doctor --pid $(pidof tidemill)   a server's threads and their cores

Takes the same flags as `serve` and looks at what that would use. The disk is timed by a few small durable writes to a file \
in the data directory, which is removed again. Exit code 1 if something would keep the server from starting.";

/// Check this machine: kernel, io_uring, limits, cores, disk, ports.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Doctor {
    #[command(flatten)]
    settings: SettingsArguments,
    /// Show the threads of this running server, and the cores they are pinned to.
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
}

#[derive(Serialize)]
struct Report {
    /// Nothing would keep the server from starting.
    can_start: bool,
    findings: Vec<Finding>,
}

impl Doctor {
    pub(crate) fn run(&self, output: Output) -> Outcome {
        if let Some(pid) = self.pid {
            return threads::show(pid, output);
        }
        let config = self.settings.load()?.config;
        let mut findings = machine::examine(&config);
        findings.extend(disk::examine(&config));
        let can_start = findings.iter().all(|finding| finding.verdict != Verdict::Fail);
        output.print(&Report { can_start, findings }, text)?;
        if can_start {
            Ok(())
        } else {
            Err(CommandError::new(Exit::Failure, "the server would not start on this machine, see above"))
        }
    }
}

fn text(report: &Report) -> String {
    let mut table = Table::new(["", "WHAT", "FOUND"]);
    for finding in &report.findings {
        let mark = match finding.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        table.row([mark.to_owned(), finding.what.to_owned(), finding.found.clone()]);
        if let Some(advice) = &finding.advice {
            table.row([String::new(), String::new(), format!("-> {advice}")]);
        }
    }
    table.render()
}
