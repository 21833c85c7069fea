//! `tidemill queue`: create, list, describe, set and delete queues; send and receive messages, count, purge and move them.

mod change;
mod description;
mod receive;
mod redrive;
mod send;
mod stats;

use clap::{ArgGroup, Args, Subcommand};
use serde::Serialize;
use tidemill_client::{Admin, Client, ErrorCode, Queue, QueueChange, QueueName};

use super::block_on;
use crate::connection::{connect, request_failed};
use crate::failure::Outcome;
use crate::output::{Output, Table};
use crate::time::show_time;

use change::Changes;
use description::Description;

/// Create, list, describe, set and delete queues; send and receive messages.
#[derive(Debug, Args)]
pub(crate) struct QueueCommand {
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
    /// Send messages: those that are named, or the lines of standard input.
    #[command(after_help = send::EXAMPLES)]
    Send(send::Send),
    /// Receive messages and print them, one on a line.
    #[command(after_help = receive::EXAMPLES)]
    Receive(receive::Receive),
    /// Delete all messages of a queue that were sent before. There is no way back.
    #[command(after_help = "Examples:
  tidemill queue purge work")]
    Purge {
        /// The queue.
        name: QueueName,
    },
    /// Move the messages of a dead-letter queue back to where they came from, or elsewhere.
    #[command(after_help = redrive::EXAMPLES)]
    Redrive(redrive::Redrive),
    /// Show how many messages queues have.
    #[command(after_help = stats::EXAMPLES)]
    Stats {
        /// The queues.
        #[arg(required = true)]
        names: Vec<QueueName>,
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

impl QueueCommand {
    pub(crate) fn run(self, server: &str, output: Output) -> Outcome {
        block_on(async move {
            let client = connect(server).await?;
            let admin = client.admin();
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
                Action::Send(send) => {
                    let queue = find(&client, send.name()).await?;
                    send.run(&queue, output).await
                }
                Action::Receive(receive) => {
                    let queue = find(&client, receive.name()).await?;
                    receive.run(&queue, output).await
                }
                Action::Purge { name } => {
                    let queue = find(&client, &name).await?;
                    queue.purge().await.map_err(|error| request_failed(&error))?;
                    output
                        .print(&serde_json::json!({ "purged": name.as_str() }), |_| format!("purged {name}"))
                }
                Action::Redrive(redrive) => {
                    let queue = find(&client, redrive.name()).await?;
                    redrive.run(&queue, output).await
                }
                Action::Stats { names } => stats::show(&client, &names, output).await,
            }
        })
    }
}

async fn find(client: &Client, name: &QueueName) -> Outcome<Queue> {
    client.queue(name).await.map_err(|error| request_failed(&error))
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
