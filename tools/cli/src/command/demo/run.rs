//! The steps of the demo, each told while it runs.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidemill_client::{
    Client, ConsumerOptions, ErrorCode, Event, Producer, ProducerOptions, Quota, Record, Settings,
    ShardChoice, ShardDescription, Start, StreamDescription, StreamName, Until,
};
use tidemill_server::boot::ServerHandle;

use super::{Report, Source};
use crate::connection::{connect, request_failed, send_failed};
use crate::demo::tally::Tally;
use crate::failure::{CommandError, Exit, Outcome};
use crate::ingest::lines::LongLines;
use crate::ingest::{Counts, Ending, IngestOptions, show_progress};
use crate::latency::Latencies;
use crate::output::{Output, is_watched};
use crate::quantity::{per_second, show_bytes, show_count, show_rate, show_span};
use crate::signal::Signals;

const SHARDS: u32 = 4;
const LINE_BYTES_MAX: usize = 1 << 20;
/// Pause between two appends that are timed while the server is busy.
const PROBE_INTERVAL: Duration = Duration::from_millis(5);
/// How long appends are timed when nothing else goes on.
const IDLE_PROBING: Duration = Duration::from_secs(1);
/// Records of the range that is shown.
const SHOWN_RECORDS: u64 = 5;
/// Characters of a record that are shown.
const SHOWN_CHARACTERS: usize = 110;

const MIB: usize = 1 << 20;

/// Runs the steps against a server, and prints the result.
pub(super) async fn run(
    server: &ServerHandle,
    source: Source,
    data: &Path,
    is_kept: bool,
    output: Output,
    signals: &Signals,
) -> Outcome {
    let native = server.addresses().native.to_string();
    let story = Story { output };
    story
        .tell(format_args!("tidemill {}: a server on {native} in this process", env!("CARGO_PKG_VERSION")))?;
    let client = connect(&native).await?;
    let stream = create(&client, "demo", SHARDS).await?;
    story.tell(format_args!("stream {}: {SHARDS} shards, quotas off", stream.name))?;
    story.tell(format_args!("ingesting {}", source.what))?;

    let mut sent = Tally::default();
    let what = source.what.clone();
    let ingested = ingest(&client, &stream, source, &mut sent, story, signals).await?;
    let summary = &ingested.summary;
    story.tell(format_args!("  {}", summary.describe()))?;
    let idle = probe_idle(&ingested.probe).await?;
    delete(&client, ingested.probe.stream().name).await?;

    show_range(&client, &stream.name, story).await?;
    story.tell(format_args!("replaying everything"))?;
    let mut received = Tally::default();
    let elapsed = replay(&client, &stream.name, &mut received, signals).await?;
    let rate = per_second(received.lines(), elapsed);
    let shown = (
        show_count(received.lines()),
        show_span(elapsed),
        show_rate(received.bytes(), elapsed),
        show_count(rate),
    );
    story.tell(format_args!("  {} records in {} ({}, {} records/s)", shown.0, shown.1, shown.2, shown.3))?;

    let difference = sent.difference(&received);
    let report = Report {
        source: what,
        stream: stream.name.to_string(),
        lines: sent.lines(),
        bytes: sent.bytes(),
        keys: sent.keys(),
        ingest_bytes_per_second: summary.bytes_per_second,
        ingest_records_per_second: summary.records_per_second,
        replay_bytes_per_second: per_second(received.bytes(), elapsed),
        replay_records_per_second: rate,
        latency_loaded: ingested.loaded.percentiles(),
        latency_idle: idle.percentiles(),
        is_complete: difference.is_none(),
        native,
        admin: server.addresses().admin.to_string(),
        data: data.display().to_string(),
    };
    output.print(&report, |report| text(report, is_kept))?;
    difference.map_or(Ok(()), |difference| {
        let reason = format!(
            "check failed: of {} keys, {} have too many or too few lines, {} have other lines or another order; {} lines sent, {} came back",
            sent.keys(), difference.miscounted, difference.misordered, sent.lines(), received.lines()
        );
        Err(CommandError::new(Exit::Damaged, reason))
    })
}

/// Tells what goes on, to people only.
#[derive(Clone, Copy)]
struct Story {
    output: Output,
}

