//! Sends messages to a queue: those that are as they have to be are written together, the others are refused one by one.

use std::rc::Rc;

use bytes::Bytes;
use tidemill_wire::attributes::{MessageAttribute, MessageAttributeValue, decode_attributes};
use tidemill_wire::message::{
    self as wire, ErrorCode, Failure, MessageParts, RefusedItem, ResponseBody, SendMessages, SentMessage,
    SentMessages,
};

use super::connection::Ticket;
use super::limits::MESSAGE_DELAY_S_MAX;
use super::message_error::{for_all, refused, send_failure, unknown_queue};
use crate::service::queue::{
    Attribute, AttributeValue, Definition, NewMessage, SendError, Sent, content_deduplication, is_fifo_id,
    is_plain,
};

/// Who SQS clients are told that a message is from, which nobody has to say here.
const SENDER: &str = "native";

/// Begins to send, and answers when all is durable.
pub(super) fn begin(ticket: Ticket, asked: &SendMessages, body: Bytes) {
    let core = Rc::clone(ticket.connection.core());
    let Some(definition) = core.queue_of(asked.queue) else {
        return ticket.settle(Err(unknown_queue(asked.queue)));
    };
    let parts = match wire::NewMessage::split(&asked.messages, body) {
        Ok(parts) if parts.is_empty() => {
            let failure = Failure::new(ErrorCode::InvalidRequest, "a send without messages");
            return ticket.settle(Err(failure));
        }
        Ok(parts) => parts,
        Err(error) => {
            let failure = Failure::new(ErrorCode::InvalidBatch, error.to_string());
            return ticket.settle(Err(failure.with_limit(error.parts, error.body)));
        }
    };
    let (count, queue) = (parts.len(), asked.queue);
    let (mut drafts, mut places, mut refusals) = (Vec::with_capacity(count), Vec::new(), Vec::new());
    for (index, (head, parts)) in asked.messages.iter().zip(parts).enumerate() {
        match draft(&definition, head.delay_s, parts) {
            Ok(message) => {
                drafts.push(message);
                places.push(index);
            }
            Err(failure) => refusals.push(refused(index, &failure)),
        }
    }
    core.clone().spawn(async move {
        let sent = core.send_messages(queue, drafts).await;
        ticket.settle(outcomes(count, &places, &sent, refusals).map(ResponseBody::SentMessages));
    });
}

fn outcomes(
    count: usize,
    places: &[usize],
    sent: &[Result<Sent, SendError>],
    mut refusals: Vec<RefusedItem>,
) -> Result<SentMessages, Failure> {
    let mut all = vec![SentMessage::default(); count];
    let mut failures = Vec::new();
    for (place, outcome) in places.iter().zip(sent) {
        match outcome {
            Ok(Sent { id, sequence }) => {
                let id = wire::MessageId(u128::from_be_bytes(id.0));
                all[*place] = SentMessage { id, sequence: *sequence };
            }
            Err(error) => failures.push((*place, send_failure(error))),
        }
    }
    if let Some(failure) = for_all(&failures, count) {
        return Err(failure);
    }
    refusals.extend(failures.iter().map(|(place, failure)| refused(*place, failure)));
    refusals.sort_unstable_by_key(|refused| refused.index);
    Ok(SentMessages { sent: all, refused: refusals })
}

/// A message as the queue takes it, or why it does not.
fn draft(queue: &Definition, delay_s: Option<u32>, parts: MessageParts) -> Result<NewMessage, Failure> {
    let MessageParts { group, deduplication, source: _, attributes, body } = parts;
    let attributes = if attributes.is_empty() { Vec::new() } else { read_attributes(attributes)? };
    let bytes = (body.len() as u64).saturating_add(attributes.iter().map(counted_bytes).sum());
    let limit = u64::from(queue.settings.message_bytes_max);
    if bytes > limit {
        let text = format!("a message of {bytes} bytes is over the limit of {limit} bytes");
        return Err(Failure::new(ErrorCode::MessageTooLarge, text).with_limit(bytes, limit));
    }
    let (group, deduplication) = (id_of("group", &group)?, id_of("deduplication id", &deduplication)?);
    let (delay_s, deduplication) = match &queue.settings.fifo {
        None if deduplication.is_some() => {
            return Err(invalid("a deduplication id is for messages of FIFO queues"));
        }
        None => (check_delay(delay_s)?, None),
        Some(_) if delay_s.is_some_and(|delay_s| delay_s > 0) => {
            return Err(invalid("messages of FIFO queues have no delay of their own"));
        }
        Some(fifo) => {
            let of_content = || fifo.content_deduplication.then(|| content_deduplication(&body));
            (None, deduplication.or_else(of_content))
        }
    };
    let sender = SENDER.to_owned();
    let attributes = attributes.into_iter().map(attribute).collect();
    Ok(NewMessage { body, attributes, trace_header: None, sender, delay_s, group, deduplication })
}

fn invalid(text: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::InvalidRequest, text)
}

fn check_delay(delay_s: Option<u32>) -> Result<Option<u32>, Failure> {
    match delay_s.filter(|delay_s| *delay_s > MESSAGE_DELAY_S_MAX) {
        None => Ok(delay_s),
        Some(delay_s) => {
            let text = format!("a delay of {delay_s} s is over the limit of {MESSAGE_DELAY_S_MAX} s");
            Err(invalid(text).with_limit(delay_s.into(), MESSAGE_DELAY_S_MAX.into()))
        }
    }
}

fn id_of(what: &str, bytes: &[u8]) -> Result<Option<String>, Failure> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(bytes).ok().filter(|text| is_fifo_id(text));
    let text = text.ok_or_else(|| invalid(format!("a {what} has 1 to 128 printable ASCII characters")))?;
    Ok(Some(text.to_owned()))
}

fn read_attributes(bytes: Bytes) -> Result<Vec<MessageAttribute>, Failure> {
    let attributes = decode_attributes(bytes).map_err(|error| invalid(error.to_string()))?;
    let is_told = |attribute: &MessageAttribute| match &attribute.value {
        MessageAttributeValue::Text(text) => text.chars().all(is_plain),
        MessageAttributeValue::Binary(_) => true,
    };
    match attributes.iter().find(|attribute| !is_told(attribute)) {
        Some(attribute) => {
            Err(invalid(format!("the text of attribute {} has control characters", attribute.name)))
        }
        None => Ok(attributes),
    }
}

fn counted_bytes(attribute: &MessageAttribute) -> u64 {
    attribute.counted_bytes() as u64
}

fn attribute(attribute: MessageAttribute) -> Attribute {
    let MessageAttribute { name, data_type, value } = attribute;
    let value = match value {
        MessageAttributeValue::Text(text) => AttributeValue::Text(text),
        MessageAttributeValue::Binary(bytes) => AttributeValue::Binary(bytes),
    };
    Attribute { name, data_type, value }
}
