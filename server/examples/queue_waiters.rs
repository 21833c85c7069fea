//! What receives that wait cost a queue: memory of each, and how soon the one whose turn it is has a message.
//!
//! `cargo run --release -p tidemill-server --example queue_waiters -- DIRECTORY [WAITERS [MESSAGES]]`
//!
//! One partition on one lane, everything durable. WAITERS receives wait; MESSAGES are sent one after the other, and each is received by the one that has waited longest,
//! which then waits anew. Connections are left out.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(clippy::disallowed_methods, reason = "it measures real time")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidemill_server::service::queue::{
    Definition, LocalPartition, Message, MessageId, NewMessage, Partition, QueueId, QueueName, QueueSettings,
    Want,
};
use tidemill_storage::local::LocalEnv;
use tidemill_storage::{Env, Lane, LaneConfig, Retention};
use tidemill_wire::{LaneId, OwnerId, Timestamp};

const MESSAGES: OwnerId = OwnerId(1);
const JOURNAL: OwnerId = OwnerId(2);
/// How long a message may take before something is wrong.
const PATIENCE: Duration = Duration::from_secs(10);

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: u64| match arguments.get(index) {
        Some(argument) => argument.parse(),
        None => Ok(default),
    };
    let directory = PathBuf::from(arguments.first().map_or(".", String::as_str)).join("queue_waiters");
    let (waiters, messages) = (number(1, 50_000)?, number(2, 2_000)?);
    if fs::exists(&directory)? {
        fs::remove_dir_all(&directory)?;
    }
    let env = LocalEnv::new()?;
    env.block_on(run(&env, &directory, waiters, messages))?;
    fs::remove_dir_all(&directory)?;
    Ok(())
}

async fn run(env: &LocalEnv, directory: &Path, waiters: u64, messages: u64) -> Result<(), Failure> {
    let (lane, partition) = open(env, directory).await?;
    let before = memory_bytes()?;
    let received: Rc<RefCell<Vec<(u64, Instant)>>> = Rc::default();
    let over = Rc::new(Cell::new(false));
    let begun = Instant::now();
    for waiter in 0..waiters {
        let (partition, received, over) = (Rc::clone(&partition), Rc::clone(&received), Rc::clone(&over));
        env.spawn(async move {
            while !over.get() {
                // An end without a message tells that the partition was closed.
                if partition.wait(begun.elapsed()).await.is_err() {
                    return;
                }
                if let Ok(batch) = partition.receive(&want()).await
                    && !batch.received.is_empty()
                {
                    received.borrow_mut().push((waiter, Instant::now()));
                }
            }
        });
    }
    env.sleep(Duration::from_millis(500)).await;
    let each = memory_bytes()?.saturating_sub(before) / waiters.max(1);
    println!("waiting      {waiters} receives, {each} bytes of memory each");
    let mut taken_us = Vec::new();
    for number in 0..messages {
        let sent = Instant::now();
        for outcome in partition.send(vec![message()]).await {
            outcome?;
        }
        while received.borrow().len() as u64 == number {
            assert!(sent.elapsed() < PATIENCE, "message {number} is received by nobody");
            env.sleep(Duration::from_micros(50)).await;
        }
        let (_, at) = received.borrow()[usize::try_from(number)?];
        taken_us.push(at.duration_since(sent).as_micros());
    }
    taken_us.sort_unstable();
    let at = |share: usize| taken_us[(taken_us.len() * share / 1_000).min(taken_us.len() - 1)];
    println!("delivered    {messages} messages, from send to receive p50 {} µs, p99 {} µs", at(500), at(990));
    let count = received.borrow().len();
    let in_turn = received.borrow().iter().zip(0..).filter(|((waiter, _), turn)| waiter == turn).count();
    println!("in turn      {in_turn} of {count} were received by the one that had waited longest");
    over.set(true);
    partition.close();
    lane.close().await;
    Ok(())
}

async fn open(
    env: &LocalEnv,
    directory: &Path,
) -> Result<(Lane<LocalEnv>, Rc<LocalPartition<LocalEnv>>), Failure> {
    let config = LaneConfig::production(directory.to_owned(), LaneId(0));
    let (lane, _) = Lane::open(env.clone(), config).await?;
    lane.adopt(MESSAGES, Retention::FOREVER);
    lane.adopt(JOURNAL, Retention::FOREVER);
    let definition = Arc::new(Definition {
        id: QueueId(1),
        name: QueueName::new("waiters")?,
        created: Timestamp(0),
        modified: Timestamp(0),
        settings: QueueSettings::default(),
        tags: BTreeMap::new(),
        partitions: vec![Partition { lane: LaneId(0), messages: MESSAGES, journal: JOURNAL }],
    });
    let partition = LocalPartition::new(env.clone(), lane.clone(), definition, 0);
    Ok((lane, partition))
}

fn want() -> Want {
    Want { messages_max: 1, visibility: Duration::from_secs(600), attempt: None, receives_max: None }
}

fn message() -> Message {
    let content = NewMessage {
        body: Bytes::from_static(b"work"),
        attributes: Vec::new(),
        trace_header: None,
        sender: "bench".to_owned(),
        delay_s: None,
        group: None,
        deduplication: None,
    };
    Message { id: MessageId([7; 16]), sent: Timestamp(0), dead_letter_source: None, content }
}

/// Memory of the process beside its mapped files.
fn memory_bytes() -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib =
        line.and_then(|line| line.split_whitespace().next()).ok_or("no RssAnon in /proc/self/status")?;
    Ok(kib.parse::<u64>()? * 1024)
}
