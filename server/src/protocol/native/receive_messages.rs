//! Receives messages of a queue, at once or as soon as there are any.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tidemill_wire::RequestId;
use tidemill_wire::attributes::{MessageAttribute, MessageAttributeValue, encode_attributes};
use tidemill_wire::limits::{QUEUE_BATCH_MESSAGES_MAX, RECEIVE_WAIT_MS_MAX};
use tidemill_wire::message::{
    ErrorCode, Failure, MessageId, MessageReceipt, ReceiveMessages, ReceivedMessage, ResponseBody,
};

use super::connection::{Connection, Ticket};
use super::limits::MESSAGE_VISIBILITY_S_MAX;
use super::message_error::receive_failure;
use crate::service::queue::{Attribute, AttributeValue, Receipt, Receive, Received, is_fifo_id};
use crate::shard::Core;

/// Begins to receive, and answers when there are messages, or none after all.
pub(super) fn begin(mut ticket: Ticket, asked: ReceiveMessages) {
    let wait = Duration::from_millis(asked.wait_ms.min(RECEIVE_WAIT_MS_MAX).into());
    let core = Rc::clone(ticket.connection.core());
    let checked = check_count(asked.messages_max).and_then(|()| check_visibility(asked.visibility_s));
    let visibility = match checked.and_then(|visibility| check_attempt(&core, &asked).map(|()| visibility)) {
        Ok(visibility) => visibility,
        Err(failure) => return ticket.settle(Err(failure)),
    };
    let ReceiveMessages { queue, messages_max, attempt, .. } = asked;
    let receive = Receive { queue, messages_max, visibility, wait, attempt };
    core.clone().spawn(async move {
        if !wait.is_zero() {
            ticket.wait();
        }
        let connection = Rc::clone(&ticket.connection);
        connection.room().await;
        // Only the wait is given up when the peer goes: what is being received is delivered.
        let received = core.receive_messages_until(receive, connection.ended.wait()).await;
        // Others have delivered meanwhile.
        connection.room().await;
        match received {
            Ok(received) => deliver(&connection, ticket.id, &received),
            Err(error) => ticket.settle(Err(receive_failure(&error))),
        }
    });
}

/// How many messages may be asked for at once.
pub(super) fn check_count(count: u32) -> Result<(), Failure> {
    if (1..=QUEUE_BATCH_MESSAGES_MAX).contains(&count) {
        return Ok(());
    }
    let text = format!("{count} messages at once are not from 1 to {QUEUE_BATCH_MESSAGES_MAX}");
    let limit = QUEUE_BATCH_MESSAGES_MAX.into();
    Err(Failure::new(ErrorCode::InvalidRequest, text).with_limit(count.into(), limit))
}

/// Whether an attempt may be named so, and in that queue.
fn check_attempt(core: &Core, asked: &ReceiveMessages) -> Result<(), Failure> {
    let Some(attempt) = &asked.attempt else { return Ok(()) };
    if !is_fifo_id(attempt) {
        let text = "an attempt's name has 1 to 128 printable ASCII characters";
        let bytes = u64::try_from(attempt.len()).unwrap_or(u64::MAX);
        return Err(Failure::new(ErrorCode::InvalidRequest, text).with_limit(bytes, 128));
    }
    match core.queue_of(asked.queue) {
        Some(queue) if !queue.is_fifo() => Err(Failure::new(
            ErrorCode::InvalidRequest,
            "only receives of FIFO queues are attempts with names",
        )),
        // Which there is none of, the receive finds out.
        Some(_) | None => Ok(()),
    }
}

/// How long messages may be hidden.
pub(super) fn check_visibility(seconds: Option<u32>) -> Result<Option<Duration>, Failure> {
    match seconds {
        Some(seconds) if seconds > MESSAGE_VISIBILITY_S_MAX => {
            let text =
                format!("a visibility of {seconds} s is over the limit of {MESSAGE_VISIBILITY_S_MAX} s");
            let limit = MESSAGE_VISIBILITY_S_MAX.into();
            Err(Failure::new(ErrorCode::InvalidRequest, text).with_limit(seconds.into(), limit))
        }
        seconds => Ok(seconds.map(|seconds| Duration::from_secs(seconds.into()))),
    }
}

/// Puts messages into the outbox: their numbers as the message, their parts as the log's bytes behind it.
pub(super) fn deliver(connection: &Connection, id: RequestId, received: &[Received]) {
    let mut parts = Vec::with_capacity(received.len());
    let heads = received.iter().map(|received| head(received, &mut parts)).collect();
    connection.deliver(id, ResponseBody::ReceivedMessages(heads), parts);
}

fn head(received: &Received, parts: &mut Vec<Bytes>) -> ReceivedMessage {
    let Received { receipt, message, first_received, .. } = received;
    let content = &message.content;
    let mut text = |text: Option<&String>| {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return 0 };
        parts.push(Bytes::copy_from_slice(text.as_bytes()));
        u16::try_from(text.len()).expect("it was bounded when it was sent")
    };
    let group_bytes = text(content.group.as_ref());
    let deduplication_bytes = text(content.deduplication.as_ref());
    let source_bytes = text(message.dead_letter_source.as_ref());
    let mut part = |bytes: Bytes| {
        let length = u32::try_from(bytes.len()).expect("a message is smaller than a record may be");
        if length > 0 {
            parts.push(bytes);
        }
        length
    };
    let attributes_bytes =
        if content.attributes.is_empty() { 0 } else { part(attributes(&content.attributes)) };
    ReceivedMessage {
        id: MessageId(u128::from_be_bytes(message.id.0)),
        receipt: receipt_of(receipt),
        sent: message.sent,
        first_received: *first_received,
        group_bytes,
        deduplication_bytes,
        source_bytes,
        attributes_bytes,
        body_bytes: part(content.body.clone()),
    }
}

fn receipt_of(receipt: &Receipt) -> MessageReceipt {
    let Receipt { sequence, receives, partition, .. } = *receipt;
    MessageReceipt { sequence, receives, partition }
}

/// Attributes as a part. Those that a protocol with other rules has taken are left out if they cannot be told here.
fn attributes(attributes: &[Attribute]) -> Bytes {
    let all: Vec<MessageAttribute> = attributes
        .iter()
        .map(|attribute| MessageAttribute {
            name: attribute.name.clone(),
            data_type: attribute.data_type.clone(),
            value: match &attribute.value {
                AttributeValue::Text(text) => MessageAttributeValue::Text(text.clone()),
                AttributeValue::Binary(bytes) => MessageAttributeValue::Binary(bytes.clone()),
            },
        })
        .collect();
    encode_attributes(&all).unwrap_or_else(|error| {
        tracing::warn!(%error, "a message's attributes cannot be told and are left out");
        Bytes::new()
    })
}
