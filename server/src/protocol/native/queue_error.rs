//! From what can go wrong with queues to the codes of the native protocol: one exhaustive match for each enum.

use std::time::Duration;

use tidemill_wire::message::{ErrorCode, Failure};

use super::error::catalog_failure;
use crate::service::catalog::{CreateQueueError, DeleteQueueError, QueueSettingsError, UpdateQueueError};
use crate::shard::CatalogError;

/// A queue that was not created.
pub(super) fn create_failure(error: &CatalogError<CreateQueueError>) -> Failure {
    catalog_failure(error, |error| {
        let failure = |code| Failure::new(code, error.to_string());
        match error {
            CreateQueueError::Exists { .. } => failure(ErrorCode::QueueExists),
            CreateQueueError::DeletedRecently { seconds, .. } => {
                failure(ErrorCode::QueueDeletedRecently).with_retry_after(Duration::from_secs(*seconds))
            }
            CreateQueueError::TooManyQueues { limit } => {
                failure(ErrorCode::LimitExceeded).with_limit(u64::from(*limit) + 1, u64::from(*limit))
            }
            CreateQueueError::Settings(error) => settings_failure(error),
            CreateQueueError::Tags(_) => failure(ErrorCode::InvalidRequest),
            CreateQueueError::Store(_) => failure(ErrorCode::Internal),
        }
    })
}

/// A queue that was not changed.
pub(super) fn update_failure(error: &CatalogError<UpdateQueueError>) -> Failure {
    catalog_failure(error, |error| match error {
        UpdateQueueError::Unknown { .. } => Failure::new(ErrorCode::UnknownQueue, error.to_string()),
        UpdateQueueError::Settings(error) => settings_failure(error),
        UpdateQueueError::Store(store) => Failure::new(ErrorCode::Internal, store.to_string()),
    })
}

/// A queue that was not deleted.
pub(super) fn delete_failure(error: &CatalogError<DeleteQueueError>) -> Failure {
    catalog_failure(error, |error| match error {
        DeleteQueueError::Unknown { .. } => Failure::new(ErrorCode::UnknownQueue, error.to_string()),
        DeleteQueueError::Store(store) => Failure::new(ErrorCode::Internal, store.to_string()),
    })
}

fn settings_failure(error: &QueueSettingsError) -> Failure {
    let failure = |code| Failure::new(code, error.to_string());
    match error {
        QueueSettingsError::OutOfRange { value, min, max, .. } => {
            let limit = if value < min { min } else { max };
            failure(ErrorCode::InvalidRequest).with_limit(u64::from(*value), u64::from(*limit))
        }
        QueueSettingsError::NoTarget { .. } => failure(ErrorCode::UnknownQueue),
        QueueSettingsError::NotFifo { .. }
        | QueueSettingsError::LimitBeyondScope
        | QueueSettingsError::ScopeOfPartitions { .. }
        | QueueSettingsError::TooManyAllowed { .. }
        | QueueSettingsError::PolicyTooLong { .. }
        | QueueSettingsError::OwnTarget { .. }
        | QueueSettingsError::OtherKind { .. }
        | QueueSettingsError::NotAllowed { .. } => failure(ErrorCode::InvalidRequest),
    }
}
