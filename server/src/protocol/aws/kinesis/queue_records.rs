//! Records through queues: ReceiveQueueRecords, AcknowledgeQueueRecords and UpdateQueueRecordsVisibility, the same with dead letters, and RestoreDeadLetterQueueRecords.
//!
//! Of entries that name records some may fail and others not: each has its outcome in the answer.

use std::sync::Arc;
use std::time::Duration;

use tidemill_storage::AppendError;

use super::super::Fault;
use super::super::value::Value;
use super::call::{Call, number};
use super::error::{invalid, not_found};
use super::limits::{RECEIVE_RECORDS_DEFAULT, RECEIVE_WAIT_S_DEFAULT};
use super::queues::{named, queue_gone};
use super::token::{close_receipt, open_receipt};
use crate::service::queue::over_stream::{Side, StreamReceipt, StreamReceived};
use crate::service::queue::{ReceiptError, ReceiveError, Unreadable};
use crate::service::stream::Definition;
use crate::service::stream_queue::StreamQueue;
use crate::shard::StreamReceive;

/// ReceiveQueueRecords, or ReceiveDeadLetterQueueRecords.
pub(super) async fn receive(call: Call<'_>, input: Value, side: Side) -> Result<Option<Value>, Fault> {
    let queue = named(call, &input)?;
    let seconds = |name: &str| {
        let seconds = input.get_integer(name).map(u64::try_from).transpose();
        seconds.map_err(|error| invalid(error.to_string()))
    };
    let limit = input.get_integer("Limit").and_then(|limit| usize::try_from(limit).ok());
    let wait = Duration::from_secs(seconds("WaitTimeSeconds")?.unwrap_or(RECEIVE_WAIT_S_DEFAULT));
    let receive = StreamReceive {
        queue: queue.id,
        side,
        records_max: limit.unwrap_or(RECEIVE_RECORDS_DEFAULT),
        visibility: seconds("VisibilityTimeoutSeconds")?.map(Duration::from_secs),
        wait,
    };
    // Whoever waits for records gives the core nothing to do.
    let rest = call.core().busy().rest();
    let received = call.aws.core.receive_records(receive).await;
    drop(rest);
    let received = received.map_err(|error| receive_fault(call, &error, &queue))?;
    let stream = call.core().streams().get(queue.stream).ok_or_else(|| queue_gone(call, queue.id))?;
    let stream = Arc::clone(stream.definition());
    let records = received.into_iter().map(|received| record(call, &stream, received)).collect();
    Ok(Some(Value::structure([("QueueRecords", Some(Value::List(records)))])))
}

/// AcknowledgeQueueRecords, or AcknowledgeDeadLetterQueueRecords.
pub(super) async fn acknowledge(call: Call<'_>, input: Value, side: Side) -> Result<Option<Value>, Fault> {
    let queue = named(call, &input)?;
    let (handles, known) = entries(call, &input, |_| Ok(()))?;
    let receipts = known.iter().map(|(_, receipt, ())| *receipt).collect();
    let outcomes = call.aws.core.acknowledge_records(queue.id, side, receipts).await;
    Ok(Some(answered(handles, &known, outcomes)))
}

/// UpdateQueueRecordsVisibility, or UpdateDeadLetterQueueRecordsVisibility.
pub(super) async fn hide(call: Call<'_>, input: Value, side: Side) -> Result<Option<Value>, Fault> {
    let queue = named(call, &input)?;
    let (handles, known) = entries(call, &input, |entry| {
        let seconds = entry.get_integer("VisibilityTimeoutSeconds").unwrap_or_default();
        Ok(Duration::from_secs(u64::try_from(seconds).map_err(|error| invalid(error.to_string()))?))
    })?;
    let changes = known.iter().map(|(_, receipt, hidden)| (*receipt, *hidden)).collect();
    let outcomes = call.aws.core.hide_records(queue.id, side, changes).await;
    Ok(Some(answered(handles, &known, outcomes)))
}

/// RestoreDeadLetterQueueRecords.
pub(super) async fn restore(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let queue = named(call, &input)?;
    let (handles, known) = entries(call, &input, |_| Ok(()))?;
    let receipts = known.iter().map(|(_, receipt, ())| *receipt).collect();
    let outcomes = call.aws.core.restore_records(queue.id, receipts).await;
    Ok(Some(answered(handles, &known, outcomes)))
}

/// The handles of an input's entries in their order, and those that were made here: which of the handles, what it stands for, and what belongs to it.
type Entries<T> = (Vec<String>, Vec<(usize, StreamReceipt, T)>);

fn entries<T>(
    call: Call<'_>,
    input: &Value,
    beside: impl Fn(&Value) -> Result<T, Fault>,
) -> Result<Entries<T>, Fault> {
    let Some(Value::List(entries)) = input.get("Entries") else { return Ok((Vec::new(), Vec::new())) };
    let (mut handles, mut known) = (Vec::with_capacity(entries.len()), Vec::with_capacity(entries.len()));
    for (place, entry) in entries.iter().enumerate() {
        let handle = entry.get_text("ReceiptHandle").unwrap_or_default();
        if let Some(receipt) = open_receipt(call.seal(), handle) {
            known.push((place, receipt, beside(entry)?));
        }
        handles.push(handle.to_owned());
    }
    Ok((handles, known))
}

