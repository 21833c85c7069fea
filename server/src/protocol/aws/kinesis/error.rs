//! What services refuse, in the words of Kinesis.

use tidemill_wire::{ShardIndex, StreamId};

use super::names::shard_id;
use crate::service::capacity::CapacityError;
use crate::service::catalog::{
    ChangeCapacityError, CreateStreamError, DeleteStreamError, ReshardError, TagStreamError,
    UpdateStreamError,
};
use crate::service::stream::{AppendError, FetchError};
use crate::shard::{
    CapacityFailure, CatalogError, CreateError, DeleteError, ReshardFailure, TagError, UpdateError,
};

use super::super::Fault;

/// Errors that any operation may refuse with, whether or not the model lists them.
pub(super) const COMMON: &[&str] = &[
    "InternalFailureException",
    "SerializationException",
    "ServiceUnavailableException",
    "UnsupportedOperationException",
    "ValidationException",
];

/// An argument that the model allows and the service does not.
pub(super) fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
    Fault::of_caller("InvalidArgumentException", message)
}

/// There is no such stream, shard or other resource.
pub(super) fn not_found(message: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
    Fault::of_caller("ResourceNotFoundException", message)
}

/// There is no stream of this name.
pub(super) fn no_stream(name: &str, account: &str) -> Fault {
    not_found(format!("Stream {name} under account {account} not found."))
}

/// The stream has no such shard.
pub(super) fn no_shard(shard: &str, stream: &str, account: &str) -> Fault {
    not_found(format!("Could not find shard {shard} in stream {stream} under account {account}."))
}

/// A bound of the server's is reached.
pub(super) fn limit_exceeded(message: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
    Fault::of_caller("LimitExceededException", message)
}

/// What a call asks for is none of what this server does.
pub(super) fn unsupported(what: &str) -> Fault {
    Fault::of_caller("UnsupportedOperationException", format!("{what} is not supported by this server"))
}

/// The call would have succeeded, and its caller wanted to know no more.
pub(super) fn dry_run() -> Fault {
    let message = "The request would have succeeded, but the DryRun parameter is set.";
    Fault::of_caller("DryRunOperationException", message)
}

/// The shard's rate is used up.
pub(super) fn throttled(shard: ShardIndex, stream: &str, account: &str) -> Fault {
    Fault::of_caller("ProvisionedThroughputExceededException", rate_exceeded(shard, stream, account))
}

/// The text of it, which PutRecords has in its answer.
pub(super) fn rate_exceeded(shard: ShardIndex, stream: &str, account: &str) -> String {
    format!("Rate exceeded for shard {} in stream {stream} under account {account}.", shard_id(shard))
}

/// A single append that failed.
pub(super) fn append_fault(error: &AppendError, stream: &str, account: &str) -> Fault {
    use tidemill_storage::AppendError as Lane;
    match error {
        AppendError::UnknownStream { .. } => no_stream(stream, account),
        AppendError::UnknownShard { shard, .. } => no_shard(&shard_id(*shard), stream, account),
        AppendError::Throttled { shard, .. } => throttled(*shard, stream, account),
        AppendError::Closing | AppendError::Lane(Lane::Closed) => {
            Fault::unavailable("the server is going down")
        }
        AppendError::Lane(Lane::DiskFull { .. }) => Fault::unavailable("the disk is full"),
        AppendError::Lane(Lane::QueueFull { .. }) => Fault::unavailable("the shard's queue is full"),
        // The segments of this server are smaller than what the stream is allowed.
        AppendError::Lane(Lane::TooLarge { .. }) => invalid(error.to_string()),
        // Records go where the new shards are; only a change that takes too long comes up to here.
        AppendError::ShardClosed { .. } | AppendError::ShardMoving { .. } => {
            Fault::unavailable("the shard is being split or merged")
        }
        AppendError::Lane(Lane::UnknownOwner(_) | Lane::RecordCount { .. } | Lane::Poisoned { .. }) => {
            tracing::error!(stream, %error, "append failed");
            Fault::internal()
        }
    }
}

/// A read that failed.
pub(super) fn fetch_fault(error: &FetchError, stream: &str, account: &str) -> Fault {
    match error {
        FetchError::UnknownStream { .. } => no_stream(stream, account),
        FetchError::UnknownShard { shard, .. } => no_shard(&shard_id(*shard), stream, account),
        FetchError::BeyondEnd { .. } => invalid("The ShardIterator points beyond the end of the shard."),
        FetchError::Throttled { shard, .. } => throttled(*shard, stream, account),
        FetchError::TooManyWaiting { .. } => Fault::unavailable("too many reads wait"),
        FetchError::Closing => Fault::unavailable("the server is going down"),
        FetchError::Damaged(_) | FetchError::Disk(_) => {
            tracing::error!(stream, %error, "fetch failed");
            Fault::internal()
        }
    }
}

/// A stream that was not created.
pub(super) fn create_fault(error: &CreateError, name: &str, account: &str) -> Fault {
    catalog_fault(error, |error| match error {
        CreateStreamError::Exists { .. } => Some(Fault::of_caller(
            "ResourceInUseException",
            format!("Stream {name} under account {account} already exists."),
        )),
        CreateStreamError::Shards { .. }
        | CreateStreamError::TooManyStreams { .. }
        | CreateStreamError::Account(_) => Some(limit_exceeded(error.to_string())),
        CreateStreamError::Capacity(error) => Some(capacity_fault(*error)),
        CreateStreamError::Settings(_)
        | CreateStreamError::Tags(_)
        | CreateStreamError::RecordSize { .. }
        | CreateStreamError::CompactionOff => Some(invalid(error.to_string())),
        CreateStreamError::Store(_) => None,
    })
}

