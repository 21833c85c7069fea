//! `tidemill queue`: create, list, describe, set and delete queues.

mod change;
mod description;

use clap::{ArgGroup, Args, Subcommand};
use serde::Serialize;
use tidemill_client::{Admin, ErrorCode, QueueChange, QueueName};

use super::block_on;
use crate::connection::{connect, request_failed};
use crate::failure::Outcome;
use crate::output::{Output, Table};
use crate::time::show_time;

use change::Changes;
use description::Description;

/// Create, list, describe, set and delete queues.
#[derive(Debug, Args)]
pub(crate) struct Queue {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create a queue. One that is there and is as asked for is left as it is.
    #[command(after_help = "Examples:
  tidemill queue create work --visibility 2m --dead-letters failed:5
  tidemill queue create orders.fifo --content-deduplication true")]
    Create {
        /// Its name: 1 to 80 letters, digits, '_' and '-'; one that ends in .fifo makes a FIFO queue.
        name: QueueName,
        #[command(flatten)]
        changes: Changes,
    },
    /// List queues by name.
    #[command(after_help = "Examples:
  tidemill queue list
  tidemill queue list app- --json | jq -r '.[].name'")]
    List {
        /// Only those whose names begin so.
        #[arg(default_value = "")]
        prefix: String,
    },
    /// Show a queue's settings, and the lanes it is spread over.
    #[command(after_help = "Examples:
  tidemill queue describe work
  tidemill queue describe work --json | jq .visibility_s")]
    Describe {
        /// The queue.
        name: QueueName,
    },
    /// Change a queue's settings, all at once; what is left out stays.
    #[command(group = ArgGroup::new("change").args(change::NAMES).multiple(true).required(true))]
    #[command(after_help = "Examples:
  tidemill queue set work --retention 7d --wait 20s
  tidemill queue set work --dead-letters none")]
    Set {
        /// The queue.
        name: QueueName,
        #[command(flatten)]
        changes: Changes,
    },
    /// Delete queues and all their messages. There is no way back.
    #[command(after_help = "Examples:
  tidemill queue delete work
  tidemill queue delete work failed --if-present")]
    Delete {
        /// The queues.
        #[arg(required = true)]
        names: Vec<QueueName>,
        /// Succeed if there is no such queue.
        #[arg(long)]
        if_present: bool,
    },
}

/// A line of the list.
#[derive(Serialize)]
struct Listed {
    name: String,
    id: u64,
    partitions: u32,
    created: String,
}

impl Queue {
    pub(crate) fn run(self, server: &str, output: Output) -> Outcome {
        block_on(async move {
            let admin = connect(server).await?.admin();
            match self.action {
                Action::Create { name, changes } => {
                    let settings = QueueChange::try_from(changes)?;
                    show(admin.create_queue(&name, settings).await, output)
                }
                Action::List { prefix } => list(&admin, &prefix, output).await,
                Action::Describe { name } => show(admin.describe_queue(&name).await, output),
                Action::Set { name, changes } => {
                    let settings = QueueChange::try_from(changes)?;
                    show(admin.update_queue(&name, settings).await, output)
                }
                Action::Delete { names, if_present } => delete(&admin, &names, if_present, output).await,
            }
        })
    }
}

fn show(
    queue: Result<tidemill_client::QueueDescription, tidemill_client::ClientError>,
    output: Output,
) -> Outcome {
    let queue = queue.map_err(|error| request_failed(&error))?;
    output.print(&Description::from(&queue), Description::text)
}

async fn list(admin: &Admin, prefix: &str, output: Output) -> Outcome {
    let queues = admin.list_queues(prefix).await.map_err(|error| request_failed(&error))?;
    let listed: Vec<Listed> = queues
        .iter()
        .map(|queue| Listed {
            name: queue.name.to_string(),
            id: queue.id.get(),
            partitions: queue.partitions,
            created: show_time(queue.created),
        })
        .collect();
    output.print(&listed, |listed| {
        let mut table = Table::new(["NAME", ">PARTITIONS", "CREATED"]);
        for queue in listed {
            table.row([queue.name.clone(), queue.partitions.to_string(), queue.created.clone()]);
        }
        table.render()
    })
}

async fn delete(admin: &Admin, names: &[QueueName], if_present: bool, output: Output) -> Outcome {
    let mut deleted = Vec::new();
    let mut outcome = Ok(());
    for name in names {
        match admin.delete_queue(name).await {
            Ok(()) => deleted.push(name.as_str()),
            Err(error) if if_present && error.code() == Some(ErrorCode::UnknownQueue) => {}
            Err(error) => {
                outcome = Err(request_failed(&error));
                break;
            }
        }
    }
    // What is gone is told also when another one could not be deleted.
    let text = if deleted.is_empty() { String::new() } else { format!("deleted {}", deleted.join(" ")) };
    outcome.and(output.print(&serde_json::json!({ "deleted": deleted }), |_| text))
}