/// What became of each entry. Those that are not known here are invalid.
fn answered<T>(
    handles: Vec<String>,
    known: &[(usize, StreamReceipt, T)],
    outcomes: Vec<Result<(), ReceiptError>>,
) -> Value {
    let mut results = vec![Err(ReceiptError::Invalid); handles.len()];
    for ((place, ..), outcome) in known.iter().zip(outcomes) {
        results[*place] = outcome;
    }
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (handle, result) in handles.into_iter().zip(results) {
        match result {
            Ok(()) => successful.push(Value::structure([("ReceiptHandle", Value::text(handle))])),
            Err(error) => {
                let (code, message) = entry_error(&error);
                failed.push(Value::structure([
                    ("ReceiptHandle", Value::text(handle)),
                    ("ErrorCode", Value::text(code)),
                    ("ErrorMessage", Value::text(message)),
                ]));
            }
        }
    }
    Value::structure([("Successful", Some(Value::List(successful))), ("Failed", Some(Value::List(failed)))])
}

/// Why an entry failed, in one of the four codes that AWS has for that.
fn entry_error(error: &ReceiptError) -> (&'static str, String) {
    let internal = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "an entry of a queue over a stream failed");
        ("InternalFailureException", "The entry could not be processed because of an internal failure.")
    };
    let (code, message) = match error {
        ReceiptError::UnknownQueue { .. } | ReceiptError::Unreadable(Unreadable::Deleted) => {
            ("ResourceNotFoundException", "The queue does not exist any more.")
        }
        ReceiptError::Invalid => {
            ("InvalidArgumentException", "The receipt handle is not valid for this operation.")
        }
        ReceiptError::NotInFlight => {
            ("InvalidArgumentException", "The record of the receipt handle is not in flight.")
        }
        ReceiptError::TooLong { .. } => return ("InvalidArgumentException", error.to_string()),
        ReceiptError::Lane(AppendError::QueueFull { .. }) => {
            ("ThrottlingException", "The queue is busy; try again later.")
        }
        ReceiptError::Lane(AppendError::DiskFull { .. }) => ("InternalFailureException", "The disk is full."),
        ReceiptError::Lane(AppendError::Closed) | ReceiptError::Closing => {
            ("InternalFailureException", "The server is going down.")
        }
        ReceiptError::Lane(error) => internal(error),
        ReceiptError::Unreadable(error) => internal(error),
    };
    (code, message.to_owned())
}

/// A receive that gave nothing.
fn receive_fault(call: Call<'_>, error: &ReceiveError, queue: &StreamQueue) -> Fault {
    match error {
        ReceiveError::UnknownQueue { .. } | ReceiveError::Unreadable(Unreadable::Deleted) => {
            queue_gone(call, queue.id)
        }
        ReceiveError::OverLimit { .. } | ReceiveError::Lane(AppendError::QueueFull { .. }) => {
            Fault::of_caller("ThrottlingException", error.to_string())
        }
        ReceiveError::TooManyWaiting { .. } => Fault::unavailable("too many receives wait"),
        ReceiveError::Closing | ReceiveError::Lane(AppendError::Closed) => {
            Fault::unavailable("the server is going down")
        }
        ReceiveError::Lane(AppendError::DiskFull { .. }) => Fault::unavailable("the disk is full"),
        ReceiveError::Lane(AppendError::UnknownOwner(_)) => not_found("The queue does not exist any more."),
        ReceiveError::Lane(error) => failed(error),
        ReceiveError::Unreadable(error) => failed(error),
    }
}

fn failed(error: &dyn std::fmt::Display) -> Fault {
    tracing::error!(%error, "a queue over a stream cannot be received from");
    Fault::internal()
}

fn record(call: Call<'_>, stream: &Definition, received: StreamReceived) -> Value {
    let StreamReceived { receipt, key, data, arrived, first_received } = received;
    let named = receipt.named;
    let id = number(stream, named.shard, tidemill_wire::SequenceNumber(named.sequence));
    // Keys of native producers may be any bytes, or none.
    let key = String::from_utf8_lossy(&key).into_owned();
    Value::structure([
        ("ReceiptHandle", Value::text(close_receipt(call.seal(), call.now(), receipt))),
        ("RecordId", Value::text(id)),
        ("PartitionKey", Some(Value::Text(key)).filter(|key| *key != Value::Text(String::new()))),
        ("Data", Some(Value::Blob(data))),
        ("ApproximateArrivalTimestamp", Some(Value::Timestamp(arrived))),
        ("FirstReceiveTimestamp", Some(Value::Timestamp(first_received))),
        ("ReceiveCount", Some(Value::Integer(named.receives.into()))),
    ])
}
