//! Messages as callers have them, and as they lie in frames.

use bytes::{Bytes, BytesMut};
use tidemill_wire::Timestamp;
use tidemill_wire::attributes::{AttributesError, MessageAttribute, decode_attributes, encode_attributes};
use tidemill_wire::message::{
    MessageId, MessageParts, MessageReceipt, NewMessage, PartsError, ReceivedMessage,
};

/// A message that is to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// What its consumers get.
    pub body: Bytes,
    /// Typed values beside the body, ten at most.
    pub attributes: Vec<MessageAttribute>,
    /// The group whose order it keeps: of a FIFO queue always, of others as the sender likes.
    pub group: Option<String>,
    /// Tells one that is sent twice, of FIFO queues; not needed where the queue goes by contents.
    pub deduplication: Option<String>,
    /// How many seconds nobody receives it, up to 15 minutes, if it is not what the queue says.
    pub delay_s: Option<u32>,
}

/// A message that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its name.
    pub id: MessageId,
    /// Stands for this receive of it: deletes it, or hides it for longer.
    pub receipt: MessageReceipt,
    /// When it was sent.
    pub sent: Timestamp,
    /// When it was received first.
    pub first_received: Timestamp,
    /// The group whose order it keeps.
    pub group: Option<String>,
    /// What tells one that is sent twice.
    pub deduplication: Option<String>,
    /// The queue that it was moved from as one that was received too often.
    pub dead_letter_source: Option<String>,
    /// Typed values beside the body. Those that this version cannot read are left out.
    pub attributes: Vec<MessageAttribute>,
    /// What was sent.
    pub body: Bytes,
}

impl Outgoing {
    /// A message with a body and nothing else.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }
}

/// The heads and the parts of messages.
pub(super) fn pack(messages: &[Outgoing]) -> Result<(Vec<NewMessage>, Bytes), AttributesError> {
    let mut payload = BytesMut::with_capacity(messages.iter().map(|message| message.body.len() + 64).sum());
    let mut heads = Vec::with_capacity(messages.len());
    for message in messages {
        let attributes = encode_attributes(&message.attributes)?;
        let group = message.group.as_deref().unwrap_or_default();
        let deduplication = message.deduplication.as_deref().unwrap_or_default();
        for part in [group.as_bytes(), deduplication.as_bytes(), &attributes, &message.body] {
            payload.extend_from_slice(part);
        }
        // What is longer than a number can tell is longer than any server takes: it is refused for not adding up.
        heads.push(NewMessage {
            delay_s: message.delay_s,
            group_bytes: u16::try_from(group.len()).unwrap_or(u16::MAX),
            deduplication_bytes: u16::try_from(deduplication.len()).unwrap_or(u16::MAX),
            attributes_bytes: u32::try_from(attributes.len()).unwrap_or(u32::MAX),
            body_bytes: u32::try_from(message.body.len()).unwrap_or(u32::MAX),
        });
    }
    Ok((heads, payload.freeze()))
}

/// The messages of an answer or a push.
pub(super) fn unpack(heads: &[ReceivedMessage], payload: Bytes) -> Result<Vec<Received>, PartsError> {
    let parts = ReceivedMessage::split(heads, payload)?;
    Ok(heads.iter().zip(parts).map(|(head, parts)| received(head, parts)).collect())
}

fn received(head: &ReceivedMessage, parts: MessageParts) -> Received {
    let text = |bytes: Bytes| (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned());
    let attributes = decode_attributes(parts.attributes).unwrap_or_else(|error| {
        tracing::warn!(%error, "a message's attributes cannot be read");
        Vec::new()
    });
    Received {
        id: head.id,
        receipt: head.receipt,
        sent: head.sent,
        first_received: head.first_received,
        group: text(parts.group),
        deduplication: text(parts.deduplication),
        dead_letter_source: text(parts.source),
        attributes,
        body: parts.body,
    }
}
