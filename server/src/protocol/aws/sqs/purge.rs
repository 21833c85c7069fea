//! PurgeQueue: once in a while.

use super::super::Fault;
use super::super::value::Value;
use super::call::Call;
use super::error::receipt_fault;
use crate::service::queue::PURGE_PERIOD;

/// Deletes every message that was sent before.
pub(super) async fn answer(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let queue = call.queue(&input)?;
    if !call.chores().begin_purge(queue.id, call.core().monotonic()) {
        let message = format!(
            "Only one PurgeQueue operation on {} is allowed every {} seconds.",
            queue.name,
            PURGE_PERIOD.as_secs()
        );
        return Err(Fault::of_caller("PurgeQueueInProgress", message));
    }
    let purged = call.core().purge_queue(queue.id).await;
    purged.map(|()| None).map_err(|error| {
        // What has not happened may be tried again at once.
        call.chores().forget_purge(queue.id);
        receipt_fault(&error, "")
    })
}
