//! Attributes of a queue's messages: typed values beside the body, as they lie in a frame.
//!
//! They are those of [SQS](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html), so a message that was sent by one protocol can be
//! received by the other. `docs/protocol/native.md` draws the bytes. Decoding copies no value.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::limits::{MESSAGE_ATTRIBUTE_NAME_BYTES_MAX, MESSAGE_ATTRIBUTES_MAX};

/// Bytes before an attribute's name: the kind of its value, and the lengths of name, type and value.
const HEAD_BYTES: usize = 9;
const TEXT: u8 = 0;
const BINARY: u8 = 1;

/// A typed value beside a message's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageAttribute {
    /// Its name: letters, digits, `_`, `-`, and `.` neither first, last nor twice in succession.
    pub name: String,
    /// `String`, `Number` or `Binary`, and after a dot what its users call it.
    pub data_type: String,
    /// What it is.
    pub value: MessageAttributeValue,
}

/// What an attribute is. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageAttributeValue {
    /// Of String and Number.
    Text(String),
    /// Of Binary.
    Binary(Bytes),
}

/// Why bytes are no attributes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributesError {
    /// There are too many.
    #[error("a message has more than {limit} attributes")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The bytes end within an attribute.
    #[error("attribute {index} takes {needed} bytes, and {left} are left")]
    Short {
        /// Which one, counted from 0.
        index: usize,
        /// Bytes that it takes.
        needed: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// A field of one cannot be so.
    #[error("attribute {index}: {reason}")]
    Invalid {
        /// Which one, counted from 0.
        index: usize,
        /// What is wrong.
        reason: &'static str,
    },
}

impl MessageAttribute {
    /// Bytes that it counts for in a message's size: name, type and value.
    #[must_use]
    pub fn counted_bytes(&self) -> usize {
        let value = match &self.value {
            MessageAttributeValue::Text(text) => text.len(),
            MessageAttributeValue::Binary(bytes) => bytes.len(),
        };
        self.name.len() + self.data_type.len() + value
    }

    /// Why it is none that a message can have, if so.
    fn flaw(&self) -> Option<&'static str> {
        let (name, data_type) = (self.name.as_str(), self.data_type.as_str());
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let has_dots_amiss = name.starts_with('.') || name.ends_with('.') || name.contains("..");
        let lengths = 1..=MESSAGE_ATTRIBUTE_NAME_BYTES_MAX;
        if !lengths.contains(&name.len()) || !name.bytes().all(fits) || has_dots_amiss {
            return Some("its name has a length or characters that are not allowed");
        }
        let (base, label) = data_type.split_once('.').unwrap_or((data_type, "x"));
        if !lengths.contains(&data_type.len()) || label.is_empty() {
            return Some("its type has a length that is not allowed");
        }
        let (is_of_type, is_empty) = match &self.value {
            MessageAttributeValue::Text(text) => (matches!(base, "String" | "Number"), text.is_empty()),
            MessageAttributeValue::Binary(bytes) => (base == "Binary", bytes.is_empty()),
        };
        match (is_of_type, is_empty) {
            (false, _) => Some("its type is not that of its value: String, Number or Binary"),
            (true, true) => Some("its value is empty"),
            (true, false) => None,
        }
    }
}

/// Attributes as a part of a frame's body; nothing for none.
pub fn encode_attributes(attributes: &[MessageAttribute]) -> Result<Bytes, AttributesError> {
    check_count(attributes.len())?;
    let mut out = BytesMut::new();
    for (index, attribute) in attributes.iter().enumerate() {
        let invalid = |reason| AttributesError::Invalid { index, reason };
        if let Some(reason) = attribute.flaw() {
            return Err(invalid(reason));
        }
        let (kind, value) = match &attribute.value {
            MessageAttributeValue::Text(text) => (TEXT, text.as_bytes()),
            MessageAttributeValue::Binary(bytes) => (BINARY, bytes.as_ref()),
        };
        let value_bytes = u32::try_from(value.len()).map_err(|_| invalid("its value is over 4 GiB"))?;
        let length = |text: &str| u16::try_from(text.len()).expect("it was checked to be a name's length");
        out.put_u8(kind);
        out.put_u16_le(length(&attribute.name));
        out.put_u16_le(length(&attribute.data_type));
        out.put_u32_le(value_bytes);
        out.put_slice(attribute.name.as_bytes());
        out.put_slice(attribute.data_type.as_bytes());
        out.put_slice(value);
    }
    Ok(out.freeze())
}

/// Reads attributes; binary values are slices of `bytes`.
pub fn decode_attributes(mut bytes: Bytes) -> Result<Vec<MessageAttribute>, AttributesError> {
    let mut attributes = Vec::new();
    while !bytes.is_empty() {
        check_count(attributes.len() + 1)?;
        let (index, left) = (attributes.len(), bytes.len());
        let short = |needed| AttributesError::Short { index, needed, left };
        let invalid = |reason| AttributesError::Invalid { index, reason };
        if left < HEAD_BYTES {
            return Err(short(HEAD_BYTES));
        }
        let (kind, name, data_type) = (bytes.get_u8(), bytes.get_u16_le(), bytes.get_u16_le());
        let value = bytes.get_u32_le() as usize;
        let (name, data_type) = (usize::from(name), usize::from(data_type));
        let needed = HEAD_BYTES.saturating_add(name).saturating_add(data_type).saturating_add(value);
        if needed > left {
            return Err(short(needed));
        }
        let text = |bytes: Bytes| {
            let text = std::str::from_utf8(&bytes).map(str::to_owned);
            text.map_err(|_| invalid("a text of it is not UTF-8"))
        };
        let (name, data_type) = (text(bytes.split_to(name))?, text(bytes.split_to(data_type))?);
        let value = bytes.split_to(value);
        let value = match kind {
            TEXT => MessageAttributeValue::Text(text(value)?),
            BINARY => MessageAttributeValue::Binary(value),
            _ => return Err(invalid("the kind of its value is not known")),
        };
        let attribute = MessageAttribute { name, data_type, value };
        if let Some(reason) = attribute.flaw() {
            return Err(invalid(reason));
        }
        if attributes.iter().any(|known: &MessageAttribute| known.name == attribute.name) {
            return Err(invalid("another one has its name"));
        }
        attributes.push(attribute);
    }
    Ok(attributes)
}

fn check_count(count: usize) -> Result<(), AttributesError> {
    let limit = MESSAGE_ATTRIBUTES_MAX;
    if count > limit { Err(AttributesError::TooMany { limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
