//! What the operations on consumers share: how one is named, found and shown, and what the catalog refuses.

use std::sync::Arc;

use super::super::value::Value;
use super::super::{Fault, Identity};
use super::call::{Call, StreamNames};
use super::error::{catalog_fault, invalid, limit_exceeded, no_stream_of_id, not_found};
use super::names::{stream_arn, stream_of_arn};
use crate::service::catalog::{DeregisterConsumerError, RegisterConsumerError, TagConsumerError};
use crate::service::consumer::Consumer;
use crate::service::stream::Definition;
use crate::shard::{ConsumerTagError, DeregisterError, RegisterError};

/// What stands between a stream's ARN and a consumer's name.
const CONSUMER: &str = "/consumer/";

/// The status of a consumer on its way, which is the one that a registration answers with.
pub(super) const CREATING: &str = "CREATING";
/// The status of every consumer that can be looked at.
pub(super) const ACTIVE: &str = "ACTIVE";

/// The parts of a consumer's ARN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConsumerArn<'a> {
    /// The stream's name.
    pub(super) stream: &'a str,
    /// The consumer's name.
    pub(super) name: &'a str,
    /// When it was registered, in seconds.
    pub(super) created: u64,
}

impl<'a> ConsumerArn<'a> {
    /// Takes an ARN apart; `None` if it is not of a consumer of this server.
    pub(super) fn parse(identity: &Identity, arn: &'a str) -> Option<Self> {
        let (stream, consumer) = stream_of_arn(identity, arn)?.split_once(CONSUMER)?;
        let (name, created) = consumer.rsplit_once(':')?;
        let is_number = created.bytes().all(|digit| digit.is_ascii_digit());
        Some(Self { stream, name, created: created.parse().ok().filter(|_| is_number)? })
    }
}

/// A consumer's ARN.
pub(super) fn consumer_arn(identity: &Identity, stream: &Definition, consumer: &Consumer) -> String {
    let stream = stream_arn(identity, stream.name.as_str());
    format!("{stream}{CONSUMER}{}:{}", consumer.name, consumer.created.get() / 1_000)
}

/// The consumer of an ARN, and its stream.
pub(super) fn find(call: Call<'_>, arn: &str) -> Result<(Arc<Definition>, Consumer), Fault> {
    let parts = ConsumerArn::parse(call.identity(), arn).ok_or_else(|| no_consumer(call, arn))?;
    let stream = call.named(parts.stream)?;
    let found = stream.consumers.get(parts.name).cloned();
    // One that was registered anew under the same name is another.
    let found = found.filter(|found| found.created.get() / 1_000 == parts.created);
    Ok((stream, found.ok_or_else(|| no_consumer(call, arn))?))
}

/// The consumer that an input names: by its ARN, or by its name and its stream.
pub(super) fn named(call: Call<'_>, input: &Value) -> Result<(Arc<Definition>, Consumer), Fault> {
    let names = StreamNames::of(input);
    let name = input.get_text("ConsumerName");
    let Some(arn) = input.get_text("ConsumerARN") else {
        let name = name.filter(|_| names.arn.or(names.id).is_some());
        let name = name.ok_or_else(|| {
            invalid("Either ConsumerARN or both StreamARN and ConsumerName must be provided.")
        })?;
        let stream = call.find(names)?;
        let found = stream.consumers.get(name).cloned().ok_or_else(|| no_consumer(call, name))?;
        return Ok((stream, found));
    };
    let (stream, found) = find(call, arn)?;
    let is_of_stream = names.arn.or(names.id).is_none() || call.find(names)?.id == stream.id;
    if is_of_stream && name.is_none_or(|name| name == found.name.as_str()) {
        Ok((stream, found))
    } else {
        Err(invalid("ConsumerARN, StreamARN and ConsumerName name different consumers."))
    }
}

/// A consumer as clients get it. `of_stream` has its description name the stream, too.
pub(super) fn consumer_value(
    call: Call<'_>,
    stream: &Definition,
    consumer: &Consumer,
    status: &'static str,
    of_stream: bool,
) -> Value {
    Value::structure([
        ("ConsumerName", Value::text(consumer.name.as_str())),
        ("ConsumerARN", Value::text(consumer_arn(call.identity(), stream, consumer))),
        ("ConsumerStatus", Value::text(status)),
        ("ConsumerCreationTimestamp", Some(Value::Timestamp(consumer.created))),
        ("StreamARN", of_stream.then(|| Value::Text(call.arn(&stream.name)))),
    ])
}

/// There is no such consumer.
pub(super) fn no_consumer(call: Call<'_>, consumer: &str) -> Fault {
    not_found(format!("Consumer {consumer} under account {} not found.", call.account()))
}

/// A consumer that was not registered.
pub(super) fn register_fault(call: Call<'_>, error: &RegisterError, stream: &Definition) -> Fault {
    catalog_fault(error, |error| match error {
        RegisterConsumerError::UnknownStream { stream } => Some(no_stream_of_id(*stream)),
        RegisterConsumerError::Exists { name } => Some(Fault::of_caller(
            "ResourceInUseException",
            format!(
                "Consumer {name} under stream {} already exists for account {}.",
                stream.name,
                call.account()
            ),
        )),
        RegisterConsumerError::TooMany { .. } | RegisterConsumerError::Tags(_) => {
            Some(limit_exceeded(error.to_string()))
        }
        RegisterConsumerError::Store(_) => None,
    })
}

/// A consumer whose tags were not changed.
pub(super) fn consumer_tag_fault(call: Call<'_>, error: &ConsumerTagError) -> Fault {
    catalog_fault(error, |error| match error {
        TagConsumerError::Unknown { name } => Some(no_consumer(call, name.as_str())),
        TagConsumerError::Tags(_) => Some(limit_exceeded(error.to_string())),
        TagConsumerError::Store(_) => None,
    })
}

/// A consumer that was not deregistered.
pub(super) fn deregister_fault(call: Call<'_>, error: &DeregisterError) -> Fault {
    catalog_fault(error, |error| match error {
        DeregisterConsumerError::Unknown { name } => Some(no_consumer(call, name.as_str())),
        DeregisterConsumerError::Store(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_of_consumers_are_taken_apart_and_others_refused() {
        let identity = Identity {
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            partition: "aws".to_owned(),
        };
        let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/logs/consumer/a.b:17";
        let check = |arn: &str, expected| assert_eq!(ConsumerArn::parse(&identity, arn), expected, "{arn}");
        check(arn, Some(ConsumerArn { stream: "logs", name: "a.b", created: 17 }));
        check(&arn.replace("us-east-1", "eu-west-1"), None);
        check(&arn.replace(":17", ""), None);
        check(&arn.replace(":17", ":+17"), None);
        check(&arn.replace(":17", ":99999999999999999999"), None);
        check("arn:aws:kinesis:us-east-1:000000000000:stream/logs", None);
    }
}
