//! A message: as it is sent, and as it lies in the log and is received.

use std::borrow::Cow;
use std::fmt::Write;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tidemill_wire::Timestamp;
use tidemill_wire::limits::MESSAGE_GROUP_BYTES_MAX;

/// Names a message for ever: what AWS shows as a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(pub [u8; 16]);

/// A message that is to be sent. Its bounds were checked by whoever took it from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// What its consumers get.
    pub body: Bytes,
    /// Typed values beside the body, in the order in which they were given.
    pub attributes: Vec<Attribute>,
    /// Of AWS X-Ray.
    pub trace_header: Option<String>,
    /// Who sent it.
    pub sender: String,
    /// How many seconds it is hidden, if it is not what the queue says; never given for a FIFO queue.
    pub delay_s: Option<u32>,
    /// The group that it belongs to: always given for a FIFO queue.
    pub group: Option<String>,
    /// Tells one that was sent twice: always given for a FIFO queue, of its body's hash where that is asked for, and for no other.
    pub deduplication: Option<String>,
}

/// A typed value beside the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// `String`, `Number` or `Binary`, and after a dot what its users call it.
    pub data_type: String,
    /// What it is.
    pub value: AttributeValue,
}

/// What an attribute is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// Of String and Number.
    Text(String),
    /// Of Binary.
    Binary(Bytes),
}

/// A message that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its name.
    pub id: MessageId,
    /// When it was sent; where it was moved to another queue, when it was sent to the first one.
    pub sent: Timestamp,
    /// The queue it was moved from as one that was received too often.
    pub dead_letter_source: Option<String>,
    /// What was sent.
    pub content: NewMessage,
}

/// Which of so many partitions has a group of a FIFO queue: always the same.
#[must_use]
pub fn partition_of(group: &str, partitions: usize) -> u16 {
    u16::try_from(group_of(group.as_bytes()) % (partitions as u64).max(1)).unwrap_or(0)
}

/// Whether all protocols can tell a character: those that XML 1.0 has.
#[must_use]
pub fn is_plain(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Bytes as a text that all protocols can tell: what is none, or has characters that some cannot, is replaced.
#[must_use]
pub fn plain_text(bytes: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(bytes);
    if text.chars().all(is_plain) {
        return text;
    }
    let plain = |character| if is_plain(character) { character } else { char::REPLACEMENT_CHARACTER };
    Cow::Owned(text.chars().map(plain).collect())
}

/// Whether a text may be the id of a group, of deduplication or of an attempt to receive, as in
/// [SQS](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html).
#[must_use]
pub fn is_fifo_id(text: &str) -> bool {
    (1..=MESSAGE_GROUP_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The deduplication id of a message whose body tells it from others: its SHA-256, in hexadecimal digits.
#[must_use]
pub fn content_deduplication(body: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(body) {
        write!(text, "{byte:02x}").expect("a string takes all that is written to it");
    }
    text
}

/// Stands for a group in the journal: the first bytes of its name's SHA-256, and never 0, which is no group.
pub(super) fn group_of(name: &[u8]) -> u64 {
    if name.is_empty() {
        return 0;
    }
    let digest = Sha256::digest(name);
    let first = digest.first_chunk::<8>().expect("a digest has 32 bytes");
    u64::from_le_bytes(*first).max(1)
}

/// The first half of the SHA-256 of what something is and two texts of it, which are told apart.
pub(super) fn hash(kind: &[u8], first: &[u8], second: &[u8]) -> [u8; 16] {
    let mut hasher = Sha256::new();
    for part in [kind, first, second] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let digest = hasher.finalize();
    *digest.first_chunk().expect("a digest has 32 bytes")
}