impl Story {
    fn tell(self, line: std::fmt::Arguments<'_>) -> Outcome {
        if self.output.is_json() { Ok(()) } else { self.output.line(&line.to_string()) }
    }
}

/// Creates a stream, under the next free name if a former demo left one in the same directory.
async fn create(client: &Client, name: &str, shards: u32) -> Outcome<StreamDescription> {
    let settings = Settings { quota: Some(Quota::OFF), ..Settings::default() };
    let mut number = 1_u32;
    loop {
        let name = if number == 1 { name.to_owned() } else { format!("{name}-{number}") };
        let name =
            StreamName::new(&name).map_err(|error| CommandError::because(Exit::Failure, "stream", &error))?;
        match client.admin().create_stream(&name, shards, settings).await {
            Err(error) if error.code() == Some(ErrorCode::StreamExists) => number += 1,
            created => return created.map_err(|error| request_failed(&error)),
        }
    }
}

async fn delete(client: &Client, name: StreamName) -> Outcome {
    client.admin().delete_stream(&name).await.map_err(|error| request_failed(&error))
}

/// What the ingest leaves for the later steps.
struct Ingested {
    summary: crate::ingest::Summary,
    loaded: Arc<Latencies>,
    probe: Producer,
}

async fn ingest(
    client: &Client,
    stream: &StreamDescription,
    source: Source,
    sent: &mut Tally,
    story: Story,
    signals: &Signals,
) -> Outcome<Ingested> {
    let failed = |error| request_failed(&error);
    let options = ProducerOptions {
        batch_records_max: 16_384,
        buffer_bytes_max: 8 * MIB,
        ..ProducerOptions::default()
    };
    let producer = client.producer(&stream.name, options).await.map_err(failed)?;
    let probe_stream = create(client, "demo-latency", 1).await?;
    let options = ProducerOptions { linger: Duration::ZERO, ..ProducerOptions::default() };
    let probe = client.producer(&probe_stream.name, options).await.map_err(failed)?;

    let counts = Arc::new(Counts::new(false));
    let loaded = Arc::new(Latencies::default());
    let probing = tokio::spawn(probe_on(probe.clone(), loaded.clone()));
    let telling = tokio::spawn(tell_progress(counts.clone(), loaded.clone(), story));
    let mut observe = |key: &[u8], line: &[u8]| sent.add(key, line);
    let options = IngestOptions {
        inputs: source.inputs,
        follow: false,
        key: source.key,
        line_bytes_max: LINE_BYTES_MAX,
        long_lines: LongLines::Split,
        rate: None,
        checkpoint: None,
        observer: Some(&mut observe),
    };
    let ending =
        crate::ingest::run(&producer, options, &counts, signals.received(1), signals.received(2)).await;
    probing.abort();
    telling.abort();
    // The bar is wiped before the next line is printed.
    _ = tokio::join!(probing, telling);
    match ending? {
        Ending::Stopped => Err(CommandError::new(Exit::Interrupted, "interrupted")),
        Ending::Finished => Ok(Ingested { summary: counts.summary(), loaded, probe }),
    }
}

/// A bar where people watch, a line a second elsewhere.
async fn tell_progress(counts: Arc<Counts>, latencies: Arc<Latencies>, story: Story) {
    if is_watched() && !story.output.is_json() {
        return show_progress(counts, Some(latencies)).await;
    }
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (lines, bytes) = counts.done();
        let rate = show_rate(bytes - before, Duration::from_secs(1));
        let latency = latencies
            .percentiles()
            .map_or_else(String::new, |percentiles| format!(", append {}", percentiles.text()));
        if story
            .tell(format_args!("  {} lines, {}, {rate}{latency}", show_count(lines), show_bytes(bytes)))
            .is_err()
        {
            return;
        }
        before = bytes;
    }
}

/// Times durable appends of one record each, one after the other.
async fn probe_on(producer: Producer, latencies: Arc<Latencies>) {
    // A probe that fails ends the probing; the ingest beside it meets the same failure and tells it.
    while probe(&producer, &latencies).await.is_ok() {
        tokio::time::sleep(PROBE_INTERVAL).await;
    }
}

async fn probe_idle(producer: &Producer) -> Outcome<Latencies> {
    let latencies = Latencies::default();
    let started = Instant::now();
    while started.elapsed() < IDLE_PROBING {
        probe(producer, &latencies).await?;
    }
    Ok(latencies)
}

