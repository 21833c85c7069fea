//! What a backlog costs a queue: rates of whole cycles, memory and a start, with nothing waiting and with very much.
//!
//! `cargo run --release -p tidemill-server --example queue_backlog -- DIRECTORY [MESSAGES [SECONDS]]`
//!
//! One partition on one lane, everything durable. A cycle sends a batch of ten, receives ten and deletes them; as many cycles as a busy server has are under way.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(clippy::disallowed_methods, reason = "it measures real time")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use rustix::time::{ClockId, clock_gettime};
use tidemill_server::service::queue::{
    Definition, LocalPartition, Message, MessageId, NewMessage, Partition, QueueId, QueueName, QueueSettings,
    Want,
};
use tidemill_storage::local::LocalEnv;
use tidemill_storage::{Lane, LaneConfig, Retention};
use tidemill_wire::{LaneId, OwnerId, Timestamp};

/// Messages of a batch.
const BATCH: usize = 10;
/// Cycles under way.
const IN_FLIGHT: usize = 128;
/// Bytes of a message.
const BODY_BYTES: usize = 200;
const MESSAGES: OwnerId = OwnerId(1);
const JOURNAL: OwnerId = OwnerId(2);

type Failure = Box<dyn Error>;

struct Open {
    lane: Lane<LocalEnv>,
    partition: Rc<LocalPartition<LocalEnv>>,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: u64| match arguments.get(index) {
        Some(argument) => argument.parse(),
        None => Ok(default),
    };
    let directory = PathBuf::from(arguments.first().map_or(".", String::as_str)).join("queue_backlog");
    let (backlog, time) = (number(1, 20_000_000)?, Duration::from_secs(number(2, 5)?));
    if fs::exists(&directory)? {
        fs::remove_dir_all(&directory)?;
    }
    let env = LocalEnv::new()?;
    env.block_on(run(&env, &directory, backlog, time))?;
    fs::remove_dir_all(&directory)?;
    Ok(())
}

async fn run(env: &LocalEnv, directory: &Path, backlog: u64, time: Duration) -> Result<(), Failure> {
    let open = open(env, directory).await?;
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
        "backlog      {backlog} messages of {BODY_BYTES} bytes sent in {seconds:.1} s, {:.0} a second, {:.2} µs of processor each",
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
    let open = self::open(env, directory).await?;
    let opened = start.elapsed();
    let received = open.partition.receive(&want()).await?.received.len();
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

async fn open(env: &LocalEnv, directory: &Path) -> Result<Open, Failure> {
    let config = LaneConfig::production(directory.to_owned(), LaneId(0));
    let (lane, _) = Lane::open(env.clone(), config).await?;
    lane.adopt(MESSAGES, Retention::FOREVER);
    lane.adopt(JOURNAL, Retention::FOREVER);
    let definition = Arc::new(Definition {
        id: QueueId(1),
        name: QueueName::new("backlog")?,
        created: Timestamp(0),
        modified: Timestamp(0),
        settings: QueueSettings::default(),
        tags: BTreeMap::new(),
        partitions: vec![Partition { lane: LaneId(0), messages: MESSAGES, journal: JOURNAL }],
    });
    let partition = LocalPartition::new(env.clone(), lane.clone(), definition, 0);
    Ok(Open { lane, partition })
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
            let received = open.partition.receive(&want()).await?.received;
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

fn want() -> Want {
    Want { messages_max: BATCH, visibility: Duration::from_secs(600), attempt: None, receives_max: None }
}

fn messages(count: usize) -> Vec<Message> {
    let content = NewMessage {
        body: Bytes::from_static(&[b'm'; BODY_BYTES]),
        attributes: Vec::new(),
        trace_header: None,
        sender: "bench".to_owned(),
        delay_s: None,
        group: None,
        deduplication: None,
    };
    let message = Message { id: MessageId([7; 16]), sent: Timestamp(0), dead_letter_source: None, content };
    vec![message; count]
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Memory of the process beside its mapped files.
fn memory_mib() -> Result<f64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib =
        line.and_then(|line| line.split_whitespace().next()).ok_or("no RssAnon in /proc/self/status")?;
    Ok(kib.parse::<f64>()? / 1024.0)
}
