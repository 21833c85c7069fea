//! From verified messages to queues.

use super::super::{DecodeReason, bounded};
use super::{
    Allow, CreateQueue, ListQueues, QueueChange, QueueDescription, QueueSettings, QueueSummary, Redrive,
    Scope, ThroughputLimit, UpdateQueue,
};
use crate::generated::tidemill::native as fb;
use crate::ids::{LaneId, QueueId, QueueName, Timestamp};
use crate::limits::QUEUE_NAME_BYTES_MAX;

/// Stands for no dead-letter queue where receives are counted.
pub(super) const NO_REDRIVE: u32 = 0;

/// What of a prefix can be one of a name.
pub(super) fn prefix(text: &str) -> &str {
    bounded(text, QUEUE_NAME_BYTES_MAX)
}

impl QueueChange {
    fn decode(settings: Option<fb::QueueSettings<'_>>) -> Result<Self, DecodeReason> {
        let Some(settings) = settings else { return Ok(Self::default()) };
        let redrive = match (settings.redrive_receives_max(), settings.redrive_target()) {
            (None, None) => None,
            (Some(NO_REDRIVE), None) => Some(None),
            (None | Some(NO_REDRIVE), Some(_)) => {
                return Err(DecodeReason::Inconsistent("a dead-letter queue without a number of receives"));
            }
            (Some(_), None) => {
                return Err(DecodeReason::Inconsistent("a number of receives without a dead-letter queue"));
            }
            (Some(receives_max), Some(target)) => {
                Some(Some(Redrive { target: QueueName::new(target)?, receives_max }))
            }
        };
        let policy = settings.policy().map(|policy| Some(policy).filter(|policy| !policy.is_empty()));
        Ok(Self {
            delay_s: settings.delay_s(),
            message_bytes_max: settings.message_bytes_max(),
            retention_s: settings.retention_s(),
            wait_s: settings.wait_s(),
            visibility_s: settings.visibility_s(),
            redrive,
            redrive_allow: settings
                .redrive_allow()
                .map(|allow| decode_allow(allow, settings.redrive_allowed()))
                .transpose()?,
            content_deduplication: settings.content_deduplication(),
            scope: settings.deduplication_scope().map(decode_scope).transpose()?,
            limit: settings.throughput_limit().map(decode_limit).transpose()?,
            policy: policy.map(|policy| policy.map(str::to_owned)),
        })
    }
}

type Names<'a> = flatbuffers::Vector<'a, flatbuffers::ForwardsUOffset<&'a str>>;

fn decode_allow(allow: fb::RedriveAllow, names: Option<Names<'_>>) -> Result<Allow, DecodeReason> {
    match allow {
        fb::RedriveAllow::All => Ok(Allow::All),
        fb::RedriveAllow::Nobody => Ok(Allow::None),
        fb::RedriveAllow::Named => {
            let names = names.unwrap_or_default().iter().map(QueueName::new);
            Ok(Allow::By(names.collect::<Result<_, _>>()?))
        }
        other => Err(DecodeReason::UnknownValue { field: "redrive allow", value: other.0.into() }),
    }
}

fn decode_scope(scope: fb::QueueOrGroup) -> Result<Scope, DecodeReason> {
    match scope {
        fb::QueueOrGroup::Queue => Ok(Scope::Queue),
        fb::QueueOrGroup::Group => Ok(Scope::Group),
        other => Err(DecodeReason::UnknownValue { field: "deduplication scope", value: other.0.into() }),
    }
}

fn decode_limit(limit: fb::QueueOrGroup) -> Result<ThroughputLimit, DecodeReason> {
    match limit {
        fb::QueueOrGroup::Queue => Ok(ThroughputLimit::Queue),
        fb::QueueOrGroup::Group => Ok(ThroughputLimit::Group),
        other => Err(DecodeReason::UnknownValue { field: "throughput limit", value: other.0.into() }),
    }
}

impl CreateQueue {
    pub(in crate::message) fn decode(create: &fb::CreateQueue<'_>) -> Result<Self, DecodeReason> {
        let name = QueueName::new(create.name())?;
        Ok(Self { name, settings: QueueChange::decode(create.settings())? })
    }
}

impl UpdateQueue {
    pub(in crate::message) fn decode(update: &fb::UpdateQueue<'_>) -> Result<Self, DecodeReason> {
        let name = QueueName::new(update.name())?;
        Ok(Self { name, settings: QueueChange::decode(Some(update.settings()))? })
    }
}

impl ListQueues {
    pub(in crate::message) fn decode(list: &fb::ListQueues<'_>) -> Result<Self, DecodeReason> {
        Ok(Self {
            prefix: prefix(list.prefix().unwrap_or_default()).to_owned(),
            after: list.after().map(QueueName::new).transpose()?,
            limit: list.limit(),
        })
    }
}

impl QueueDescription {
    /// What an older server does not say of a queue's settings is the default.
    pub(in crate::message) fn decode(queue: &fb::QueueDescription<'_>) -> Result<Self, DecodeReason> {
        let name = QueueName::new(queue.name())?;
        let mut settings = QueueSettings::default_of(&name);
        QueueChange::decode(Some(queue.settings()))?.apply(&mut settings);
        Ok(Self {
            id: QueueId(queue.id()),
            name,
            created: Timestamp(queue.created_ms()),
            modified: Timestamp(queue.modified_ms()),
            settings,
            lanes: queue.lanes().iter().map(LaneId).collect(),
        })
    }
}

impl QueueSummary {
    pub(in crate::message) fn decode(queue: &fb::QueueSummary<'_>) -> Result<Self, DecodeReason> {
        Ok(Self {
            id: QueueId(queue.id()),
            name: QueueName::new(queue.name())?,
            created: Timestamp(queue.created_ms()),
            partitions: queue.partitions(),
        })
    }
}