/// A stream that was not changed.
pub(super) fn update_fault(error: &UpdateError, name: &str, account: &str) -> Fault {
    catalog_fault(error, |error| match error {
        UpdateStreamError::Unknown { .. } => Some(no_stream(name, account)),
        UpdateStreamError::Settings(_) | UpdateStreamError::CompactionOff => Some(invalid(error.to_string())),
        UpdateStreamError::Store(_) => None,
    })
}

/// Tags that were not changed.
pub(super) fn tag_fault(error: &TagError, name: &str, account: &str) -> Fault {
    catalog_fault(error, |error| match error {
        TagStreamError::Unknown { .. } => Some(no_stream(name, account)),
        TagStreamError::Tags(_) => Some(limit_exceeded(error.to_string())),
        TagStreamError::Store(_) => None,
    })
}

/// Shards that were not changed.
pub(super) fn reshard_fault(error: &ReshardFailure, stream: &str, account: &str) -> Fault {
    catalog_fault(error, |error| match error {
        ReshardError::Unknown { .. } => Some(no_stream(stream, account)),
        ReshardError::UnknownShard { shard } => Some(no_shard(&shard_id(*shard), stream, account)),
        ReshardError::Closed { shard } => Some(invalid(format!(
            "Shard {} in stream {stream} under account {account} has already been merged or split, and thus is not eligible for merging or splitting.",
            shard_id(*shard)
        ))),
        ReshardError::Key { .. } => Some(invalid(error.to_string())),
        ReshardError::NotAdjacent { shard, adjacent } => Some(invalid(format!(
            "Shards {} and {} in stream {stream} under account {account} are not an adjacent pair of shards eligible for merging.",
            shard_id(*shard),
            shard_id(*adjacent)
        ))),
        ReshardError::Scale { open, target } => {
            let bound = if target > open { "more than twice" } else { "less than half" };
            Some(limit_exceeded(format!(
                "UpdateShardCount cannot update to {bound} of current open shard count. Current open shard count: {open}, Target shard count: \
                 {target}"
            )))
        }
        ReshardError::TooManyOpen { .. } | ReshardError::TooMany { .. } | ReshardError::Account(_) => {
            Some(limit_exceeded(error.to_string()))
        }
        ReshardError::Undecided { .. } => {
            Some(Fault::unavailable("the shards are busy and stay as they are"))
        }
        ReshardError::Store(_) => None,
    })
}

/// The stream's shards are being changed, and nothing else can change them meanwhile.
pub(super) fn not_active(stream: &str, account: &str) -> Fault {
    let text = format!("Stream {stream} under account {account} not ACTIVE, instead in state UPDATING");
    Fault::of_caller("ResourceInUseException", text)
}

/// A capacity that a stream cannot have.
pub(super) fn capacity_fault(error: CapacityError) -> Fault {
    match error {
        CapacityError::Switches | CapacityError::TooWarm { .. } | CapacityError::TooManyOnDemand { .. } => {
            limit_exceeded(error.to_string())
        }
        CapacityError::Provisioned | CapacityError::NoCommitment => Fault::validation(error.to_string()),
    }
}

/// A capacity that was not changed.
pub(super) fn capacity_change_fault(error: &CapacityFailure, name: &str, account: &str) -> Fault {
    catalog_fault(error, |error| match error {
        ChangeCapacityError::Unknown { .. } => Some(no_stream(name, account)),
        ChangeCapacityError::Capacity(error) => Some(capacity_fault(*error)),
        ChangeCapacityError::HasQueues { queues, .. } => Some(Fault::of_caller(
            "ResourceInUseException",
            format!(
                "Stream {name} under account {account} has {queues} queues. Delete them with DeleteQueue before its capacity mode is changed."
            ),
        )),
        ChangeCapacityError::Store(_) => None,
    })
}

/// A stream on demand, whose shards are the server's concern.
pub(super) fn on_demand(operation: &str, stream: &str, account: &str) -> Fault {
    Fault::validation(format!(
        "{operation} is only supported for streams in PROVISIONED mode: stream {stream} under account {account} is in ON_DEMAND mode."
    ))
}

/// A stream that was not deleted.
pub(super) fn delete_fault(error: &DeleteError, name: &str, account: &str) -> Fault {
    catalog_fault(error, |error| match error {
        DeleteStreamError::Unknown { .. } => Some(no_stream(name, account)),
        DeleteStreamError::HasConsumers { consumers, .. } => Some(Fault::of_caller(
            "ResourceInUseException",
            format!(
                "Stream {name} under account {account} has {consumers} registered consumers. Deregister them or set EnforceConsumerDeletion."
            ),
        )),
        DeleteStreamError::HasQueues { queues, .. } => Some(Fault::of_caller(
            "ResourceInUseException",
            format!(
                "Stream {name} under account {account} has {queues} queues. Delete them with DeleteQueue first."
            ),
        )),
        DeleteStreamError::Store(_) => None,
    })
}

/// What the catalog refuses is named by `refused`; what it could not do is the server's fault.
pub(super) fn catalog_fault<E: std::error::Error>(
    error: &CatalogError<E>,
    refused: impl Fn(&E) -> Option<Fault>,
) -> Fault {
    let known = match error {
        CatalogError::Refused(reason) => refused(reason),
        CatalogError::Broken(_) => None,
        CatalogError::Closing => Some(Fault::unavailable("the server is going down")),
    };
    known.unwrap_or_else(|| {
        tracing::error!(%error, "the catalog failed");
        Fault::internal()
    })
}

/// A stream that is named by its id alone in what a client brings back.
pub(super) fn no_stream_of_id(id: StreamId) -> Fault {
    not_found(format!("The stream of the token, number {id}, does not exist any more."))
}
