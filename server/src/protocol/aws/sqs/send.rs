//! SendMessage and SendMessageBatch.

use bytes::Bytes;
use tidemill_wire::limits::MESSAGE_GROUP_BYTES_MAX;

use super::super::hexadecimal::uuid;
use super::super::value::Value;
use super::super::{Caller, Fault};
use super::attributes::{self, read_body, read_trace_header, trace_attribute};
use super::batch;
use super::call::Call;
use super::digest;
use super::error::{invalid_value, missing, no_deduplication, send_fault, too_large};
use super::input::number;
use super::limits::{BATCH_BYTES_MAX, DELAY_S};
use crate::service::queue::{Definition, NewMessage, SendError, Sent, content_deduplication, is_fifo_id};

/// A message that is to be sent, and what its sender is told about it.
struct Draft {
    message: NewMessage,
    /// Bytes of body and attributes.
    bytes: usize,
    /// Of the body; empty until it was made.
    of_body: String,
    of_attributes: Option<String>,
    of_trace: Option<String>,
}

/// Sends one message, and answers when it is durable.
pub(super) async fn one(call: Call<'_>, mut input: Value) -> Result<Option<Value>, Fault> {
    let queue = call.queue(&input)?;
    let mut draft = Draft::read(call, &queue, &mut input)?;
    draft.check_size(&queue)?;
    draft.of_body = digest::of_body(&draft.message.body);
    let message = draft.take();
    let sent = call.core().send_messages(queue.id, vec![message]).await;
    let sent = sent.into_iter().next().unwrap_or(Err(SendError::Closing));
    Ok(Some(draft.answer(&queue, sent.map_err(|error| send_fault(&error))?)))
}

/// Sends up to ten, each with a fate of its own, in their order.
pub(super) async fn many(call: Call<'_>, mut input: Value) -> Result<Option<Value>, Fault> {
    let queue = call.queue(&input)?;
    let entries = batch::entries(&mut input, "SendMessageBatchRequestEntry")?;
    if queue.is_fifo() && entries.iter().any(|entry| entry.input.get("MessageGroupId").is_none()) {
        return Err(super::error::invalid(missing("MessageGroupId").message));
    }
    let mut fates: Vec<(String, Result<Draft, Fault>)> = Vec::with_capacity(entries.len());
    for mut entry in entries {
        let draft = Draft::read(call, &queue, &mut entry.input);
        fates.push((entry.id, draft));
    }
    let bytes: usize = fates.iter().filter_map(|(_, fate)| fate.as_ref().ok()).map(|draft| draft.bytes).sum();
    if bytes > BATCH_BYTES_MAX {
        let message = format!(
            "Batch requests cannot be longer than {BATCH_BYTES_MAX} bytes. You have sent {bytes} bytes."
        );
        return Err(Fault::of_caller("BatchRequestTooLong", message));
    }
    for (_, fate) in &mut fates {
        if let Some(fault) = fate.as_ref().ok().and_then(|draft| draft.check_size(&queue).err()) {
            *fate = Err(fault);
        }
    }
    let drafts = || fates.iter().filter_map(|(_, fate)| fate.as_ref().ok());
    let bodies: Vec<&[u8]> = drafts().map(|draft| draft.message.body.as_ref()).collect();
    let of_bodies = digest::of_bodies(&bodies);
    let drafts = fates.iter_mut().filter_map(|(_, fate)| fate.as_mut().ok());
    let digested = drafts.zip(of_bodies).map(|(draft, of_body)| {
        draft.of_body = of_body;
        draft.take()
    });
    let messages = digested.collect();
    let mut sent = call.core().send_messages(queue.id, messages).await.into_iter();
    let told = fates.into_iter().map(|(id, fate)| {
        let told = fate.and_then(|draft| {
            let sent = sent.next().unwrap_or(Err(SendError::Closing)).map_err(|error| send_fault(&error))?;
            Ok(draft.answer(&queue, sent))
        });
        (id, told)
    });
    Ok(Some(batch::answer(told.collect())))
}

