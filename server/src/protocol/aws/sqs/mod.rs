//! Amazon SQS: its operations over the queues of this server.
//!
//! Spoken in AWS JSON and in the older query protocol, over the same handlers: one line in [`HANDLERS`] for each operation. Inputs are read by the
//! model's tables before a handler sees them. Leaves out what queues decide.

mod attributes;
mod batch;
mod call;
mod change_visibility;
mod delete;
mod digest;
mod error;
mod input;
mod limits;
mod model;
mod move_tasks;
mod names;
mod plain;
mod policy;
mod purge;
mod queue_attributes;
mod queues;
mod receive;
mod redrive;
mod send;
mod tags;
#[cfg(test)]
mod tests;
mod token;

use std::future::Future;
use std::pin::Pin;

use self::call::Call;
use self::plain::Plain;
use super::cbor::{self, CborOutput};
use super::check::fits;
use super::json::{self, JsonOutput};
use super::message::JSON_1_0;
use super::output::Output;
use super::query;
use super::query_input;
use super::shape::Operation;
use super::value::Value;
use super::xml;
use super::{Answer, Answering, Aws, Encoding, Fault, QueryRequest, Request};

/// What the service's targets begin with.
pub(super) const TARGET: &str = model::TARGET;
/// The service's version in the query protocol.
pub(super) const VERSION: &str = "2012-11-05";
/// Bytes that most answers fit into.
const ANSWER_BYTES: usize = 4 << 10;
/// The same for refusals and answers without members.
const SHORT_ANSWER_BYTES: usize = 256;
/// Members of a refusal.
const SHORT: [&str; 2] = ["__type", "message"];
/// What an error's name is part of.
const ERROR_NAMESPACE: &str = "com.amazonaws.sqs#";
/// Tells older clients what an error was called in the query protocol.
const ERROR_HEADER: &str = "x-amzn-query-error";

#[cfg(test)]
pub(super) use model::OPERATIONS;

/// How an operation is answered: from its input, with the members of its output if it has one.
type Handler = for<'a> fn(Call<'a>, Value) -> Promise<'a>;

/// What a handler gives, later.
type Promise<'a> = Pin<Box<dyn Future<Output = Result<Option<Value>, Fault>> + 'a>>;

/// The operations, by name.
const HANDLERS: &[(&str, Handler)] = &[
    ("AddPermission", |call, input| Box::pin(policy::add(call, input))),
    ("CancelMessageMoveTask", |call, input| Box::pin(move_tasks::cancel(call, input))),
    ("ChangeMessageVisibility", |call, input| Box::pin(change_visibility::one(call, input))),
    ("ChangeMessageVisibilityBatch", |call, input| Box::pin(change_visibility::many(call, input))),
    ("CreateQueue", |call, input| Box::pin(queues::create(call, input))),
    ("DeleteMessage", |call, input| Box::pin(delete::one(call, input))),
    ("DeleteMessageBatch", |call, input| Box::pin(delete::many(call, input))),
    ("DeleteQueue", |call, input| Box::pin(queues::delete(call, input))),
    ("GetQueueAttributes", |call, input| Box::pin(queue_attributes::get(call, input))),
    ("GetQueueUrl", |call, input| Box::pin(queues::url(call, input))),
    ("ListDeadLetterSourceQueues", |call, input| Box::pin(queues::list_sources(call, input))),
    ("ListMessageMoveTasks", |call, input| Box::pin(move_tasks::list(call, input))),
    ("ListQueueTags", |call, input| Box::pin(tags::list(call, input))),
    ("ListQueues", |call, input| Box::pin(queues::list(call, input))),
    ("PurgeQueue", |call, input| Box::pin(purge::answer(call, input))),
    ("ReceiveMessage", |call, input| Box::pin(receive::answer(call, input))),
    ("RemovePermission", |call, input| Box::pin(policy::remove(call, input))),
    ("SendMessage", |call, input| Box::pin(send::one(call, input))),
    ("SendMessageBatch", |call, input| Box::pin(send::many(call, input))),
    ("SetQueueAttributes", |call, input| Box::pin(queue_attributes::set(call, input))),
    ("StartMessageMoveTask", |call, input| Box::pin(move_tasks::start(call, input))),
    ("TagQueue", |call, input| Box::pin(tags::add(call, input))),
    ("UntagQueue", |call, input| Box::pin(tags::remove(call, input))),
];

/// Answers an operation of the service.
pub(super) fn answer<'a>(aws: &'a Aws, name: &'a str, request: &'a Request<'a>) -> Answering<'a> {
    Box::pin(async move {
        let call = Call { aws, caller: request.caller, origin: request.origin };
        if request.encoding == Encoding::Json
            && let Some(plain) = Plain::read(call, name, &request.body)
        {
            return plain.send(call).await;
        }
        let served = async {
            let operation = find(name)?;
            let input = match request.encoding {
                Encoding::Json => json::decode(operation.input, &request.body)?,
                Encoding::Cbor => cbor::decode(operation.input, &request.body)?,
            };
            serve(call, operation, input).await
        };
        match served.await {
            Ok(output) => success(request.encoding, &output.unwrap_or(Value::Structure(Vec::new()))),
            Err(fault) => refuse(request.encoding, &fault),
        }
    })
}

