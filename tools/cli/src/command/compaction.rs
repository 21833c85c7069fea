//! `tidemill compaction`: what compaction does on a running server, and its pause.

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::admin::{Answer, by_label, request};
use crate::failure::{CommandError, Exit, Outcome};
use crate::output::{Output, Table};
use crate::quantity::show_bytes;

/// Look at the compaction of a running server, or hold it for a while.
#[derive(Debug, Args)]
pub(crate) struct Compaction {
    /// Address of the server's admin port.
    #[arg(long, global = true, value_name = "HOST:PORT", default_value = "127.0.0.1:7680")]
    admin: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show for each lane whether it runs, live, dead and rewritten bytes since the start, write amplification, and why rounds were given up.
    #[command(after_help = "Examples:
  tidemill compaction status
  tidemill compaction status --json | jq '.[].write_amplification'")]
    Status,
    /// Hold it before its next step, on all lanes, until it is resumed or the server starts again.
    ///
    /// What retention frees piecemeal stays on the disk meanwhile, and a full disk does not come back by itself.
    #[command(after_help = "Examples:
  tidemill compaction pause
  tidemill compaction pause --admin 127.0.0.1:7780")]
    Pause,
    /// Let it go on.
    #[command(after_help = "Examples:
  tidemill compaction resume")]
    Resume,
}

#[derive(Serialize)]
struct Lane {
    lane: u64,
    is_paused: bool,
    live_bytes: u64,
    dead_bytes: u64,
    disk_bytes: u64,
    appended_bytes: u64,
    rewritten_bytes: u64,
    write_amplification: f64,
    rounds: u64,
    setbacks: Vec<Setback>,
}

#[derive(Serialize)]
struct Setback {
    reason: String,
    count: u64,
}

impl Compaction {
    pub(crate) fn run(&self, output: Output) -> Outcome {
        match self.action {
            Action::Status => {
                let metrics = self.ask("GET", "/metrics")?.body;
                output.print(&lanes(&metrics), |lanes| text(lanes))
            }
            Action::Pause => self.set("/compaction/pause", output),
            Action::Resume => self.set("/compaction/resume", output),
        }
    }

    fn set(&self, path: &str, output: Output) -> Outcome {
        let answer = self.ask("POST", path)?;
        output.print(&answer.body.trim(), |told| (*told).to_owned())
    }

    fn ask(&self, method: &str, path: &str) -> Outcome<Answer> {
        let answer = request(&self.admin, method, path).map_err(|error| {
            CommandError::because(Exit::Unreachable, format!("cannot ask {}", self.admin), &error)
        })?;
        match answer.status {
            200 | 202 => Ok(answer),
            404 => Err(CommandError::new(
                Exit::Failure,
                format!("{} has no {path}: is it the admin port?", self.admin),
            )),
            _ => Err(CommandError::new(Exit::Refused, answer.body.trim())),
        }
    }
}

fn lanes(metrics: &str) -> Vec<Lane> {
    let of = |family: &str, lane: &str| {
        by_label(metrics, family, "lane").filter(|(at, _)| *at == lane).map(|(_, value)| value).sum::<f64>()
    };
    let count = |family: &str, lane: &str| of(family, lane) as u64;
    by_label(metrics, "tidemill_compaction_paused", "lane")
        .map(|(lane, paused)| Lane {
            lane: lane.parse().unwrap_or_default(),
            is_paused: paused > 0.0,
            live_bytes: count("tidemill_live_bytes", lane),
            dead_bytes: count("tidemill_dead_bytes", lane),
            disk_bytes: count("tidemill_disk_bytes", lane),
            appended_bytes: count("tidemill_appended_bytes_total", lane),
            rewritten_bytes: count("tidemill_rewritten_bytes_total", lane),
            write_amplification: of("tidemill_write_amplification_ratio", lane),
            rounds: count("tidemill_compactions_total", lane),
            setbacks: setbacks(metrics, lane),
        })
        .collect()
}

/// By reason, those that there were.
fn setbacks(metrics: &str, lane: &str) -> Vec<Setback> {
    let family = "tidemill_compaction_setbacks_total";
    let counts = by_label(metrics, family, "lane").zip(by_label(metrics, family, "reason"));
    counts
        .filter(|((at, value), _)| *at == lane && *value > 0.0)
        .map(|((_, value), (reason, _))| Setback { reason: reason.to_owned(), count: value as u64 })
        .collect()
}

fn text(lanes: &[Lane]) -> String {
    let mut table = Table::new([
        ">LANE",
        "STATE",
        ">LIVE",
        ">DEAD",
        ">DISK",
        ">APPENDED",
        ">REWRITTEN",
        ">AMPLIFICATION",
        ">ROUNDS",
        "GIVEN UP",
    ]);
    for lane in lanes {
        let setbacks: Vec<String> =
            lane.setbacks.iter().map(|setback| format!("{} {}", setback.count, setback.reason)).collect();
        table.row([
            lane.lane.to_string(),
            if lane.is_paused { "paused" } else { "running" }.to_owned(),
            show_bytes(lane.live_bytes),
            show_bytes(lane.dead_bytes),
            show_bytes(lane.disk_bytes),
            show_bytes(lane.appended_bytes),
            show_bytes(lane.rewritten_bytes),
            format!("{:.2}", lane.write_amplification),
            lane.rounds.to_string(),
            if setbacks.is_empty() { "-".to_owned() } else { setbacks.join(", ") },
        ]);
    }
    table.render()
}
