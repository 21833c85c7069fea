//! From what can go wrong to the codes of the native protocol: one exhaustive match for each enum.

use std::time::Duration;

use tidemill_wire::batch::BatchError;
use tidemill_wire::frame::FrameError;
use tidemill_wire::limits::PROTOCOL_VERSION;
use tidemill_wire::message::{DecodeReason, ErrorCode, Failure};

use super::connection::Violation;
use crate::gate::budget::Refused;
use crate::service::catalog::{
    CreateStreamError, DeleteStreamError, ReshardError, SettingsError, TooManyShards, UpdateStreamError,
};
use crate::service::stream::{AppendError, FetchError, RouteError};
use crate::shard::CatalogError;

/// How long a client waits before it tries again what a full queue or disk refused.
pub(super) const RETRY_SOON: Duration = Duration::from_millis(10);
/// See [`RETRY_SOON`]; room on a disk comes more slowly.
pub(super) const RETRY_LATER: Duration = Duration::from_secs(1);

/// An append that was refused.
pub(super) fn append_failure(error: &AppendError) -> Failure {
    let failure = |code| Failure::new(code, error.to_string());
    match error {
        AppendError::UnknownStream { .. } => failure(ErrorCode::UnknownStream),
        AppendError::UnknownShard { .. } => failure(ErrorCode::UnknownShard),
        AppendError::ShardClosed { .. } => failure(ErrorCode::ShardClosed),
        AppendError::ShardMoving { .. } => failure(ErrorCode::ShardMoving).with_retry_after(RETRY_SOON),
        AppendError::Throttled { wait, .. } => {
            failure(ErrorCode::WriteThrottled).with_retry_after(wait.duration())
        }
        AppendError::Closing => failure(ErrorCode::ShuttingDown),
        AppendError::Lane(error) => lane_failure(error),
    }
}

/// What a lane did not take.
pub(super) fn lane_failure(error: &tidemill_storage::AppendError) -> Failure {
    use tidemill_storage::AppendError as Lane;
    let failure = |code| Failure::new(code, error.to_string());
    match error {
        Lane::UnknownOwner(_) => failure(ErrorCode::UnknownStream),
        Lane::TooLarge { bytes, limit } => failure(ErrorCode::BatchTooLarge).with_limit(*bytes, *limit),
        Lane::RecordCount { .. } => failure(ErrorCode::InvalidBatch),
        Lane::QueueFull { queued, limit } => {
            failure(ErrorCode::Overloaded).with_limit(*queued, *limit).with_retry_after(RETRY_SOON)
        }
        Lane::DiskFull { needed } => {
            failure(ErrorCode::DiskFull).with_limit(*needed, 0).with_retry_after(RETRY_LATER)
        }
        Lane::Poisoned { .. } => failure(ErrorCode::LanePoisoned),
        Lane::Closed => failure(ErrorCode::ShuttingDown),
    }
}

/// A batch whose bytes are not a batch.
pub(super) fn batch_failure(error: &BatchError) -> Failure {
    let failure = |code| Failure::new(code, error.to_string());
    match error {
        BatchError::TooLarge { found } => failure(ErrorCode::BatchTooLarge)
            .with_limit(*found as u64, u64::from(tidemill_wire::limits::BATCH_BYTES_MAX)),
        BatchError::Magic { .. }
        | BatchError::Compression { .. }
        | BatchError::Flags { .. }
        | BatchError::RecordCount { .. }
        | BatchError::Length { .. }
        | BatchError::RawLength { .. }
        | BatchError::Offset { .. }
        | BatchError::Leftover { .. } => failure(ErrorCode::InvalidBatch),
    }
}

/// A batch that cannot be divided.
pub(super) fn route_failure(error: &RouteError) -> Failure {
    match error {
        RouteError::Compressed => Failure::new(ErrorCode::RoutingRefused, error.to_string()),
        RouteError::Part(part) => Failure::new(ErrorCode::BatchTooLarge, part.to_string()),
    }
}

