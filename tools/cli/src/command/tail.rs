//! `tidemill tail`: prints records as they come.

use std::collections::BTreeMap;

use clap::Args;
use tidemill_client::{
    Client, Consumer, ConsumerOptions, DeliveryMode, SequenceNumber, ShardChoice, ShardDescription,
    ShardIndex, Start, StreamDescription, StreamName,
};

use super::block_on;
use super::replay::{Printer, ShardNumber, check_reach, start_of};
use crate::connection::{connect_patiently, request_failed};
use crate::failure::Outcome;
use crate::output::Output;
use crate::signal::Signals;
use crate::time::Point;

const EXAMPLES: &str = "\
Examples:
  tidemill tail logs                       what comes from now on
  tidemill tail logs -n 10                 the last ten of each shard first
  tidemill tail logs --from 15m --json | jq .data

Records of one shard come in order; shards are mixed. A lost connection is made again, and no record is left out or printed \
twice. Ctrl-C ends it, with exit code 0.";

type Positions = BTreeMap<ShardIndex, SequenceNumber>;

/// Print the records of a stream as they come.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Tail {
    /// The stream.
    stream: StreamName,
    /// Begin here: a sequence number (a shard that has not come to it begins at its end), a time, a span before now,
    /// oldest or newest.
    #[arg(long, value_name = "POINT", default_value = "newest", conflicts_with = "last")]
    from: Point,
    /// Begin so many records before the end of each shard.
    #[arg(short = 'n', long = "last", value_name = "N")]
    last: Option<u64>,
    /// Only this shard; repeat it for several.
    #[arg(long = "shard", value_name = "N")]
    shards: Vec<ShardNumber>,
    /// End after so many records in all.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

impl Tail {
    pub(crate) fn run(&self, server: &str, output: Output) -> Outcome {
        block_on(async {
            let signals = Signals::catch()?;
            let client = connect_patiently(server).await?;
            let mut consumer = self.consumer(&client).await?;
            let mut printer = Printer::new(output, self.count);
            tokio::select! {
                printed = printer.run(&mut consumer) => printed,
                () = signals.received(1) => printer.finish(),
            }
        })
    }

    async fn consumer(&self, client: &Client) -> Outcome<Consumer> {
        let start = match (self.last, self.from) {
            (Some(last), _) => Start::Positions(self.last_positions(client, last).await?),
            (None, Point::Sequence(from)) => Start::Positions(self.positions_from(client, from).await?),
            (None, from) => start_of(from),
        };
        let options = ConsumerOptions {
            shards: shard_choice(&self.shards),
            start,
            count: self.count,
            delivery: DeliveryMode::Push,
            ..ConsumerOptions::default()
        };
        client.consumer(&self.stream, options).await.map_err(|error| request_failed(&error))
    }

    async fn last_positions(&self, client: &Client, last: u64) -> Outcome<Positions> {
        let stream = self.describe(client).await?;
        let position = |shard: &ShardDescription| {
            let wanted = shard.next_sequence.get().saturating_sub(last);
            SequenceNumber(wanted.max(shard.oldest_sequence.get()))
        };
        Ok(stream.shards.iter().map(|shard| (shard.index, position(shard))).collect())
    }

    /// A shard that has not come to the number yet begins at its end.
    async fn positions_from(&self, client: &Client, from: SequenceNumber) -> Outcome<Positions> {
        let stream = self.describe(client).await?;
        check_reach(&stream, &self.shards, from)?;
        Ok(stream.shards.iter().map(|shard| (shard.index, from.min(shard.next_sequence))).collect())
    }

    async fn describe(&self, client: &Client) -> Outcome<StreamDescription> {
        client.admin().describe_stream(&self.stream).await.map_err(|error| request_failed(&error))
    }
}

/// The shards that were named, or all.
pub(super) fn shard_choice(shards: &[ShardNumber]) -> ShardChoice {
    if shards.is_empty() {
        ShardChoice::All
    } else {
        ShardChoice::Only(shards.iter().map(|shard| shard.0).collect())
    }
}
