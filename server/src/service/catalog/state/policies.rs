//! Policies of streams and consumers in the catalog: texts that are kept and given back. Nothing here knows what they allow.
//!
//! Invariant: whoever has a policy is there; a policy goes with its holder (`tests::policies`).

use tidemill_wire::StreamId;

use super::super::error::{Inconsistency, PolicyError};
use super::State;
use crate::service::consumer::{Consumer, ConsumerName};

/// Bytes of a policy: as many as Kinesis allows.
pub const POLICY_BYTES_MAX: usize = 20 << 10;

/// Who has a policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyHolder {
    /// The stream, or that of the consumer.
    pub stream: StreamId,
    /// The consumer, if it is one's.
    pub consumer: Option<ConsumerName>,
}

impl PolicyHolder {
    /// This consumer.
    pub(super) fn of(consumer: &Consumer) -> Self {
        Self { stream: consumer.stream, consumer: Some(consumer.name.clone()) }
    }
}

impl State {
    /// A catalog with the policies that were stored. Those whose holder is gone are left out, as consumers are.
    pub(in super::super) fn with_policies(
        mut self,
        policies: impl IntoIterator<Item = (PolicyHolder, String)>,
    ) -> Result<Self, Inconsistency> {
        for (holder, policy) in policies {
            if holder.stream.get() >= self.counters.next_stream {
                let stream = holder.stream;
                return Err(Inconsistency(format!(
                    "a policy: the id {stream} of its stream has not been given out"
                )));
            }
            if self.is_there(&holder) {
                self.policies.insert(holder, policy);
            }
        }
        Ok(self)
    }

    /// A holder's policy.
    pub fn policy(&self, holder: &PolicyHolder) -> Option<&str> {
        self.policies.get(holder).map(String::as_str)
    }

    /// Those among a stream and its consumers who have a policy.
    pub(in super::super) fn policy_holders(
        &self,
        stream: StreamId,
    ) -> impl Iterator<Item = &PolicyHolder> + use<'_> {
        let first = PolicyHolder { stream, consumer: None };
        self.policies
            .range(first..)
            .map(|(holder, _)| holder)
            .take_while(move |holder| holder.stream == stream)
    }

    /// Whether a holder may get this policy, or lose the one it has.
    pub(in super::super) fn plan_policy(
        &self,
        holder: &PolicyHolder,
        policy: Option<&str>,
    ) -> Result<(), PolicyError> {
        if !self.is_there(holder) {
            return Err(PolicyError::Unknown);
        }
        match policy {
            Some(policy) if policy.len() > POLICY_BYTES_MAX => {
                Err(PolicyError::TooLong { found: policy.len() })
            }
            None if !self.policies.contains_key(holder) => Err(PolicyError::None),
            _ => Ok(()),
        }
    }

    pub(super) fn set_policy(&mut self, holder: PolicyHolder, policy: Option<String>) {
        match policy {
            Some(policy) => self.policies.insert(holder, policy),
            None => self.policies.remove(&holder),
        };
    }

    fn is_there(&self, holder: &PolicyHolder) -> bool {
        match &holder.consumer {
            None => self.names.contains_key(&holder.stream),
            Some(name) => self.consumer(holder.stream, name).is_some(),
        }
    }
}
