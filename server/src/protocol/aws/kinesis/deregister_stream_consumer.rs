//! DeregisterStreamConsumer: the consumer is gone on every core when this answers, and its subscriptions end, so it is never seen as DELETING.

use super::super::Fault;
use super::super::value::Value;
use super::call::Call;
use super::consumers::{deregister_fault, named};

/// Deregisters it.
pub(super) async fn answer(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let (_, consumer) = named(call, &input)?;
    let deregistered = call.core().catalog().deregister(consumer).await;
    deregistered.map(|()| None).map_err(|error| deregister_fault(call, &error))
}
