//! DescribeStreamConsumer.

use super::super::Fault;
use super::super::value::Value;
use super::call::Call;
use super::consumers::{ACTIVE, consumer_value, named};

/// Describes a consumer.
pub(super) async fn answer(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let (stream, consumer) = named(call, &input)?;
    let shown = consumer_value(call, &stream, &consumer, ACTIVE, true);
    Ok(Some(Value::structure([("ConsumerDescription", Some(shown))])))
}
