//! Memory of receives that wait, and how soon the one whose turn it is has a message.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tidemill_storage::Env;
use tidemill_storage::local::LocalEnv;

use crate::fixture::{Failure, Open, memory_bytes, messages, open, want};

/// Messages that are sent, one after the other.
const MESSAGES: u64 = 2_000;
/// How long a message may take before something is wrong.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn run(env: &LocalEnv, directory: &Path, waiters: u64) -> Result<(), Failure> {
    let Open { lane, partition } = open(env, directory).await?;
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
                if let Ok(batch) = partition.receive(&want(1)).await
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
    for number in 0..MESSAGES {
        let sent = Instant::now();
        for outcome in partition.send(messages(1)).await {
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
    println!("delivered    {MESSAGES} messages, from send to receive p50 {} µs, p99 {} µs", at(500), at(990));
    let count = received.borrow().len();
    let in_turn = received.borrow().iter().zip(0..).filter(|((waiter, _), turn)| waiter == turn).count();
    println!("in turn      {in_turn} of {count} were received by the one that had waited longest");
    over.set(true);
    partition.close();
    lane.close().await;
    Ok(())
}
