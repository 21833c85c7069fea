//! Writes one shard at its rate, through every crash, and notes what was acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tidemill_client::{Delivery, Producer, Record, SendError, ShardIndex};
use tokio::sync::mpsc;

use super::FlowError;
use super::ledger::{Ledger, Sent};

/// Records under way of one shard.
const UNDER_WAY_MAX: usize = 100_000;
/// What a server that was down has missed is not made up for beyond this.
const DEBT_MAX: Duration = Duration::from_millis(250);
/// Shorter pauses are not worth a timer.
const PAUSE_MIN: Duration = Duration::from_millis(2);

/// What the writers of a run share.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Bytes of data that were acknowledged.
    pub(super) bytes: AtomicU64,
    /// Records of which nobody knows whether they were stored.
    pub(super) unknown: AtomicU64,
    pub(super) stop: AtomicBool,
}

/// Writes until it is told to stop, and waits for every answer.
pub(super) async fn write(
    producer: Producer,
    ledger: Arc<Ledger>,
    key: String,
    bytes_per_second: f64,
    written: Arc<Written>,
) -> Result<(), FlowError> {
    let (sender, receiver) = mpsc::channel(UNDER_WAY_MAX);
    let settling = tokio::spawn(settle(receiver, Arc::clone(&ledger), Arc::clone(&written)));
    let sending = async {
        let mut data = Vec::new();
        let mut due = Instant::now();
        for index in 0.. {
            if written.stop.load(Ordering::Relaxed) {
                break;
            }
            let now = Instant::now();
            due = due.max(now.checked_sub(DEBT_MAX).unwrap_or(now));
            if due > now + PAUSE_MIN {
                tokio::time::sleep(due - now).await;
            }
            let sent = ledger.send(index, &mut data);
            due += Duration::from_secs_f64(data.len() as f64 / bytes_per_second);
            let record = Record::keyed(key.as_bytes(), &data);
            let delivery = producer.send_to_shard(ShardIndex(ledger.shard), record).await;
            let delivery = delivery.map_err(|error| failed(&ledger, &error))?;
            if sender.send((sent, data.len() as u64, delivery)).await.is_err() {
                // The settling task has met an error, which tells more.
                break;
            }
        }
        Ok(())
    };
    let sent: Result<(), FlowError> = sending.await;
    drop(sender);
    let settled = settling.await.map_err(|error| FlowError::Server(error.to_string()))?;
    settled.and(sent)
}

async fn settle(
    mut receiver: mpsc::Receiver<(Sent, u64, Delivery)>,
    ledger: Arc<Ledger>,
    written: Arc<Written>,
) -> Result<(), FlowError> {
    while let Some((sent, bytes, delivery)) = receiver.recv().await {
        match delivery.await {
            Ok(receipt) => {
                ledger.acknowledge(sent, receipt.sequence.get(), bytes)?;
                written.bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            // The server was killed between the record and its answer.
            Err(SendError::UnknownOutcome(_)) => {
                written.unknown.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => return Err(failed(&ledger, &error)),
        }
    }
    Ok(())
}

fn failed(ledger: &Ledger, error: &SendError) -> FlowError {
    FlowError::Request { stream: ledger.stream, what: "append", why: crate::failure::chain(error) }
}
