//! Amazon Kinesis Data Streams: its operations over the streams of this server.
//!
//! One line in [`HANDLERS`] for each operation that is served; every other one of the model is refused as unsupported. Inputs are checked against
//! the model before a handler sees them. Leaves out what the stream service does not do: encryption and channels.

mod account;
mod call;
mod consumers;
mod create_stream;
mod delete_stream;
mod deregister_stream_consumer;
mod describe_limits;
mod describe_stream;
mod describe_stream_consumer;
mod enhanced_monitoring;
mod error;
mod get_records;
mod get_shard_iterator;
mod limits;
mod list_shards;
mod list_stream_consumers;
mod list_streams;
mod merge_shards;
mod model;
mod names;
mod page;
mod position;
mod put_input;
mod put_record;
mod put_records;
mod queue_records;
mod queues;
mod register_stream_consumer;
mod resource;
mod resource_policy;
mod retention;
mod sequence;
mod split_shard;
mod stream_mode;
mod subscribe_to_shard;
mod subscription;
mod tags;
#[cfg(test)]
mod tests;
mod token;
mod update_max_record_size;
mod update_shard_count;

use std::future::Future;
use std::pin::Pin;

use self::call::Call;
use super::cbor::{self, CborOutput};
use super::check::{check, fits};
use super::json::{self, JsonOutput};
use super::message::Pieces;
use super::output::{AnyOutput, Output};
use super::shape::Operation;
use super::value::Value;
use super::{Answer, Answering, Aws, Encoding, Fault, Request, eventstream};
use crate::service::queue::over_stream::Side;

/// What the service's targets begin with.
pub(super) const TARGET: &str = model::TARGET;

#[cfg(test)]
pub(super) use model::OPERATIONS;

/// What a handler gives, later.
type Promise<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + 'a>>;

/// How an operation is answered.
enum Handler {
    /// From a checked input, with the members of its output if it has one.
    Checked(for<'a> fn(Call<'a>, Value) -> Promise<'a, Option<Value>>),
    /// From the bytes of its input, with those of its output: operations that carry records.
    Direct(for<'a> fn(Call<'a>) -> Promise<'a, Vec<u8>>),
    /// From a checked input, with events one after the other.
    Streaming(for<'a> fn(Call<'a>, Value) -> Promise<'a, Pieces>),
}

/// What an operation gave.
enum Served {
    /// An output, written.
    Body(Vec<u8>),
    /// Events, framed.
    Events(Pieces),
}

use Handler::{Checked, Direct, Streaming};

