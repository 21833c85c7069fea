//! `tidemill ingest`: appends the lines of files to a stream.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tidemill_client::{Ack, Compression, Producer, ProducerOptions, RetryPolicy, StreamName, ThrottlePolicy};
use tidemill_wire::limits::RECORD_BYTES_MAX;

use super::block_on;
use crate::connection::{connect, connect_patiently, request_failed};
use crate::failure::{CommandError, Exit, Outcome};
use crate::ingest::checkpoint::Checkpoint;
use crate::ingest::input::Input;
use crate::ingest::key::KeyRule;
use crate::ingest::lines::LongLines;
use crate::ingest::{Counts, Ending, IngestOptions, Summary, run, show_progress};
use crate::output::{Output, is_watched};
use crate::quantity::parse_bytes;
use crate::signal::Signals;

/// Bytes on their way: enough for full speed, little enough that an interrupted ingest ends soon.
const BUFFER_BYTES_MAX: usize = 8 << 20;
/// A throttled ingest is meant to be slow, not to fail.
const THROTTLED_AT_MOST: Duration = Duration::from_secs(86_400);

const EXAMPLES: &str = "\
Examples:
  tidemill ingest logs /var/log/*.log
  tidemill ingest logs access.log --key field:1     an address's lines in order
  tidemill ingest logs 'app/**/*.log' --key 'regex:user=(\\w+)'
  journalctl -f -o json | tidemill ingest logs
  tidemill ingest logs /var/log/syslog --follow --checkpoint ./syslog.state

Lines:
  A line ends with a newline, or where the file ends; a carriage return before the newline is not part of it. Empty \
  lines are records too. With --follow, an unfinished last line waits for its end.

Checkpoint:
  The file holds, for each input file (by device and inode), where its last acknowledged line ends. A file that was rotated \
  meanwhile is found under its new name. After Ctrl-C, SIGTERM or an error nothing is sent twice; after `kill -9` or \
  a power cut, the lines that were stored in the last 0.2 s before it, or on their way, may be. Standard input and pipes cannot be resumed.

Lost answers:
  When a connection breaks before the answer to a batch, the batch may be stored or not. Without --follow the ingest then \
  stops; with --follow (or --resend) it sends the batch again, so its lines may be stored twice, but never not at all.";

/// Append the lines of files, or of standard input, to a stream.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Ingest {
    /// The stream, which must exist.
    stream: StreamName,
    /// Files, patterns (`*`, `?`, `[…]`, `**`) and `-` for standard input, which is also the default. A file that is
    /// named twice is read once.
    #[arg(value_name = "FILE")]
    inputs: Vec<String>,
    /// Go on with what is appended to the files, as `tail -F` does: across rotation and truncation, and with files
    /// that come later.
    #[arg(short, long)]
    follow: bool,
    /// The partition key of a line: `field:N` (from 1, apart by blanks), `regex:RE` (its first group, or its match),
    /// `file` (the path) or `none`. Lines of one key stay in order.
    #[arg(short, long, value_name = "RULE", default_value = "none")]
    key: KeyRule,
    /// When a batch counts as stored.
    #[arg(long, value_enum, default_value_t = AckRule::Durable)]
    ack: AckRule,
    /// Compression of the lines on the wire and on disk: none, lz4 or zstd.
    #[arg(long, value_name = "CODEC", default_value = "none")]
    compression: Compression,
    /// Lines a second, at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
    /// Remember in this file how far the inputs are ingested, and go on from there.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Longest line, at most 10MiB.
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = parse_line_bytes)]
    line_bytes_max: usize,
    /// What becomes of a longer line: records of at most that size, or the end of the ingest.
    #[arg(long, value_enum, value_name = "HOW", default_value_t = LongLines::Split)]
    long_lines: LongLines,
    /// Send a batch again when its answer was lost.
    #[arg(long)]
    resend: bool,
    /// No progress on the terminal.
    #[arg(short, long)]
    quiet: bool,
}

/// When a batch counts as stored.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum AckRule {
    /// When it is flushed to the disk: survives a power cut.
    Durable,
    /// When the server has it in the page cache: survives a crash of the server.
    Written,
}

impl Ingest {
    pub(crate) fn run(self, server: &str, output: Output) -> Outcome {
        let inputs = Input::parse(&self.inputs)?;
        let reads_stdin = inputs.iter().any(|input| matches!(input, Input::Stdin));
        if self.follow && reads_stdin {
            let reason = "--follow needs files: standard input is read until it ends anyway";
            return Err(CommandError::new(Exit::Usage, reason));
        }
        let is_endless = self.follow || reads_stdin;
        let is_shown = !self.quiet && is_watched();
        block_on(async move {
            let signals = Signals::catch()?;
            let client = if self.follow { connect_patiently(server).await? } else { connect(server).await? };
            let producer = client.producer(&self.stream, self.producer_options()).await;
            let producer = producer.map_err(|error| request_failed(&error))?;
            let counts = Arc::new(Counts::new(is_endless));
            let progress = is_shown.then(|| tokio::spawn(show_progress(counts.clone(), None)));
            let outcome = self.ingest(&producer, inputs, &counts, &signals).await;
            if let Some(progress) = progress {
                progress.abort();
                // The bar is wiped before the result is printed.
                _ = progress.await;
            }
            let summary = counts.summary();
            // Of an ingest that failed before its first record there is only the reason to tell.
            let is_told = outcome.is_ok() || summary.records > 0 || output.is_json();
            let printed = if is_told { output.print(&summary, Summary::describe) } else { Ok(()) };
            match outcome? {
                Ending::Stopped if !self.follow => {
                    Err(CommandError::new(Exit::Interrupted, "interrupted; what is counted above is stored"))
                }
                Ending::Stopped | Ending::Finished => printed,
            }
        })
    }

    async fn ingest(
        &self,
        producer: &Producer,
        inputs: Vec<Input>,
        counts: &Arc<Counts>,
        signals: &Signals,
    ) -> Outcome<Ending> {
        let checkpoint = match &self.checkpoint {
            Some(path) => {
                let stream = producer.stream();
                Some((Checkpoint::load(path, &self.stream, stream.id)?, path.clone()))
            }
            None => None,
        };
        let options = IngestOptions {
            inputs,
            follow: self.follow,
            key: self.key.clone(),
            line_bytes_max: self.line_bytes_max,
            long_lines: self.long_lines,
            rate: self.rate,
            checkpoint,
            observer: None,
        };
        // The first signal ends the reading and waits for what was sent, the second one does not wait.
        run(producer, options, counts, signals.received(1), signals.received(2)).await
    }

    fn producer_options(&self) -> ProducerOptions {
        ProducerOptions {
            batch_records_max: 16_384,
            compression: self.compression,
            ack: match self.ack {
                AckRule::Durable => Ack::Durable,
                AckRule::Written => Ack::Written,
            },
            buffer_bytes_max: BUFFER_BYTES_MAX.max(2 * self.line_bytes_max),
            throttle: ThrottlePolicy::Wait { at_most: THROTTLED_AT_MOST },
            resend_unknown: self.follow || self.resend,
            retry: self.follow.then_some(RetryPolicy::FOREVER),
            ..ProducerOptions::default()
        }
    }
}

fn parse_line_bytes(text: &str) -> Result<usize, String> {
    let bytes = parse_bytes(text)?;
    match usize::try_from(bytes) {
        Ok(bytes @ 1..) if bytes <= RECORD_BYTES_MAX as usize => Ok(bytes),
        _ => Err(format!("{text} is out of range: expected 1 to {RECORD_BYTES_MAX} bytes")),
    }
}
