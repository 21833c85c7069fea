//! `tidemill replay`: prints stored records from one point to another.

use std::io::{self, BufWriter, StdoutLock, Write};
use std::str::FromStr;

use clap::Args;
use tidemill_client::{
    ClientError, Consumer, ConsumerOptions, ErrorCode, Event, Gap, SequenceNumber, ShardDescription,
    ShardIndex, Start, StreamDescription, StreamName, Until,
};

use super::block_on;
use super::tail::shard_choice;
use crate::connection::{connect, request_failed};
use crate::failure::{CommandError, Exit, Outcome};
use crate::output::record::{Form, Printed};
use crate::output::{Output, buffered, note};
use crate::signal::Signals;
use crate::time::Point;

const EXAMPLES: &str = "\
Examples:
  tidemill replay logs                                     everything kept
  tidemill replay logs --shard 2 --from 1000 --count 10    ten records by number
  tidemill replay logs --from 2026-01-31T12:00:00Z --to 1h
  tidemill replay logs --json | jq -r 'select(.key==\"10.0.0.1\").data'

Points:
  A sequence number (1000), a time (2026-01-31, 2026-01-31T12:00:00Z, 2026-01-31T12:00:00+02:00; UTC without an \
  offset), a span before now (15m, 2h30m), `oldest`, or `end`, which is where each shard ends when the command starts. \
  A sequence number counts in each shard by itself: a shard that ends before it has nothing to give, and if all do, \
  that is an error (exit code 3). --from is included, --to is not.

Output:
  The data of each record and a newline; with --json one object on a line: shard, sequence, time (of the append), key and \
  data, or key_base64 and data_base64 where they are not UTF-8. Records of one shard come in order; shards are mixed.";

/// Print the stored records of a stream, from one point to another.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Replay {
    /// The stream.
    stream: StreamName,
    /// Begin at this point.
    #[arg(long, value_name = "POINT", default_value = "oldest")]
    from: Point,
    /// End before this point.
    #[arg(long, value_name = "POINT", default_value = "end")]
    to: Point,
    /// End after so many records in all.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Only this shard; repeat it for several.
    #[arg(long = "shard", value_name = "N")]
    shards: Vec<ShardNumber>,
    /// Print the data of each record and a newline. This is the default.
    #[arg(long, conflicts_with = "json")]
    raw: bool,
}

/// A shard on the command line.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShardNumber(pub(super) ShardIndex);

impl FromStr for ShardNumber {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(ShardIndex(text.parse()?)))
    }
}

impl Replay {
    pub(crate) fn run(&self, server: &str, output: Output) -> Outcome {
        let until = self.until()?;
        block_on(async {
            let signals = Signals::catch()?;
            let client = connect(server).await?;
            let options = ConsumerOptions {
                shards: shard_choice(&self.shards),
                start: start_of(self.from),
                until,
                count: self.count,
                ..ConsumerOptions::default()
            };
            let consumer = client.consumer(&self.stream, options).await;
            let mut consumer = consumer.map_err(|error| request_failed(&error))?;
            if let Point::Sequence(from) = self.from {
                check_reach(consumer.stream(), &self.shards, from)?;
            }
            let mut printer = Printer::new(output, self.count);
            tokio::select! {
                printed = printer.run(&mut consumer) => printed,
                () = signals.received(1) => {
                    printer.finish()?;
                    Err(CommandError::new(Exit::Interrupted, "interrupted"))
                }
            }
        })
    }

    /// A replay ends where the shard ends at the latest, whatever else bounds it.
    fn until(&self) -> Outcome<Until> {
        let is_backwards = match (self.from, self.to) {
            (Point::Sequence(from), Point::Sequence(to)) => to < from,
            (Point::Time(from), Point::Time(to)) => to < from,
            _ => false,
        };
        if is_backwards {
            return Err(CommandError::new(Exit::Usage, "--to lies before --from"));
        }
        let end = Until { end: true, ..Until::default() };
        match self.to {
            Point::Newest => Ok(end),
            Point::Sequence(sequence) => Ok(Until { sequence: Some(sequence), ..end }),
            Point::Time(time) => Ok(Until { timestamp: Some(time), ..end }),
            Point::Oldest => Err(CommandError::new(Exit::Usage, "--to oldest leaves nothing to replay")),
        }
    }
}

