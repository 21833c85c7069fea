//! RegisterStreamConsumer: the consumer may subscribe on every core when this answers. The answer says CREATING all the same, as AWS's always does.

use super::super::Fault;
use super::super::value::Value;
use super::call::Call;
use super::consumers::{CREATING, consumer_value, register_fault};
use super::create_stream::tags;
use super::error::invalid;
use crate::service::catalog::NewConsumer;
use crate::service::consumer::ConsumerName;

/// Registers it.
pub(super) async fn answer(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let stream = call.stream(&input)?;
    let name = input.get_text("ConsumerName").unwrap_or_default();
    let name = ConsumerName::new(name).map_err(|error| invalid(error.to_string()))?;
    let new = NewConsumer { stream: stream.id, name, tags: tags(&input) };
    let registered = call.core().catalog().register(new).await;
    let consumer = registered.map_err(|error| register_fault(call, &error, &stream))?;
    let shown = consumer_value(call, &stream, &consumer, CREATING, false);
    Ok(Some(Value::structure([("Consumer", Some(shown))])))
}