/// The operations that are served, by name.
const HANDLERS: &[(&str, Handler)] = &[
    (
        "AcknowledgeDeadLetterQueueRecords",
        Checked(|call, input| Box::pin(queue_records::acknowledge(call, input, Side::Dead))),
    ),
    (
        "AcknowledgeQueueRecords",
        Checked(|call, input| Box::pin(queue_records::acknowledge(call, input, Side::Live))),
    ),
    ("AddTagsToStream", Checked(|call, input| Box::pin(tags::add(call, input)))),
    ("CreateQueue", Checked(|call, input| Box::pin(queues::create(call, input)))),
    ("CreateStream", Checked(|call, input| Box::pin(create_stream::answer(call, input)))),
    ("DecreaseStreamRetentionPeriod", Checked(|call, input| Box::pin(retention::decrease(call, input)))),
    ("DeleteQueue", Checked(|call, input| Box::pin(queues::delete(call, input)))),
    ("DeleteResourcePolicy", Checked(|call, input| Box::pin(resource_policy::delete(call, input)))),
    ("DeleteStream", Checked(|call, input| Box::pin(delete_stream::answer(call, input)))),
    (
        "DeregisterStreamConsumer",
        Checked(|call, input| Box::pin(deregister_stream_consumer::answer(call, input))),
    ),
    ("DescribeAccountSettings", Checked(|call, _| Box::pin(account::describe(call)))),
    ("DescribeLimits", Checked(|call, _| Box::pin(describe_limits::answer(call)))),
    ("DescribeQueue", Checked(|call, input| Box::pin(queues::describe(call, input)))),
    ("DescribeStream", Checked(|call, input| Box::pin(describe_stream::answer(call, input)))),
    (
        "DescribeStreamConsumer",
        Checked(|call, input| Box::pin(describe_stream_consumer::answer(call, input))),
    ),
    ("DescribeStreamSummary", Checked(|call, input| Box::pin(describe_stream::summary(call, input)))),
    ("DisableEnhancedMonitoring", Checked(|call, input| Box::pin(enhanced_monitoring::disable(call, input)))),
    ("EnableEnhancedMonitoring", Checked(|call, input| Box::pin(enhanced_monitoring::enable(call, input)))),
    ("GetRecords", Direct(|call| Box::pin(get_records::answer(call)))),
    ("GetResourcePolicy", Checked(|call, input| Box::pin(resource_policy::get(call, input)))),
    ("GetShardIterator", Checked(|call, input| Box::pin(get_shard_iterator::answer(call, input)))),
    ("IncreaseStreamRetentionPeriod", Checked(|call, input| Box::pin(retention::increase(call, input)))),
    ("ListQueues", Checked(|call, input| Box::pin(queues::list(call, input)))),
    ("ListShards", Checked(|call, input| Box::pin(list_shards::answer(call, input)))),
    ("ListStreamConsumers", Checked(|call, input| Box::pin(list_stream_consumers::answer(call, input)))),
    ("ListStreams", Checked(|call, input| Box::pin(list_streams::answer(call, input)))),
    ("ListTagsForResource", Checked(|call, input| Box::pin(tags::list_resource(call, input)))),
    ("ListTagsForStream", Checked(|call, input| Box::pin(tags::list(call, input)))),
    ("MergeShards", Checked(|call, input| Box::pin(merge_shards::answer(call, input)))),
    ("PutRecord", Direct(|call| Box::pin(put_record::answer(call)))),
    ("PutRecords", Direct(|call| Box::pin(put_records::answer(call)))),
    ("PutResourcePolicy", Checked(|call, input| Box::pin(resource_policy::put(call, input)))),
    (
        "ReceiveDeadLetterQueueRecords",
        Checked(|call, input| Box::pin(queue_records::receive(call, input, Side::Dead))),
    ),
    ("ReceiveQueueRecords", Checked(|call, input| Box::pin(queue_records::receive(call, input, Side::Live)))),
    (
        "RegisterStreamConsumer",
        Checked(|call, input| Box::pin(register_stream_consumer::answer(call, input))),
    ),
    ("RemoveTagsFromStream", Checked(|call, input| Box::pin(tags::remove(call, input)))),
    ("RestoreDeadLetterQueueRecords", Checked(|call, input| Box::pin(queue_records::restore(call, input)))),
    ("SplitShard", Checked(|call, input| Box::pin(split_shard::answer(call, input)))),
    ("SubscribeToShard", Streaming(|call, input| Box::pin(subscribe_to_shard::answer(call, input)))),
    ("TagResource", Checked(|call, input| Box::pin(tags::add_resource(call, input)))),
    ("UntagResource", Checked(|call, input| Box::pin(tags::remove_resource(call, input)))),
    ("UpdateAccountSettings", Checked(|call, input| Box::pin(account::update(call, input)))),
    (
        "UpdateDeadLetterQueueRecordsVisibility",
        Checked(|call, input| Box::pin(queue_records::hide(call, input, Side::Dead))),
    ),
    ("UpdateMaxRecordSize", Checked(|call, input| Box::pin(update_max_record_size::answer(call, input)))),
    ("UpdateQueue", Checked(|call, input| Box::pin(queues::update(call, input)))),
    (
        "UpdateQueueRecordsVisibility",
        Checked(|call, input| Box::pin(queue_records::hide(call, input, Side::Live))),
    ),
    ("UpdateShardCount", Checked(|call, input| Box::pin(update_shard_count::answer(call, input)))),
    ("UpdateStreamMode", Checked(|call, input| Box::pin(stream_mode::update(call, input)))),
    (
        "UpdateStreamRecordDistributionStrategy",
        Checked(|call, input| Box::pin(stream_mode::distribute(call, input))),
    ),
    ("UpdateStreamWarmThroughput", Checked(|call, input| Box::pin(stream_mode::warm(call, input)))),
];

