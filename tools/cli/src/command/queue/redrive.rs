//! `tidemill queue redrive`: moves the messages of a dead-letter queue back to where they came from, or elsewhere.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tidemill_client::{ClientError, Move, MoveStatus, Queue, QueueName};

use crate::connection::request_failed;
use crate::failure::{CommandError, Exit, Outcome};
use crate::output::{Output, Table};
use crate::time::show_time;

/// How often a move is looked at.
const LOOK_PERIOD: Duration = Duration::from_millis(200);

pub(super) const EXAMPLES: &str = "\
Examples:
  tidemill queue redrive failed    each message to the queue that it came from
  tidemill queue redrive failed --to work --rate 100
  tidemill queue redrive failed --detach && tidemill queue redrive failed --list
  tidemill queue redrive failed --cancel 3

Ends when nothing is left to be moved. A move goes on if the command is interrupted; --cancel ends it.";

/// What is moved, and where.
#[derive(Debug, Args)]
pub(super) struct Redrive {
    /// The dead-letter queue.
    name: QueueName,
    /// Move all to this queue instead.
    #[arg(long, value_name = "QUEUE")]
    to: Option<QueueName>,
    /// So many messages each second at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Begin, and do not wait for the end.
    #[arg(long)]
    detach: bool,
    /// Show the last moves, the newest first, instead of beginning one.
    #[arg(long, conflicts_with_all = ["to", "rate", "detach"])]
    list: bool,
    /// Show the queues whose dead letters come here, instead of moving any.
    #[arg(long, conflicts_with_all = ["to", "rate", "detach", "list"])]
    sources: bool,
    /// End this move, instead of beginning one; what it has moved stays where it is.
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["to", "rate", "detach", "list", "sources"])]
    cancel: Option<u64>,
}

/// A move as it is shown.
#[derive(Serialize)]
struct Shown {
    number: u64,
    to: Option<String>,
    rate: Option<u32>,
    status: &'static str,
    moved: u64,
    to_move: u64,
    started: String,
    reason: Option<String>,
}

impl Redrive {
    pub(super) fn name(&self) -> &QueueName {
        &self.name
    }

    pub(super) async fn run(self, queue: &Queue, output: Output) -> Outcome {
        if self.list {
            let moves = done(queue.moves().await)?;
            let shown: Vec<Shown> = moves.iter().map(Shown::from).collect();
            return output.print(&shown, |shown| table(shown));
        }
        if self.sources {
            return sources(queue, output).await;
        }
        if let Some(number) = self.cancel {
            let cancelled = done(queue.cancel_move(number).await)?;
            return output.print(&Shown::from(&cancelled), |shown| table(std::slice::from_ref(shown)));
        }
        let mut latest = done(queue.start_move(self.to.as_ref(), self.rate.unwrap_or(0)).await)?;
        while !self.detach && matches!(latest.status, MoveStatus::Running | MoveStatus::Cancelling) {
            tokio::time::sleep(LOOK_PERIOD).await;
            let moves = done(queue.moves().await)?;
            latest = moves.into_iter().find(|one| one.number == latest.number).ok_or_else(|| {
                let text = "the move is not known any more: the server was restarted, and it has ended";
                CommandError::new(Exit::Failure, text)
            })?;
        }
        output.print(&Shown::from(&latest), |shown| table(std::slice::from_ref(shown)))?;
        match latest.status {
            MoveStatus::Failed(reason) => {
                Err(CommandError::new(Exit::Refused, format!("not all was moved: {reason}")))
            }
            MoveStatus::Cancelled => Err(CommandError::new(Exit::Refused, "the move was cancelled")),
            MoveStatus::Running | MoveStatus::Cancelling | MoveStatus::Completed => Ok(()),
        }
    }
}

async fn sources(queue: &Queue, output: Output) -> Outcome {
    let mut names: Vec<QueueName> = Vec::new();
    loop {
        let page = done(queue.dead_letter_sources(names.last()).await)?;
        let is_last = !page.more || page.queues.is_empty();
        names.extend(page.queues.into_iter().map(|queue| queue.name));
        if is_last {
            break;
        }
    }
    let names: Vec<&str> = names.iter().map(QueueName::as_str).collect();
    output.print(&names, |names| names.join("\n"))
}

fn done<T>(answered: Result<T, ClientError>) -> Outcome<T> {
    answered.map_err(|error| request_failed(&error))
}

fn table(moves: &[Shown]) -> String {
    let mut table = Table::new([">NUMBER", "STATUS", ">MOVED", ">OF", "TO", "STARTED"]);
    for one in moves {
        let to = one.to.clone().unwrap_or_else(|| "sources".to_owned());
        let status = match &one.reason {
            Some(reason) => format!("{}: {reason}", one.status),
            None => one.status.to_owned(),
        };
        let (moved, of) = (one.moved.to_string(), one.to_move.to_string());
        table.row([one.number.to_string(), status, moved, of, to, one.started.clone()]);
    }
    table.render()
}

impl From<&Move> for Shown {
    fn from(one: &Move) -> Self {
        let (status, reason) = match &one.status {
            MoveStatus::Running => ("running", None),
            MoveStatus::Cancelling => ("cancelling", None),
            MoveStatus::Cancelled => ("cancelled", None),
            MoveStatus::Completed => ("completed", None),
            MoveStatus::Failed(reason) => ("failed", Some(reason.clone())),
        };
        Self {
            number: one.number,
            to: one.target.as_ref().map(ToString::to_string),
            rate: Some(one.messages_per_second).filter(|rate| *rate > 0),
            status,
            moved: one.moved,
            to_move: one.to_move,
            started: show_time(one.started),
            reason,
        }
    }
}
