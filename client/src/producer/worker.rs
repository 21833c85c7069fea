//! The task of one shard: takes batches when they are due and sees them through, one at a time where order is kept.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tidemill_wire::ShardIndex;
use tokio::time::Instant;

use super::Shared;
use super::append::Landing;
use super::batch::SealedBatch;
use super::shard_queue::Next;

/// Starts the task of a shard.
pub(super) fn serve(shared: Arc<Shared>, shard: ShardIndex) {
    drop(tokio::spawn(run(shared, shard)));
}

/// Runs until the producer is closed and the shard's queue is empty.
async fn run(shared: Arc<Shared>, shard: ShardIndex) {
    let window = if shared.options.ordered { 1 } else { shared.options.in_flight_per_shard.max(1) };
    let wake = Arc::clone(&shared.lock().queue(shard).wake);
    let mut under_way = FuturesUnordered::new();
    loop {
        let mut due = None;
        if under_way.len() < window {
            let next = {
                let mut state = shared.lock();
                if state.retire(shard) {
                    return;
                }
                state.queue(shard).next(Instant::now())
            };
            match next {
                Next::Send(batch) => {
                    under_way.push(see_through(&shared, shard, batch));
                    continue;
                }
                Next::WaitUntil(instant) => due = Some(instant),
                Next::Wait => {}
            }
        }
        tokio::select! {
            Some(()) = under_way.next() => {}
            () = wake.notified(), if under_way.len() < window => {}
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
        }
    }
}

async fn see_through(shared: &Arc<Shared>, shard: ShardIndex, mut batch: SealedBatch) {
    match shared.append(shard, &mut batch).await {
        Landing::Ended(outcome) => {
            shared.lock().settle(shard, &batch.fate, &outcome);
            shared.free(batch.charge);
            batch.fate.resolve(outcome);
            shared.landed.notify_waiters();
        }
        Landing::Astray(failure) => {
            {
                let mut state = shared.lock();
                let queue = state.queue(shard);
                queue.put_back(batch);
                queue.is_paused = true;
            }
            shared.landed.notify_waiters();
            shared.refresh(shard, &failure).await;
        }
    }
}