/// Answers an action of the service in the query protocol.
pub(super) fn answer_query<'a>(aws: &'a Aws, name: &'a str, request: &'a QueryRequest<'a>) -> Answering<'a> {
    Box::pin(async move {
        let call = Call { aws, caller: request.caller, origin: request.origin };
        let served = async {
            let operation = find(name)?;
            let mut input = query_input::decode(operation.input, &request.parameters)?;
            name_by_path(operation, request.path, &mut input);
            Ok::<_, Fault>((operation, serve(call, operation, input).await?))
        };
        match served.await {
            Ok((operation, output)) => {
                let output = operation.output.zip(output.as_ref());
                query::success(xml::write_response(model::NAMESPACE, name, output, request.id))
            }
            Err(fault) => {
                let message = if fault.name == error::no_queue().name {
                    // As it was called before there were others.
                    "The specified queue does not exist for this wsdl version."
                } else {
                    &fault.message
                };
                query::refusal_in(model::NAMESPACE, error::code_of(&fault), message, request.id)
            }
        }
    })
}

/// Whether the service has an action of this name.
pub(super) fn knows(action: &str) -> bool {
    find(action).is_ok()
}

/// A refusal in the form of the service: it has the name that the error has in the query protocol, too.
pub(super) fn refuse(encoding: Encoding, fault: &Fault) -> Answer {
    let mut answer = Answer::refusal(encoding, fault);
    if encoding == Encoding::Json {
        let (name, message) =
            (format!("{ERROR_NAMESPACE}{}", fault.name), Value::text(fault.message.as_ref()));
        answer = success(encoding, &Value::structure([("__type", Value::text(name)), ("message", message)]));
        answer.status = fault.status;
    }
    let sender = if fault.status < 500 { "Sender" } else { "Receiver" };
    answer.headers.push((ERROR_HEADER, format!("{};{sender}", error::code_of(fault).0)));
    answer
}

fn success(encoding: Encoding, output: &Value) -> Answer {
    match encoding {
        Encoding::Json => {
            // Refusals and what deletions and the like say, for the answer's memory is kept until the peer has taken it.
            let is_short = matches!(output, Value::Structure(members) if members.iter().all(|(name, _)| SHORT.contains(name)));
            let mut out = JsonOutput::with_capacity(if is_short { SHORT_ANSWER_BYTES } else { ANSWER_BYTES });
            out.value(output);
            Answer { content_type: JSON_1_0, ..Answer::success(encoding, out.finish()) }
        }
        Encoding::Cbor => {
            let mut out = CborOutput::with_capacity(256);
            out.value(output);
            Answer::success(encoding, out.finish())
        }
    }
}

fn find(name: &str) -> Result<&'static Operation, Fault> {
    Operation::find(model::OPERATIONS, name).ok_or_else(Fault::unknown_operation)
}

async fn serve(call: Call<'_>, operation: &'static Operation, input: Value) -> Result<Option<Value>, Fault> {
    let name = operation.name;
    let served = async {
        input::check_required(operation.input, &input)?;
        let at = HANDLERS.binary_search_by(|(known, _)| (*known).cmp(name));
        let handler = at.ok().and_then(|at| HANDLERS.get(at)).ok_or_else(Fault::unknown_operation)?;
        (handler.1)(call, input).await
    };
    let served = served.await;
    match &served {
        Ok(output) => {
            let is_as_modelled = match (operation.output, output) {
                (Some(shape), Some(output)) => fits(shape, output),
                (shape, output) => shape.is_none() && output.is_none(),
            };
            debug_assert!(is_as_modelled, "{name} gives {output:?}");
        }
        Err(fault) => {
            let is_known = operation.errors.contains(&fault.name) || error::COMMON.contains(&fault.name);
            debug_assert!(is_known, "{name} refuses with {fault}, which its callers do not know");
        }
    }
    served
}

/// The path that was called names the queue where no parameter does.
fn name_by_path(operation: &Operation, path: &str, input: &mut Value) {
    let is_named = operation.input.member("QueueUrl").is_none() || input.get("QueueUrl").is_some();
    if let Value::Structure(members) = input
        && !is_named
        && path != "/"
    {
        members.push(("QueueUrl", Value::Text(path.to_owned())));
    }
}

/// Reads any bytes as the input of every operation.
#[cfg(test)]
pub(super) fn fuzz(form: &[u8]) {
    let Ok(parameters) = super::Parameters::parse(form, b"") else { return };
    for operation in model::OPERATIONS {
        let Ok(input) = query_input::decode(operation.input, &parameters) else { continue };
        if input::check_required(operation.input, &input).is_ok() {
            let _ =
                xml::write_response(model::NAMESPACE, operation.name, Some((operation.input, &input)), "id");
        }
        for mut entry in [input.clone()].into_iter().chain(match input.get("Entries") {
            Some(Value::List(items)) => items.clone(),
            _ => Vec::new(),
        }) {
            let _ = attributes::read(&mut entry);
            let _ = attributes::read_body(&mut entry);
            let _ = attributes::read_trace_header(&mut entry);
        }
    }
}
