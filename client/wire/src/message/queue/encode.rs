//! From queues to messages.

use flatbuffers::{UnionWIPOffset, WIPOffset};

use super::super::Builder;
use super::{
    Allow, CreateQueue, ListQueues, QueueChange, QueueDescription, QueueSummary, Scope, ThroughputLimit,
    UpdateQueue,
};
use crate::generated::tidemill::native as fb;
use crate::ids::QueueName;

type Body = WIPOffset<UnionWIPOffset>;

impl QueueChange {
    fn encode(&self, b: &mut Builder) -> WIPOffset<fb::QueueSettings<'static>> {
        let redrive = self.redrive.as_ref().map(Option::as_ref);
        let target = redrive.flatten().map(|redrive| b.create_string(redrive.target.as_str()));
        let redrive_allow = self.redrive_allow.as_ref().map(|allow| match allow {
            Allow::All => fb::RedriveAllow::All,
            Allow::None => fb::RedriveAllow::Nobody,
            Allow::By(_) => fb::RedriveAllow::Named,
        });
        let redrive_allowed = match &self.redrive_allow {
            Some(Allow::By(names)) => {
                let names: Vec<_> = names.iter().map(|name| b.create_string(name.as_str())).collect();
                Some(b.create_vector(&names))
            }
            Some(Allow::All | Allow::None) | None => None,
        };
        let policy =
            self.policy.as_ref().map(|policy| b.create_string(policy.as_deref().unwrap_or_default()));
        let args = fb::QueueSettingsArgs {
            delay_s: self.delay_s,
            message_bytes_max: self.message_bytes_max,
            retention_s: self.retention_s,
            wait_s: self.wait_s,
            visibility_s: self.visibility_s,
            redrive_receives_max: redrive
                .map(|redrive| redrive.map_or(super::decode::NO_REDRIVE, |redrive| redrive.receives_max)),
            redrive_target: target,
            redrive_allow,
            redrive_allowed,
            content_deduplication: self.content_deduplication,
            deduplication_scope: self.scope.map(|scope| match scope {
                Scope::Queue => fb::QueueOrGroup::Queue,
                Scope::Group => fb::QueueOrGroup::Group,
            }),
            throughput_limit: self.limit.map(|limit| match limit {
                ThroughputLimit::Queue => fb::QueueOrGroup::Queue,
                ThroughputLimit::Group => fb::QueueOrGroup::Group,
            }),
            policy,
        };
        fb::QueueSettings::create(b, &args)
    }
}

impl CreateQueue {
    pub(in crate::message) fn encode(&self, b: &mut Builder) -> Body {
        let name = Some(b.create_string(self.name.as_str()));
        let settings = Some(self.settings.encode(b));
        fb::CreateQueue::create(b, &fb::CreateQueueArgs { name, settings }).as_union_value()
    }
}

impl UpdateQueue {
    pub(in crate::message) fn encode(&self, b: &mut Builder) -> Body {
        let name = Some(b.create_string(self.name.as_str()));
        let settings = Some(self.settings.encode(b));
        fb::UpdateQueue::create(b, &fb::UpdateQueueArgs { name, settings }).as_union_value()
    }
}

impl ListQueues {
    pub(in crate::message) fn encode(&self, b: &mut Builder) -> Body {
        let prefix = Some(b.create_string(super::decode::prefix(&self.prefix)));
        let after = self.after.as_ref().map(|name| b.create_string(name.as_str()));
        fb::ListQueues::create(b, &fb::ListQueuesArgs { prefix, after, limit: self.limit }).as_union_value()
    }
}

pub(in crate::message) fn encode_describe(b: &mut Builder, name: &QueueName) -> Body {
    let args = fb::DescribeQueueArgs { name: Some(b.create_string(name.as_str())) };
    fb::DescribeQueue::create(b, &args).as_union_value()
}

pub(in crate::message) fn encode_delete(b: &mut Builder, name: &QueueName) -> Body {
    let args = fb::DeleteQueueArgs { name: Some(b.create_string(name.as_str())) };
    fb::DeleteQueue::create(b, &args).as_union_value()
}

impl QueueDescription {
    pub(in crate::message) fn encode(&self, b: &mut Builder) -> Body {
        let name = Some(b.create_string(self.name.as_str()));
        let settings = Some(QueueChange::of(self.settings.clone()).encode(b));
        let lanes = Some(b.create_vector_from_iter(self.lanes.iter().map(|lane| lane.0)));
        let args = fb::QueueDescriptionArgs {
            id: self.id.0,
            name,
            created_ms: self.created.0,
            modified_ms: self.modified.0,
            settings,
            lanes,
        };
        fb::QueueDescription::create(b, &args).as_union_value()
    }
}

pub(in crate::message) fn encode_list(b: &mut Builder, queues: &[QueueSummary], more: bool) -> Body {
    // Tables cannot be built inside a vector of them, so their offsets are kept aside.
    let queues: Vec<_> = queues.iter().map(|queue| queue.encode(b)).collect();
    let args = fb::QueueListArgs { queues: Some(b.create_vector(&queues)), more };
    fb::QueueList::create(b, &args).as_union_value()
}

impl QueueSummary {
    fn encode(&self, b: &mut Builder) -> WIPOffset<fb::QueueSummary<'static>> {
        let args = fb::QueueSummaryArgs {
            id: self.id.0,
            name: Some(b.create_string(self.name.as_str())),
            created_ms: self.created.0,
            partitions: self.partitions,
        };
        fb::QueueSummary::create(b, &args)
    }
}
