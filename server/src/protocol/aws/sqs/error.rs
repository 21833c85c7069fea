//! What queues refuse, in the words of SQS.

use super::super::Fault;
use super::super::query;
use super::super::shape::ErrorCode;
use super::model;
use crate::service::queue::{ReceiptError, ReceiveError, SendError, Unreadable};

/// Errors that any operation may refuse with, whether or not the model lists them.
pub(super) const COMMON: &[&str] = &[
    "InternalFailureException",
    "InvalidAddress",
    "InvalidAttributeName",
    "InvalidParameterValueException",
    "MissingRequiredParameterException",
    "OverLimit",
    "QueueDoesNotExist",
    "ReceiptHandleIsInvalid",
    "RequestThrottled",
    "SerializationException",
    "ServiceUnavailableException",
    "UnknownOperationException",
    "UnsupportedOperation",
];

/// What an error is called by older clients, and in `x-amzn-query-error`, and the status that it has in their protocol.
pub(super) fn code_of(fault: &Fault) -> (&'static str, u16) {
    let known = ErrorCode::find(model::ERRORS, fault.name);
    known.map_or_else(|| query::code_of(fault), |known| (known.code, known.status))
}

/// A parameter's value that the service does not take.
pub(super) fn invalid(message: impl Into<String>) -> Fault {
    Fault::of_caller("InvalidParameterValueException", message.into())
}

/// The same, of a parameter that is named.
pub(super) fn invalid_value(value: &str, parameter: &str, reason: &str) -> Fault {
    invalid(format!("Value {value} for parameter {parameter} is invalid. Reason: {reason}"))
}

/// A parameter that is not there.
pub(super) fn missing(parameter: &str) -> Fault {
    let message = format!("The request must contain the parameter {parameter}.");
    Fault::of_caller("MissingRequiredParameterException", message)
}

/// An attribute that there is none of, or not for this queue.
pub(super) fn unknown_attribute(name: &str) -> Fault {
    Fault::of_caller("InvalidAttributeName", format!("Unknown Attribute {name}."))
}

/// An attribute's value that the service does not take.
pub(super) fn invalid_attribute(name: &str, reason: Option<&str>) -> Fault {
    let reason = reason.map(|reason| format!(" Reason: {reason}")).unwrap_or_default();
    Fault::of_caller("InvalidAttributeValue", format!("Invalid value for the parameter {name}.{reason}"))
}

/// What a call asks for is none of what this server does.
pub(super) fn unsupported(message: impl Into<String>) -> Fault {
    Fault::of_caller("UnsupportedOperation", message.into())
}

/// There is no such queue.
pub(super) fn no_queue() -> Fault {
    Fault::of_caller("QueueDoesNotExist", "The specified queue does not exist.")
}

/// A resource that a parameter names is not there.
pub(super) fn no_resource(parameter: &str) -> Fault {
    let message = format!("The resource that you specified for the {parameter} parameter doesn't exist.");
    Fault::of_caller("ResourceNotFoundException", message)
}

/// A receipt that is none.
pub(super) fn invalid_receipt(handle: &str) -> Fault {
    let message = format!("The input receipt handle \"{handle}\" is not a valid receipt handle.");
    Fault::of_caller("ReceiptHandleIsInvalid", message)
}

/// A message that was not taken.
pub(super) fn send_fault(error: &SendError) -> Fault {
    match error {
        SendError::UnknownQueue { .. } => no_queue(),
        SendError::NoGroup => missing("MessageGroupId"),
        SendError::NoDeduplication => no_deduplication(),
        SendError::Batch(error) => invalid(error.to_string()),
        SendError::Empty => missing("MessageBody"),
        SendError::TooManyKnown { .. } => Fault::of_caller("RequestThrottled", error.to_string()),
        SendError::Lane(error) => lane_fault(error),
        SendError::Unreadable(error) => unreadable(error),
        SendError::Closing => closing(),
    }
}

/// A receive that gave nothing.
pub(super) fn receive_fault(error: &ReceiveError) -> Fault {
    match error {
        ReceiveError::UnknownQueue { .. } => no_queue(),
        ReceiveError::OverLimit { .. } => Fault::of_caller("OverLimit", error.to_string()),
        ReceiveError::TooManyWaiting { .. } => Fault::unavailable("too many receives wait"),
        ReceiveError::Lane(error) => lane_fault(error),
        ReceiveError::Unreadable(error) => unreadable(error),
        ReceiveError::Closing => closing(),
    }
}

/// A receipt that was of no use.
pub(super) fn receipt_fault(error: &ReceiptError, handle: &str) -> Fault {
    match error {
        ReceiptError::UnknownQueue { .. } => no_queue(),
        ReceiptError::Invalid => invalid_receipt(handle),
        ReceiptError::NotInFlight => Fault::of_caller(
            "MessageNotInflight",
            "The message referred to by the receipt handle is not in flight.",
        ),
        ReceiptError::TooLong { limit, .. } => {
            invalid(format!("Total VisibilityTimeout for the message is beyond the limit [{limit} seconds]."))
        }
        ReceiptError::Lane(error) => lane_fault(error),
        ReceiptError::Unreadable(error) => unreadable(error),
        ReceiptError::Closing => closing(),
    }
}

/// A message that is larger than its queue takes.
pub(super) fn too_large(limit: usize) -> Fault {
    invalid(format!(
        "One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes."
    ))
}

/// A message to a FIFO queue that nothing tells from others.
pub(super) fn no_deduplication() -> Fault {
    invalid(
        "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
    )
}

fn closing() -> Fault {
    Fault::unavailable("the server is going down")
}

fn lane_fault(error: &tidemill_storage::AppendError) -> Fault {
    use tidemill_storage::AppendError as Lane;
    match error {
        Lane::Closed => closing(),
        Lane::DiskFull { .. } => Fault::unavailable("the disk is full"),
        Lane::QueueFull { .. } => Fault::unavailable("the lane's queue is full"),
        Lane::TooLarge { .. } => invalid(error.to_string()),
        // The queue was deleted while the call was under way.
        Lane::UnknownOwner(_) => no_queue(),
        Lane::RecordCount { .. } | Lane::Poisoned { .. } => {
            tracing::error!(%error, "a queue's log was not written");
            Fault::internal()
        }
    }
}

fn unreadable(error: &Unreadable) -> Fault {
    if matches!(error, Unreadable::Deleted) {
        return no_queue();
    }
    tracing::error!(%error, "a queue cannot be read");
    Fault::internal()
}