impl Draft {
    fn read(call: Call<'_>, queue: &Definition, entry: &mut Value) -> Result<Self, Fault> {
        let body = read_body(entry)?;
        let attributes = attributes::read(entry)?;
        let trace_header = read_trace_header(entry)?;
        let delay_s = number(entry, "DelaySeconds", &DELAY_S)?;
        let group = fifo_id(entry, "MessageGroupId")?;
        let deduplication = fifo_id(entry, "MessageDeduplicationId")?;
        let (delay_s, deduplication) = match &queue.settings.fifo {
            None => {
                if let Some(id) = &deduplication {
                    return Err(invalid_value(id, "MessageDeduplicationId", NOT_OF_THIS_TYPE));
                }
                (delay_s, None)
            }
            Some(fifo) => {
                if let Some(delay_s) = delay_s.filter(|delay_s| *delay_s > 0) {
                    return Err(invalid_value(&delay_s.to_string(), "DelaySeconds", NOT_OF_THIS_TYPE));
                }
                if group.is_none() {
                    return Err(missing("MessageGroupId"));
                }
                let of_content = || fifo.content_deduplication.then(|| content_deduplication(&body));
                (None, Some(deduplication.or_else(of_content).ok_or_else(no_deduplication)?))
            }
        };
        let bytes = body.len() + attributes::bytes(&attributes);
        let of_trace = trace_header.as_deref().map(trace_attribute);
        Ok(Self {
            bytes,
            of_body: String::new(),
            of_attributes: digest::of_attributes(&attributes),
            of_trace: of_trace.and_then(|attribute| digest::of_attributes([&attribute])),
            message: NewMessage {
                body,
                attributes,
                trace_header,
                sender: sender(call.caller),
                delay_s,
                group,
                deduplication,
            },
        })
    }

    fn check_size(&self, queue: &Definition) -> Result<(), Fault> {
        let limit = queue.settings.message_bytes_max as usize;
        if self.bytes > limit { Err(too_large(limit)) } else { Ok(()) }
    }

    /// The message, of which nothing is left here.
    fn take(&mut self) -> NewMessage {
        let empty = NewMessage {
            body: Bytes::new(),
            attributes: Vec::new(),
            trace_header: None,
            sender: String::new(),
            delay_s: None,
            group: None,
            deduplication: None,
        };
        std::mem::replace(&mut self.message, empty)
    }

    fn answer(self, queue: &Definition, sent: Sent) -> Value {
        let sequence = queue.is_fifo().then(|| sequence_number(sent.sequence));
        Value::structure([
            ("MD5OfMessageBody", Value::text(self.of_body)),
            ("MD5OfMessageAttributes", self.of_attributes.and_then(Value::text)),
            ("MD5OfMessageSystemAttributes", self.of_trace.and_then(Value::text)),
            ("MessageId", Value::text(uuid(sent.id.0))),
            ("SequenceNumber", sequence.and_then(Value::text)),
        ])
    }
}

/// Why a parameter is refused that goes with another type of queue.
pub(super) const NOT_OF_THIS_TYPE: &str =
    "The request include parameter that is not valid for this queue type.";

/// The number of a message in a FIFO queue as clients get it: of twenty digits, so that texts have the order of the numbers.
pub(super) fn sequence_number(sequence: u64) -> String {
    format!("{sequence:020}")
}

/// An id of a group, of deduplication or of an attempt, if it is there.
pub(super) fn fifo_id(entry: &mut Value, name: &str) -> Result<Option<String>, Fault> {
    let Some(id) = entry.take_text(name) else { return Ok(None) };
    if is_fifo_id(&id) {
        return Ok(Some(id));
    }
    let reason = format!(
        "{name} can only include alphanumeric and punctuation characters. 1 to {MESSAGE_GROUP_BYTES_MAX} in length."
    );
    Err(invalid_value(&id, name, &reason))
}

/// Whom a message says that it is from: who has signed the call, or the account where nobody was asked.
pub(super) fn sender(caller: &Caller) -> String {
    if caller.access_key.is_empty() { caller.account.clone() } else { caller.name.clone() }
}