/// Refuses a sequence number that no shard has come to: whoever names one means a record, or the next one.
pub(super) fn check_reach(
    stream: &StreamDescription,
    shards: &[ShardNumber],
    from: SequenceNumber,
) -> Outcome {
    let is_chosen =
        |shard: &&ShardDescription| shards.is_empty() || shards.iter().any(|chosen| chosen.0 == shard.index);
    let ends = stream.shards.iter().filter(is_chosen).map(|shard| shard.next_sequence);
    match ends.max() {
        Some(end) if end < from => {
            let reason =
                format!("sequence number {from} lies beyond the end of stream {}: {end}", stream.name);
            Err(CommandError::new(Exit::NotFound, reason))
        }
        _ => Ok(()),
    }
}

/// Where a consumer begins.
pub(super) fn start_of(point: Point) -> Start {
    match point {
        Point::Sequence(sequence) => Start::Sequence(sequence),
        Point::Time(time) => Start::Timestamp(time),
        Point::Oldest => Start::Oldest,
        Point::Newest => Start::Newest,
    }
}

/// Prints what a consumer gives.
pub(super) struct Printer {
    form: Form,
    out: BufWriter<StdoutLock<'static>>,
    /// How many records may still be printed.
    left: Option<u64>,
}

impl Printer {
    pub(super) fn new(output: Output, count: Option<u64>) -> Self {
        Self { form: if output.is_json() { Form::Json } else { Form::Raw }, out: buffered(), left: count }
    }

    /// Prints until the consumer ends, or the count is reached. What waits in the buffer goes out whenever nothing
    /// more has come.
    pub(super) async fn run(&mut self, consumer: &mut Consumer) -> Outcome {
        while self.left != Some(0) {
            let event = tokio::select! {
                biased;
                event = consumer.next() => event,
                // Resolves at once, so it is reached exactly when the consumer has nothing ready.
                () = std::future::ready(()) => {
                    self.finish()?;
                    consumer.next().await
                }
            };
            match event {
                None => break,
                Some(Err(error)) => {
                    self.finish()?;
                    return Err(reading_failed(consumer, &error));
                }
                Some(Ok(Event::Gap(gap))) => report_gap(&gap),
                Some(Ok(Event::Records(batch))) => {
                    self.print(batch).map_err(|error| CommandError::output(&error))?;
                }
            }
        }
        self.finish()
    }

    fn print(&mut self, batch: tidemill_client::ConsumedBatch) -> io::Result<()> {
        for record in batch {
            match &mut self.left {
                Some(0) => break,
                Some(left) => *left -= 1,
                None => {}
            }
            let printed = Printed {
                shard: record.shard,
                sequence: record.sequence,
                append_time: record.append_time,
                key: &record.key,
                data: &record.data,
            };
            printed.write(self.form, &mut self.out)?;
        }
        Ok(())
    }

    /// Lets out what waits in the buffer.
    pub(super) fn finish(&mut self) -> Outcome {
        self.out.flush().map_err(|error| CommandError::output(&error))
    }
}

fn reading_failed(consumer: &Consumer, error: &ClientError) -> CommandError {
    if error.code() == Some(ErrorCode::UnknownStream) {
        // It was there when the reading began.
        let reason = format!("stream {} was deleted", consumer.stream().name);
        return CommandError::new(Exit::NotFound, reason);
    }
    request_failed(error)
}

fn report_gap(gap: &Gap) {
    let last = gap.to.get().saturating_sub(1);
    note(format_args!("tidemill: shard {}: records {} to {last} are no longer kept", gap.shard, gap.from));
}
