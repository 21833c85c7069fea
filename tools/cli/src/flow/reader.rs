//! Reads a stream and holds it against its ledgers: a follower to the end of the run, or what is retained from its oldest record to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tidemill_client::{Client, Consumer, ConsumerOptions, Event, StreamName, Until};

use super::FlowError;
use super::ledger::{Ledger, Reading};

/// Between two looks at whether to stop.
const LOOK: Duration = Duration::from_millis(200);
/// Between two passes over what is retained.
const REST: Duration = Duration::from_secs(2);

/// A stream as readers see it.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) name: StreamName,
    /// By shard.
    pub(super) ledgers: Vec<Arc<Ledger>>,
}

/// What the readers of a run have checked.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) records: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) passes: AtomicU64,
    pub(super) stop: AtomicBool,
}

impl Checked {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Reads every record as it comes.
pub(super) async fn follow(client: Client, source: Source, checked: Arc<Checked>) -> Result<(), FlowError> {
    let mut consumer = open(&client, &source, Until::default()).await?;
    let mut readings = vec![Reading::default(); source.ledgers.len()];
    while !checked.is_over() {
        if let Ok(event) = tokio::time::timeout(LOOK, consumer.next()).await {
            let Some(event) = event else { break };
            take(&source, event, &mut readings, &checked)?;
        }
    }
    Ok(())
}

/// Reads what is retained of each stream, one after the other and again and again.
pub(super) async fn replay_all(
    client: Client,
    sources: Vec<Source>,
    checked: Arc<Checked>,
) -> Result<(), FlowError> {
    while !checked.is_over() {
        for source in &sources {
            replay(&client, source, &checked).await?;
        }
        let rest = async {
            while !checked.is_over() {
                tokio::time::sleep(LOOK).await;
            }
        };
        // Told to stop or not, the time is over.
        let _ = tokio::time::timeout(REST, rest).await;
    }
    Ok(())
}

/// Reads what is retained of a stream once.
pub(super) async fn replay(client: &Client, source: &Source, checked: &Checked) -> Result<(), FlowError> {
    let ends: Vec<u64> = source.ledgers.iter().map(|ledger| ledger.end()).collect();
    let mut consumer = open(client, source, Until { end: true, ..Until::default() }).await?;
    let mut readings = vec![Reading::default(); source.ledgers.len()];
    while let Some(event) = consumer.next().await {
        take(source, event, &mut readings, checked)?;
    }
    for ((ledger, reading), end) in source.ledgers.iter().zip(&readings).zip(ends) {
        ledger.finish(reading, end)?;
    }
    checked.passes.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

async fn open(client: &Client, source: &Source, until: Until) -> Result<Consumer, FlowError> {
    let options = ConsumerOptions { until, ..ConsumerOptions::default() };
    client.consumer(&source.name, options).await.map_err(|error| failed(source, &error))
}

fn take(
    source: &Source,
    event: Result<Event, tidemill_client::ClientError>,
    readings: &mut [Reading],
    checked: &Checked,
) -> Result<(), FlowError> {
    let event = event.map_err(|error| failed(source, &error))?;
    let shard = match &event {
        Event::Records(batch) => batch.shard(),
        Event::Gap(gap) => gap.shard,
    };
    let index = shard.get() as usize;
    let (Some(ledger), Some(reading)) = (source.ledgers.get(index), readings.get_mut(index)) else {
        let why = format!("shard {shard} was not created");
        return Err(FlowError::Request { stream: ledger_name(source), what: "read", why });
    };
    let before = (reading.records, reading.bytes);
    match event {
        Event::Gap(gap) => ledger.skip(reading, gap.to.get())?,
        Event::Records(batch) => {
            ledger.read(reading, batch.map(|record| (record.sequence.get(), record.data)))?;
        }
    }
    checked.records.fetch_add(reading.records - before.0, Ordering::Relaxed);
    checked.bytes.fetch_add(reading.bytes - before.1, Ordering::Relaxed);
    Ok(())
}

fn ledger_name(source: &Source) -> &'static str {
    source.ledgers.first().map_or("", |ledger| ledger.stream)
}

fn failed(source: &Source, error: &tidemill_client::ClientError) -> FlowError {
    FlowError::Request { stream: ledger_name(source), what: "read", why: crate::failure::chain(error) }
}
