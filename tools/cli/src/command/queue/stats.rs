//! `tidemill queue stats`: how many messages queues have, and how old the oldest is.

use serde::Serialize;
use tidemill_client::{Client, QueueName};

use crate::connection::request_failed;
use crate::failure::Outcome;
use crate::output::{Output, Table};
use crate::time::now;

pub(super) const EXAMPLES: &str = "\
Examples:
  tidemill queue stats work failed
  tidemill queue stats work --json | jq '.[0].visible'

The counts are of one moment each and not of the same; IN FLIGHT was received and is neither deleted nor back.";

#[derive(Serialize)]
struct Stats {
    name: String,
    visible: u64,
    in_flight: u64,
    delayed: u64,
    oldest_age_s: Option<u64>,
}

/// Shows the counts of queues, in the order in which they were named.
pub(super) async fn show(client: &Client, names: &[QueueName], output: Output) -> Outcome {
    let mut all = Vec::with_capacity(names.len());
    for name in names {
        let queue = client.queue(name).await.map_err(|error| request_failed(&error))?;
        let counts = queue.counts().await.map_err(|error| request_failed(&error))?;
        let age = |sent: tidemill_client::Timestamp| now().get().saturating_sub(sent.get()) / 1_000;
        all.push(Stats {
            name: name.to_string(),
            visible: counts.visible,
            in_flight: counts.in_flight,
            delayed: counts.delayed,
            oldest_age_s: counts.oldest_sent.map(age),
        });
    }
    output.print(&all, |all| {
        let mut table = Table::new(["NAME", ">VISIBLE", ">IN FLIGHT", ">DELAYED", ">OLDEST"]);
        for stats in all {
            let oldest = stats.oldest_age_s.map_or_else(|| "-".to_owned(), |age| format!("{age}s"));
            let counts = [stats.visible, stats.in_flight, stats.delayed].map(|count| count.to_string());
            let [visible, in_flight, delayed] = counts;
            table.row([stats.name.clone(), visible, in_flight, delayed, oldest]);
        }
        table.render()
    })
}
