//! Pure decisions about a queue: what its settings may be, what a change makes of them, and where its partitions go.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use tidemill_wire::message::QueueChange;
use tidemill_wire::{LaneId, OwnerId};

use super::queue_error::{QueueAttribute, QueueSettingsError};
use super::rules::Limits;
use crate::service::queue_definition::{
    Allow, Definition, Partition, QueueName, QueueSettings, Redrive, Scope, ThroughputLimit,
};
use crate::service::stream_queue::StreamQueueSettings;

/// Queues that may be named as those that send their dead letters to one: as many as AWS allows.
pub const ALLOWED_MAX: usize = 10;
/// Bytes of a policy: as many as a stream's may have.
pub const QUEUE_POLICY_BYTES_MAX: usize = 20 << 10;

/// As in [SetQueueAttributes](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html).
const DELAY_S: RangeInclusive<u32> = 0..=900;
const MESSAGE_BYTES_MAX: RangeInclusive<u32> = 1_024..=1_048_576;
const RETENTION_S: RangeInclusive<u32> = 60..=1_209_600;
const WAIT_S: RangeInclusive<u32> = 0..=20;
const VISIBILITY_S: RangeInclusive<u32> = 0..=43_200;
const RECEIVES_MAX: RangeInclusive<u32> = 1..=1_000;

/// The settings of a queue that has these, with what is said changed.
pub(super) fn settle(
    name: &QueueName,
    mut settings: QueueSettings,
    change: QueueChange,
) -> Result<QueueSettings, QueueSettingsError> {
    if settings.fifo.is_none() {
        let said = [
            (QueueAttribute::ContentDeduplication, change.content_deduplication.is_some()),
            (QueueAttribute::Scope, change.scope.is_some()),
            (QueueAttribute::Limit, change.limit.is_some()),
        ];
        if let Some((attribute, _)) = said.into_iter().find(|(_, is_said)| *is_said) {
            return Err(QueueSettingsError::NotFifo { attribute, name: name.clone() });
        }
    }
    change.apply(&mut settings);
    Ok(settings)
}

/// The first thing that is said of a queue and is not so. What is not said may be anything, but tags have to be the same.
pub(super) fn difference(
    change: &QueueChange,
    tags: &BTreeMap<String, String>,
    present: &Definition,
) -> Option<QueueAttribute> {
    let settings = &present.settings;
    let fifo = settings.fifo;
    let differs = [
        (QueueAttribute::Delay, is_other(&change.delay_s, Some(&settings.delay_s))),
        (
            QueueAttribute::MessageBytesMax,
            is_other(&change.message_bytes_max, Some(&settings.message_bytes_max)),
        ),
        (QueueAttribute::Retention, is_other(&change.retention_s, Some(&settings.retention_s))),
        (QueueAttribute::Wait, is_other(&change.wait_s, Some(&settings.wait_s))),
        (QueueAttribute::Visibility, is_other(&change.visibility_s, Some(&settings.visibility_s))),
        (QueueAttribute::Redrive, is_other(&change.redrive, Some(&settings.redrive))),
        (QueueAttribute::RedriveAllow, is_other(&change.redrive_allow, Some(&settings.redrive_allow))),
        (
            QueueAttribute::ContentDeduplication,
            is_other(&change.content_deduplication, fifo.map(|fifo| fifo.content_deduplication).as_ref()),
        ),
        (QueueAttribute::Scope, is_other(&change.scope, fifo.map(|fifo| fifo.scope).as_ref())),
        (QueueAttribute::Limit, is_other(&change.limit, fifo.map(|fifo| fifo.limit).as_ref())),
        (QueueAttribute::Policy, is_other(&change.policy, Some(&settings.policy))),
        (QueueAttribute::Tags, *tags != present.tags),
    ];
    differs.into_iter().find(|(_, differs)| *differs).map(|(attribute, _)| attribute)
}

fn is_other<T: PartialEq>(said: &Option<T>, present: Option<&T>) -> bool {
    said.is_some() && said.as_ref() != present
}

