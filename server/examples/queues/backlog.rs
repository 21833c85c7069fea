//! Rates of whole cycles, memory and a start, with nothing waiting and with very much.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustix::time::{ClockId, clock_gettime};
use tidemill_storage::local::LocalEnv;

use crate::fixture::{self, Failure, Open, memory_bytes, messages, want};

/// Messages of a batch.
const BATCH: usize = 10;
/// Cycles under way.
const IN_FLIGHT: usize = 128;

pub(crate) async fn run(
    env: &LocalEnv,
    directory: &Path,
    backlog: u64,
    time: Duration,
) -> Result<(), Failure> {
    let open = fixture::open(env, directory).await?;
    println!("memory       {:.1} MiB at the start", memory_mib()?);
    cycles(&open, time / 2).await?;
    let empty = cycles(&open, time).await?;
    println!("cycles       {empty}, nothing waits");

    let (start, cpu) = (Instant::now(), cpu());
    let left = Rc::new(Cell::new(backlog / 100));
    join_all((0..IN_FLIGHT).map(|_| async {
        while left.get() > 0 {
            left.set(left.get() - 1);
            for sent in open.partition.send(messages(100)).await {
                sent?;
            }
        }
        Ok::<(), Failure>(())
    }))
    .await
    .into_iter()
    .collect::<Result<(), _>>()?;
    let seconds = start.elapsed().as_secs_f64();
    let used = (self::cpu() - cpu).as_secs_f64();
    println!(
        "backlog      {backlog} messages of 200 bytes sent in {seconds:.1} s, {:.0} a second, {:.2} µs of processor each",
        backlog as f64 / seconds,
        used * 1e6 / backlog as f64
    );
    println!("memory       {:.1} MiB with the backlog", memory_mib()?);
    cycles(&open, time / 2).await?;
    let full = cycles(&open, time).await?;
    println!("cycles       {full}, {backlog} wait; ratio {:.2}", full.rate / empty.rate);
    println!("memory       {:.1} MiB after that", memory_mib()?);

    open.lane.close().await;
    drop(open);
    let start = Instant::now();
    let open = fixture::open(env, directory).await?;
    let opened = start.elapsed();
    let received = open.partition.receive(&want(BATCH)).await?.received.len();
    println!(
        "start        {:.1} ms for the lane, {:.1} ms to the first {received} messages",
        opened.as_secs_f64() * 1e3,
        (start.elapsed() - opened).as_secs_f64() * 1e3
    );
    let counts = open.partition.count().await?;
    println!("left         {} to be received, {} in flight", counts.visible, counts.in_flight);
    open.lane.close().await;
    Ok(())
}

/// Rate and cost of cycles, counted by messages.
struct Cycles {
    rate: f64,
    cpu_us: f64,
}

impl std::fmt::Display for Cycles {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "{:.0} messages/s sent, received and deleted, {:.2} µs of processor each",
            self.rate, self.cpu_us
        )
    }
}

async fn cycles(open: &Open, time: Duration) -> Result<Cycles, Failure> {
    let (start, cpu) = (Instant::now(), cpu());
    let done = Cell::new(0_u64);
    join_all((0..IN_FLIGHT).map(|_| async {
        while start.elapsed() < time {
            for sent in open.partition.send(messages(BATCH)).await {
                sent?;
            }
            let received = open.partition.receive(&want(BATCH)).await?.received;
            let names: Vec<(u64, u32)> = received.iter().map(|one| (one.sequence, one.receives)).collect();
            for deleted in open.partition.delete(&names).await {
                deleted?;
            }
            done.set(done.get() + received.len() as u64);
        }
        Ok::<(), Failure>(())
    }))
    .await
    .into_iter()
    .collect::<Result<(), _>>()?;
    let rate = done.get() as f64 / start.elapsed().as_secs_f64();
    Ok(Cycles { rate, cpu_us: (self::cpu() - cpu).as_secs_f64() * 1e6 / done.get().max(1) as f64 })
}

pub(crate) fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn memory_mib() -> Result<f64, Failure> {
    Ok(memory_bytes()? as f64 / (1 << 20) as f64)
}