/// A fetch that has no answer.
pub(super) fn fetch_failure(error: &FetchError) -> Failure {
    let failure = |code| Failure::new(code, error.to_string());
    match error {
        FetchError::UnknownStream { .. } => failure(ErrorCode::UnknownStream),
        FetchError::UnknownShard { .. } => failure(ErrorCode::UnknownShard),
        FetchError::BeyondEnd { from, end } => failure(ErrorCode::BeyondEnd).with_limit(from.0, end.0),
        FetchError::Throttled { wait, .. } => {
            failure(ErrorCode::ReadThrottled).with_retry_after(wait.duration())
        }
        FetchError::TooManyWaiting { limit } => {
            failure(ErrorCode::Overloaded).with_limit(*limit, *limit).with_retry_after(RETRY_LATER)
        }
        FetchError::Damaged(_) => failure(ErrorCode::Damaged),
        FetchError::Disk(_) => failure(ErrorCode::Internal),
        FetchError::Closing => failure(ErrorCode::ShuttingDown),
    }
}

/// A stream that was not created.
pub(super) fn create_failure(error: &CatalogError<CreateStreamError>) -> Failure {
    catalog_failure(error, |error| match error {
        CreateStreamError::Exists { .. } => Failure::new(ErrorCode::StreamExists, error.to_string()),
        CreateStreamError::Shards { value, limit } => {
            Failure::new(ErrorCode::LimitExceeded, error.to_string())
                .with_limit(u64::from(*value), u64::from(*limit))
        }
        CreateStreamError::TooManyStreams { limit } => {
            let limit = u64::from(*limit);
            Failure::new(ErrorCode::LimitExceeded, error.to_string()).with_limit(limit, limit)
        }
        CreateStreamError::Account(account) => account_failure(account),
        // No native client says anything about them.
        CreateStreamError::RecordSize { .. } | CreateStreamError::Capacity(_) => {
            Failure::new(ErrorCode::InvalidRequest, error.to_string())
        }
        CreateStreamError::Settings(settings) => settings_failure(settings),
        CreateStreamError::Tags(tags) => Failure::new(ErrorCode::InvalidRequest, tags.to_string()),
        CreateStreamError::CompactionOff => Failure::new(ErrorCode::InvalidRequest, error.to_string()),
        CreateStreamError::Store(store) => Failure::new(ErrorCode::Internal, store.to_string()),
    })
}

/// All streams together would have too many shards.
fn account_failure(error: &TooManyShards) -> Failure {
    Failure::new(ErrorCode::LimitExceeded, error.to_string()).with_limit(error.found, u64::from(error.limit))
}

/// A stream that was not changed.
pub(super) fn update_failure(error: &CatalogError<UpdateStreamError>) -> Failure {
    catalog_failure(error, |error| match error {
        UpdateStreamError::Unknown { .. } => Failure::new(ErrorCode::UnknownStream, error.to_string()),
        UpdateStreamError::Settings(settings) => settings_failure(settings),
        UpdateStreamError::CompactionOff => Failure::new(ErrorCode::InvalidRequest, error.to_string()),
        UpdateStreamError::Store(store) => Failure::new(ErrorCode::Internal, store.to_string()),
    })
}