/// Refuses settings that a queue of this name cannot have, whatever other queues there are.
pub(super) fn check_settings(name: &QueueName, settings: &QueueSettings) -> Result<(), QueueSettingsError> {
    within(QueueAttribute::Delay, settings.delay_s, DELAY_S)?;
    within(QueueAttribute::MessageBytesMax, settings.message_bytes_max, MESSAGE_BYTES_MAX)?;
    within(QueueAttribute::Retention, settings.retention_s, RETENTION_S)?;
    within(QueueAttribute::Wait, settings.wait_s, WAIT_S)?;
    within(QueueAttribute::Visibility, settings.visibility_s, VISIBILITY_S)?;
    if let Some(redrive) = &settings.redrive {
        within(QueueAttribute::Redrive, redrive.receives_max, RECEIVES_MAX)?;
        let target = redrive.target.clone();
        if target == *name {
            return Err(QueueSettingsError::OwnTarget { target });
        }
        if target.is_fifo() != name.is_fifo() {
            return Err(QueueSettingsError::OtherKind { target });
        }
    }
    match &settings.redrive_allow {
        Allow::By(names) if names.len() > ALLOWED_MAX => {
            return Err(QueueSettingsError::TooManyAllowed { found: names.len() });
        }
        Allow::All | Allow::None | Allow::By(_) => {}
    }
    let limit = settings.fifo.map(|fifo| (fifo.limit, fifo.scope));
    if limit == Some((ThroughputLimit::Group, Scope::Queue)) {
        return Err(QueueSettingsError::LimitBeyondScope);
    }
    match &settings.policy {
        Some(policy) if policy.len() > QUEUE_POLICY_BYTES_MAX => {
            Err(QueueSettingsError::PolicyTooLong { found: policy.len() })
        }
        _ => Ok(()),
    }
}

/// Refuses settings that a queue over a stream cannot have.
pub(super) fn check_stream_queue(settings: StreamQueueSettings) -> Result<(), QueueSettingsError> {
    within(QueueAttribute::Visibility, settings.visibility_s, VISIBILITY_S)?;
    settings.receives_max.map_or(Ok(()), |receives| within(QueueAttribute::Redrive, receives, RECEIVES_MAX))
}

/// Refuses a dead-letter queue that is not there or does not want to be this queue's.
pub(super) fn check_target(
    name: &QueueName,
    redrive: &Redrive,
    target: Option<&Definition>,
) -> Result<(), QueueSettingsError> {
    let Some(target) = target else {
        return Err(QueueSettingsError::NoTarget { target: redrive.target.clone() });
    };
    let is_allowed = match &target.settings.redrive_allow {
        Allow::All => true,
        Allow::None => false,
        Allow::By(names) => names.contains(name),
    };
    let refused = || QueueSettingsError::NotAllowed { target: target.name.clone(), name: name.clone() };
    is_allowed.then_some(()).ok_or_else(refused)
}

fn within(
    attribute: QueueAttribute,
    value: u32,
    range: RangeInclusive<u32>,
) -> Result<(), QueueSettingsError> {
    let (min, max) = (*range.start(), *range.end());
    if range.contains(&value) {
        Ok(())
    } else {
        Err(QueueSettingsError::OutOfRange { attribute, value, min, max })
    }
}

/// How many partitions a new queue gets: order over all of a queue needs one, and others are spread over the lanes.
fn partitions(settings: &QueueSettings, limits: Limits, lanes: usize) -> usize {
    let is_spread = settings.fifo.is_none_or(|fifo| fifo.limit == ThroughputLimit::Group);
    let most = match limits.partitions_per_queue {
        0 => lanes,
        most => usize::try_from(most).unwrap_or(lanes).min(lanes),
    };
    if is_spread { most } else { 1 }
}

/// Deals the partitions of a new queue out to the lanes in turn, from the one that has least on, and each gets two owners. `load` has what is in each lane, and at least one lane.
pub(super) fn deal_partitions(
    settings: &QueueSettings,
    limits: Limits,
    first_owner: OwnerId,
    load: &[u64],
) -> Vec<Partition> {
    let emptiest = load.iter().enumerate().min_by_key(|(_, load)| **load).map_or(0, |(lane, _)| lane);
    let lanes = (0..load.len()).cycle().skip(emptiest).take(partitions(settings, limits, load.len()));
    let owners = (first_owner.get()..).step_by(2);
    lanes
        .zip(owners)
        .map(|(lane, owner)| Partition {
            lane: LaneId(u32::try_from(lane).expect("lanes are counted in 32 bits")),
            messages: OwnerId(owner),
            journal: OwnerId(owner + 1),
        })
        .collect()
}
