//! PutResourcePolicy, GetResourcePolicy and DeleteResourcePolicy: policies of streams and consumers are kept and given back. Nobody is allowed or refused
//! anything by them; the documentation says so.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;

use super::super::Fault;
use super::super::value::Value;
use super::call::Call;
use super::error::{catalog_fault, invalid, not_found, unsupported};
use super::resource::Resource;
use crate::service::catalog::{PolicyError, PolicyHolder};
use crate::shard::PolicyChangeError;

/// The policy of what has none.
const NONE: &str = "{}";

/// Keeps a policy, in place of one that is there.
pub(super) async fn put(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let holder = holder(call, &input)?;
    let policy = input.get_text("Policy").unwrap_or_default();
    let read = serde_json::from_str::<BTreeMap<String, IgnoredAny>>(policy);
    read.map_err(|error| invalid(format!("The policy is no JSON object: {error}.")))?;
    let set = call.core().catalog().set_policy(holder, Some(policy.to_owned())).await;
    set.map(|()| None).map_err(|error| fault(&error, &input))
}

/// Gives it back as it was.
pub(super) async fn get(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let holder = holder(call, &input)?;
    let policy = call.core().catalog().policy(holder).await.map_err(|error| fault(&error, &input))?;
    Ok(Some(Value::structure([("Policy", Value::text(policy.unwrap_or_else(|| NONE.to_owned())))])))
}

/// Forgets it.
pub(super) async fn delete(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let holder = holder(call, &input)?;
    let deleted = call.core().catalog().set_policy(holder, None).await;
    deleted.map(|()| None).map_err(|error| fault(&error, &input))
}

fn holder(call: Call<'_>, input: &Value) -> Result<PolicyHolder, Fault> {
    Ok(match Resource::find(call, input)? {
        Resource::Stream(stream) => PolicyHolder { stream: stream.id, consumer: None },
        Resource::Consumer(consumer) => {
            PolicyHolder { stream: consumer.stream, consumer: Some(consumer.name) }
        }
        Resource::Queue(_) => return Err(unsupported("a resource policy of a queue")),
    })
}

fn fault(error: &PolicyChangeError, input: &Value) -> Fault {
    let arn = input.get_text("ResourceARN").unwrap_or_default();
    catalog_fault(error, |error| match error {
        PolicyError::Unknown => Some(not_found(format!("Resource {arn} not found."))),
        PolicyError::None => Some(not_found(format!("No resource policy found for resource ARN {arn}."))),
        PolicyError::TooLong { .. } => Some(Fault::of_caller("LimitExceededException", error.to_string())),
        PolicyError::Store(_) => None,
    })
}