/// Shards that were not changed.
pub(super) fn reshard_failure(error: &CatalogError<ReshardError>) -> Failure {
    catalog_failure(error, |error| {
        let failure = |code| Failure::new(code, error.to_string());
        match error {
            ReshardError::Unknown { .. } => failure(ErrorCode::UnknownStream),
            ReshardError::UnknownShard { .. } => failure(ErrorCode::UnknownShard),
            ReshardError::Closed { .. } => failure(ErrorCode::ShardClosed),
            ReshardError::Key { .. } | ReshardError::NotAdjacent { .. } => failure(ErrorCode::InvalidRequest),
            ReshardError::Scale { open, target } => failure(ErrorCode::InvalidRequest).with_limit(
                u64::from(*target),
                u64::from(if target > open { open * 2 } else { open.div_ceil(2) }),
            ),
            ReshardError::TooManyOpen { found, limit } => {
                failure(ErrorCode::LimitExceeded).with_limit(u64::from(*found), u64::from(*limit))
            }
            ReshardError::Account(account) => account_failure(account),
            ReshardError::TooMany { found, limit } => {
                failure(ErrorCode::LimitExceeded).with_limit(*found as u64, *limit as u64)
            }
            ReshardError::Undecided { .. } => failure(ErrorCode::Overloaded).with_retry_after(RETRY_LATER),
            ReshardError::Store(_) => failure(ErrorCode::Internal),
        }
    })
}

/// A stream that was not deleted.
pub(super) fn delete_failure(error: &CatalogError<DeleteStreamError>) -> Failure {
    catalog_failure(error, |error| match error {
        DeleteStreamError::Unknown { .. } => Failure::new(ErrorCode::UnknownStream, error.to_string()),
        DeleteStreamError::HasConsumers { .. } | DeleteStreamError::HasQueues { .. } => {
            Failure::new(ErrorCode::InvalidRequest, error.to_string())
        }
        DeleteStreamError::Store(store) => Failure::new(ErrorCode::Internal, store.to_string()),
    })
}

pub(super) fn catalog_failure<E: std::error::Error>(
    error: &CatalogError<E>,
    refused: impl Fn(&E) -> Failure,
) -> Failure {
    match error {
        CatalogError::Refused(error) => refused(error),
        CatalogError::Broken(_) => Failure::new(ErrorCode::Internal, error.to_string()),
        CatalogError::Closing => Failure::new(ErrorCode::ShuttingDown, error.to_string()),
    }
}

fn settings_failure(error: &SettingsError) -> Failure {
    let limit = if error.value < error.min { error.min } else { error.max };
    Failure::new(ErrorCode::InvalidRequest, error.to_string()).with_limit(error.value, limit)
}

/// A message that was not understood and can be answered.
pub(super) fn decode_failure(reason: &DecodeReason) -> Failure {
    let failure = |code| Failure::new(code, reason.to_string());
    match reason {
        DecodeReason::UnknownBody(kind) => failure(ErrorCode::UnknownRequest).with_limit(u64::from(*kind), 0),
        DecodeReason::UnknownValue { value, .. } => failure(ErrorCode::InvalidRequest).with_limit(*value, 0),
        DecodeReason::Corrupt(_)
        | DecodeReason::StreamName(_)
        | DecodeReason::QueueName(_)
        | DecodeReason::Inconsistent(_) => failure(ErrorCode::InvalidRequest),
    }
}

/// What a peer is told before its connection ends.
pub(super) fn violation_failure(violation: &Violation) -> Failure {
    let failure = |code| Failure::new(code, violation.to_string());
    match violation {
        Violation::Frame(FrameError::TooLarge { length, limit }) => {
            failure(ErrorCode::InvalidRequest).with_limit(u64::from(*length), u64::from(*limit))
        }
        Violation::Frame(FrameError::TooShort { .. } | FrameError::Message { .. }) => {
            failure(ErrorCode::InvalidRequest)
        }
        Violation::Message(reason) => decode_failure(reason),
        Violation::Version { max, .. } => {
            failure(ErrorCode::UnsupportedVersion).with_limit(u64::from(*max), u64::from(PROTOCOL_VERSION))
        }
        Violation::Budget(refused) => match refused {
            Refused::NeverFits { value, limit } => {
                failure(ErrorCode::InvalidRequest).with_limit(*value, *limit)
            }
            Refused::NoRoom { value, limit, .. } | Refused::TooManyWaiters { value, limit } => {
                failure(ErrorCode::Overloaded).with_limit(*value, *limit).with_retry_after(RETRY_LATER)
            }
        },
    }
}
