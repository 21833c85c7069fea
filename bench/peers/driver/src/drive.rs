//! A closed loop over slots: each appends a batch, waits for it, and appends the next.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::Fault;
use crate::arguments::Plan;
use crate::process::{own_seconds, seconds_of};

/// The warm-up takes at most one part in so many of the measured time's limit, so that a slow server is waited for no longer.
const WARM_UP_SHARE: u32 = 4;
/// How long a server may take beyond the measured time.
const PATIENCE: Duration = Duration::from_secs(60);

/// One of the batches that are in flight at a time.
pub(crate) trait Slot {
    /// Appends a batch and waits until all of it is acknowledged.
    fn append(&mut self) -> impl Future<Output = Result<(), Fault>>;
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    records: u64,
    seconds: f64,
    records_per_second: f64,
    /// Millions of bytes of record data.
    megabytes_per_second: f64,
    /// From handing a batch to the client until all of it is acknowledged.
    latency_us: Latency,
    server_seconds_per_gigabyte: f64,
    server_cores: f64,
    client_cores: f64,
}

#[derive(Debug, Serialize)]
struct Latency {
    p50: u64,
    p99: u64,
    #[serde(rename = "p99.9")]
    p999: u64,
}

/// The measured part and what it has seen.
struct Tally {
    plan: Plan,
    begin: Instant,
    /// Acknowledged records, warm-up included.
    acknowledged: u64,
    start: Option<Mark>,
    end: Option<Mark>,
    histogram: Histogram<u64>,
}

/// A moment, with what was used and acknowledged by then.
#[derive(Clone, Copy)]
struct Mark {
    at: Instant,
    acknowledged: u64,
    server_seconds: f64,
    client_seconds: f64,
}

pub(crate) async fn drive<S: Slot + 'static>(plan: &Plan, slots: Vec<S>) -> Result<Figures, Fault> {
    let histogram = Histogram::new(3)?;
    let tally = Tally {
        plan: plan.clone(),
        begin: Instant::now(),
        acknowledged: 0,
        start: None,
        end: None,
        histogram,
    };
    let tally = Rc::new(RefCell::new(tally));
    let tasks: Vec<_> =
        slots.into_iter().map(|slot| tokio::task::spawn_local(run(slot, Rc::clone(&tally)))).collect();
    // The first slot that ends has seen the end of the measured part, or has failed; what the others wait for does not count.
    let first = futures_util::future::select_all(tasks);
    let ended = tokio::time::timeout(plan.time_max + PATIENCE, first).await;
    let (ended, ..) = ended.map_err(|_| Fault::from("the server owes answers and sends none"))?;
    ended??;
    let tally = tally.borrow();
    tally.figures().ok_or_else(|| Fault::from("nothing was measured"))
}

async fn run<S: Slot>(mut slot: S, tally: Rc<RefCell<Tally>>) -> Result<(), Fault> {
    while tally.borrow().end.is_none() {
        let sent = Instant::now();
        slot.append().await?;
        tally.borrow_mut().acknowledge(sent)?;
    }
    Ok(())
}

impl Tally {
    /// Takes in a batch that was sent at this moment.
    fn acknowledge(&mut self, sent: Instant) -> Result<(), Fault> {
        if self.end.is_some() {
            return Ok(());
        }
        self.acknowledged += self.plan.batch_records as u64;
        let Some(start) = self.start else {
            let is_warm = self.begin.elapsed() >= self.plan.time_max / WARM_UP_SHARE;
            if is_warm || self.acknowledged >= self.plan.warm_up {
                self.start = Some(self.mark()?);
            }
            return Ok(());
        };
        if sent >= start.at {
            self.histogram.record(u64::try_from(sent.elapsed().as_micros())?)?;
        }
        let is_done = self.acknowledged - start.acknowledged >= self.plan.records;
        if is_done || start.at.elapsed() >= self.plan.time_max {
            self.end = Some(self.mark()?);
        }
        Ok(())
    }

    fn mark(&self) -> Result<Mark, Fault> {
        let (server_seconds, client_seconds) = (seconds_of(&self.plan.servers)?, own_seconds()?);
        Ok(Mark { at: Instant::now(), acknowledged: self.acknowledged, server_seconds, client_seconds })
    }

    fn figures(&self) -> Option<Figures> {
        let (start, end) = (self.start?, self.end?);
        let records = end.acknowledged - start.acknowledged;
        let seconds = end.at.duration_since(start.at).as_secs_f64();
        let bytes = records as f64 * self.plan.record_bytes as f64;
        let server_seconds = end.server_seconds - start.server_seconds;
        let percentile = |percent| self.histogram.value_at_percentile(percent);
        Some(Figures {
            records,
            seconds,
            records_per_second: records as f64 / seconds,
            megabytes_per_second: bytes / seconds / 1e6,
            latency_us: Latency { p50: percentile(50.0), p99: percentile(99.0), p999: percentile(99.9) },
            server_seconds_per_gigabyte: server_seconds / (bytes / 1e9),
            server_cores: server_seconds / seconds,
            client_cores: (end.client_seconds - start.client_seconds) / seconds,
        })
    }
}
