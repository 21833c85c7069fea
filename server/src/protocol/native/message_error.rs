//! From what can go wrong with messages of queues to the codes of the native protocol: one exhaustive match for each enum.

use tidemill_storage::AppendError;
use tidemill_wire::message::{ErrorCode, Failure, RefusedItem};

use super::error::{RETRY_LATER, RETRY_SOON, lane_failure};
use crate::service::queue::{QueueId, ReceiptError, ReceiveError, SendError, Unreadable};

/// There is no such queue.
pub(super) fn unknown_queue(queue: QueueId) -> Failure {
    Failure::new(ErrorCode::UnknownQueue, format!("queue {queue} does not exist"))
}

/// A message that was not taken.
pub(super) fn send_failure(error: &SendError) -> Failure {
    let failure = |code| Failure::new(code, error.to_string());
    match error {
        SendError::UnknownQueue { .. } => failure(ErrorCode::UnknownQueue),
        SendError::NoGroup | SendError::NoDeduplication | SendError::Empty => {
            failure(ErrorCode::InvalidRequest)
        }
        SendError::Batch(_) => failure(ErrorCode::BatchTooLarge),
        SendError::TooManyKnown { limit } => {
            failure(ErrorCode::Overloaded).with_limit(*limit, *limit).with_retry_after(RETRY_LATER)
        }
        SendError::Lane(error) => of_lane(error),
        SendError::Unreadable(error) => unreadable(error),
        SendError::Closing => failure(ErrorCode::ShuttingDown),
    }
}

/// A receive that gave nothing.
pub(super) fn receive_failure(error: &ReceiveError) -> Failure {
    let failure = |code| Failure::new(code, error.to_string());
    match error {
        ReceiveError::UnknownQueue { .. } => failure(ErrorCode::UnknownQueue),
        ReceiveError::OverLimit { in_flight, limit } => {
            failure(ErrorCode::InFlightLimit).with_limit(*in_flight, *limit).with_retry_after(RETRY_LATER)
        }
        ReceiveError::TooManyWaiting { waiting, limit } => {
            failure(ErrorCode::Overloaded).with_limit(*waiting, *limit).with_retry_after(RETRY_SOON)
        }
        ReceiveError::Lane(error) => of_lane(error),
        ReceiveError::Unreadable(error) => unreadable(error),
        ReceiveError::Closing => failure(ErrorCode::ShuttingDown),
    }
}

/// A receipt that was of no use.
pub(super) fn receipt_failure(error: &ReceiptError) -> Failure {
    let failure = |code| Failure::new(code, error.to_string());
    match error {
        ReceiptError::UnknownQueue { .. } => failure(ErrorCode::UnknownQueue),
        ReceiptError::Invalid => failure(ErrorCode::InvalidReceipt),
        ReceiptError::NotInFlight => failure(ErrorCode::NotInFlight),
        ReceiptError::TooLong { seconds, limit } => {
            failure(ErrorCode::InvalidRequest).with_limit(*seconds, *limit)
        }
        ReceiptError::Lane(error) => of_lane(error),
        ReceiptError::Unreadable(error) => unreadable(error),
        ReceiptError::Closing => failure(ErrorCode::ShuttingDown),
    }
}

/// A refusal of one of many.
pub(super) fn refused(index: usize, failure: &Failure) -> RefusedItem {
    RefusedItem {
        index: u32::try_from(index).unwrap_or(u32::MAX),
        code: failure.code,
        retry_after_ms: failure.retry_after_ms,
        value: failure.value,
        limit: failure.limit,
    }
}

/// The refusal of a whole request: if all of its items were refused for the same reason, and one that passes, so that who tries requests again tries this one.
pub(super) fn for_all(failures: &[(usize, Failure)], count: usize) -> Option<Failure> {
    let (_, first) = failures.first()?;
    let is_same = failures.len() == count && failures.iter().all(|(_, failure)| failure.code == first.code);
    (is_same && first.is_retryable()).then(|| first.clone())
}

fn of_lane(error: &AppendError) -> Failure {
    match error {
        // The queue was deleted while the request was under way.
        AppendError::UnknownOwner(_) => Failure::new(ErrorCode::UnknownQueue, error.to_string()),
        AppendError::TooLarge { .. }
        | AppendError::RecordCount { .. }
        | AppendError::QueueFull { .. }
        | AppendError::DiskFull { .. }
        | AppendError::Poisoned { .. }
        | AppendError::Closed => lane_failure(error),
    }
}

fn unreadable(error: &Unreadable) -> Failure {
    let code = match error {
        Unreadable::Deleted => ErrorCode::UnknownQueue,
        Unreadable::Damaged(_) | Unreadable::Foreign { .. } => ErrorCode::Damaged,
        Unreadable::Disk(_) => ErrorCode::Internal,
    };
    Failure::new(code, error.to_string())
}