async fn probe(producer: &Producer, latencies: &Latencies) -> Outcome {
    let started = Instant::now();
    let delivery =
        producer.send(Record::keyed(b"probe", &[b'.'; 100])).await.map_err(|error| send_failed(&error))?;
    delivery.await.map_err(|error| send_failed(&error))?;
    latencies.add(started.elapsed());
    Ok(())
}

/// Replays a few records of the fullest shard by their numbers, and shows them.
async fn show_range(client: &Client, name: &StreamName, story: Story) -> Outcome {
    let stream = client.admin().describe_stream(name).await.map_err(|error| request_failed(&error))?;
    let records = |shard: &&ShardDescription| shard.next_sequence.since(shard.oldest_sequence);
    let Some(shard) = stream.shards.iter().max_by_key(records).filter(|shard| records(shard) > 0) else {
        return Ok(());
    };
    let from = shard.oldest_sequence.get() + records(&shard) / 2;
    let options = ConsumerOptions {
        shards: ShardChoice::Only(vec![shard.index]),
        start: Start::Sequence(from.into()),
        until: Until { end: true, ..Until::default() },
        count: Some(SHOWN_RECORDS),
        ..ConsumerOptions::default()
    };
    story.tell(format_args!("replaying shard {} from record {from}", shard.index))?;
    let mut consumer = client.consumer(name, options).await.map_err(|error| request_failed(&error))?;
    while let Some(event) = consumer.next().await {
        let Event::Records(batch) = event.map_err(|error| request_failed(&error))? else { continue };
        for record in batch {
            let text: String = String::from_utf8_lossy(&record.data).chars().take(SHOWN_CHARACTERS).collect();
            story.tell(format_args!("  {:>10}  {}", record.sequence, text.replace(char::is_control, " ")))?;
        }
    }
    Ok(())
}

/// Replays everything into a tally.
async fn replay(
    client: &Client,
    name: &StreamName,
    received: &mut Tally,
    signals: &Signals,
) -> Outcome<Duration> {
    let started = Instant::now();
    let options =
        ConsumerOptions { until: Until { end: true, ..Until::default() }, ..ConsumerOptions::default() };
    let mut consumer = client.consumer(name, options).await.map_err(|error| request_failed(&error))?;
    loop {
        let event = tokio::select! {
            event = consumer.next() => event,
            () = signals.received(1) => return Err(CommandError::new(Exit::Interrupted, "interrupted")),
        };
        match event.transpose().map_err(|error| request_failed(&error))? {
            None => return Ok(started.elapsed()),
            // What is missing shows in the tally.
            Some(Event::Gap(_)) => {}
            Some(Event::Records(batch)) => {
                for record in batch {
                    received.add(&record.key, &record.data);
                }
            }
        }
    }
}

fn text(report: &Report, is_kept: bool) -> String {
    let rate =
        |bytes: u64, records: u64| format!("{}/s, {} records/s", show_bytes(bytes), show_count(records));
    let latency = |percentiles: Option<crate::latency::Percentiles>| {
        percentiles.map_or_else(|| "not measured".to_owned(), |percentiles| percentiles.text())
    };
    let check = if report.is_complete {
        let keys = if report.keys == 1 { "key" } else { "keys" };
        format!(
            "every line came back once, in the order of its key ({} {keys})",
            show_count(report.keys as u64)
        )
    } else {
        "FAILED".to_owned()
    };
    let fate = if is_kept { "kept" } else { "removed at the end" };
    let Report { stream, native, admin, data, .. } = report;
    format!(
        "
check      {check}
lines      {}, {}
in         {}
out        {}
append     one durable record while that ran: {}
           and with nothing else going on:    {}
data       {data} ({fate})
metrics    http://{admin}/metrics

Try, in another terminal:
  tidemill --server {native} stream describe {stream}
  tidemill --server {native} replay {stream} --shard 2 --from 1000 --count 10
  tidemill --server {native} tail {stream} &
  echo hello | tidemill --server {native} ingest {stream}
  curl http://{admin}/metrics",
        show_count(report.lines),
        show_bytes(report.bytes),
        rate(report.ingest_bytes_per_second, report.ingest_records_per_second),
        rate(report.replay_bytes_per_second, report.replay_records_per_second),
        latency(report.latency_loaded),
        latency(report.latency_idle),
    )
}