/// Answers an operation of the service.
pub(super) fn answer<'a>(aws: &'a Aws, operation: &'a str, request: &'a Request<'a>) -> Answering<'a> {
    Box::pin(async move {
        let _work = aws.core.busy().begin();
        match serve(Call { aws, request }, operation).await {
            Ok(Served::Body(body)) => Answer::success(request.encoding, body),
            Ok(Served::Events(events)) => Answer::pieces(eventstream::MEDIA_TYPE, events),
            Err(fault) => Answer::refusal(request.encoding, &fault),
        }
    })
}

async fn serve(call: Call<'_>, name: &str) -> Result<Served, Fault> {
    let operation = Operation::find(model::OPERATIONS, name).ok_or_else(Fault::unknown_operation)?;
    let answered = dispatch(call, operation).await;
    if let Err(fault) = &answered {
        let is_known = operation.errors.contains(&fault.name) || error::COMMON.contains(&fault.name);
        debug_assert!(is_known, "{name} refuses with {fault}, which its callers do not know");
    }
    answered
}

async fn dispatch(call: Call<'_>, operation: &'static Operation) -> Result<Served, Fault> {
    let name = operation.name;
    match handler(name) {
        None => Err(error::unsupported(operation.name)),
        Some(Direct(answer)) => answer(call).await.map(Served::Body),
        Some(Streaming(answer)) => answer(call, read(call.request, operation)?).await.map(Served::Events),
        Some(Checked(answer)) => {
            let output = answer(call, read(call.request, operation)?).await?;
            debug_assert!(is_as_modelled(operation, output.as_ref()), "{name} gives {output:?}");
            let written = |output| write(call.request.encoding, 0, |out| out.value(&output));
            Ok(Served::Body(output.map_or_else(Vec::new, written)))
        }
    }
}

/// Whether an output is what the model says about it.
fn is_as_modelled(operation: &Operation, output: Option<&Value>) -> bool {
    match (operation.output, output) {
        (Some(shape), Some(output)) => fits(shape, output),
        (shape, output) => shape.is_none() && output.is_none(),
    }
}

fn handler(name: &str) -> Option<&'static Handler> {
    let at = HANDLERS.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
    HANDLERS.get(at).map(|(_, handler)| handler)
}

/// Reads an operation's input and checks it against the model.
fn read(request: &Request<'_>, operation: &'static Operation) -> Result<Value, Fault> {
    let input = match request.encoding {
        Encoding::Json => json::decode(operation.input, &request.body)?,
        Encoding::Cbor => cbor::decode(operation.input, &request.body)?,
    };
    check(operation.input, &input)?;
    Ok(input)
}

/// Reads the input of an operation of this name.
fn read_named(request: &Request<'_>, name: &str) -> Result<Value, Fault> {
    let operation = Operation::find(model::OPERATIONS, name).ok_or_else(Fault::unknown_operation)?;
    read(request, operation)
}

/// Writes an output in the caller's encoding, into memory for about so many bytes.
fn write(encoding: Encoding, bytes: usize, fill: impl FnOnce(&mut AnyOutput)) -> Vec<u8> {
    let mut out = match encoding {
        Encoding::Json => AnyOutput::Json(JsonOutput::with_capacity(bytes)),
        Encoding::Cbor => AnyOutput::Cbor(CborOutput::with_capacity(bytes)),
    };
    fill(&mut out);
    out.finish()
}

/// Reads any bytes as the input of every operation.
#[cfg(test)]
pub(super) fn fuzz(encoding: Encoding, body: &[u8]) {
    let caller = super::Caller { account: String::new(), access_key: String::new(), name: String::new() };
    let body = bytes::Bytes::copy_from_slice(body);
    let request = Request { target: "", encoding, body, caller: &caller, origin: "" };
    for operation in model::OPERATIONS {
        let _ = read(&request, operation);
    }
    let _ = put_input::PutRecord::read(&request).and_then(|mut input| input.take_entry());
    if let Ok(entries) = put_input::PutRecords::read(&request).and_then(|mut input| input.take_entries()) {
        for entry in entries {
            let (mut data, bytes) = (Vec::new(), entry.data_bytes(u32::MAX));
            if entry.append_data(&mut data).is_ok() {
                assert_eq!(bytes, Ok(data.len()));
            }
        }
    }
}
