//! SendMessage and SendMessageBatch in JSON as most clients send them: read and answered without a tree of values, the bodies where they lie.
//!
//! Only what is wholly in order and has nothing but a body goes this way; attributes, groups, delays and whatever is wrong go the way of all other operations,
//! which knows what to say about it.

use std::sync::Arc;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, SeqAccess, Visitor};

use super::super::hexadecimal::uuid;
use super::super::json::JsonOutput;
use super::super::message::JSON_1_0;
use super::super::output::Output;
use super::super::structure::Structure;
use super::super::text::Text;
use super::super::value::Value;
use super::super::{Answer, Encoding};
use super::attributes::is_body;
use super::batch::{self, is_id};
use super::call::Call;
use super::error::send_fault;
use super::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX};
use super::send::sender;
use super::{digest, refuse, success};
use crate::service::queue::{Definition, NewMessage, SendError, Sent};

/// Bytes of an answer for each message, about.
const MESSAGE_ANSWER_BYTES: usize = 160;

/// Messages that can be sent as they are.
pub(super) struct Plain<'b> {
    queue: Arc<Definition>,
    /// What entries of a batch are called; nothing for a message alone.
    ids: Option<Vec<Text<'b>>>,
    bodies: Vec<Bytes>,
}

/// The input of a batch.
#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Batch<'b> {
    #[serde(borrow)]
    queue_url: Option<Text<'b>>,
    #[serde(borrow)]
    entries: Option<Entries<'b>>,
}

/// A message alone, or an entry of a batch, with what it must not have here.
#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Message<'b> {
    #[serde(borrow)]
    queue_url: Option<Text<'b>>,
    #[serde(borrow)]
    id: Option<Text<'b>>,
    #[serde(borrow)]
    message_body: Option<Text<'b>>,
    delay_seconds: Option<IgnoredAny>,
    message_attributes: Option<IgnoredAny>,
    message_system_attributes: Option<IgnoredAny>,
    message_deduplication_id: Option<IgnoredAny>,
    message_group_id: Option<IgnoredAny>,
}

/// As many entries as a call may have.
struct Entries<'b>(Vec<Message<'b>>);

impl<'b> Plain<'b> {
    /// The messages of a call of this operation, if it is one of the two and all is in order.
    pub(super) fn read(call: Call<'_>, operation: &str, body: &'b Bytes) -> Option<Self> {
        let (url, messages, is_batch) = parse(operation, body)?;
        let queue = call.queue_of_url(&url.0).ok().filter(|queue| !queue.is_fifo())?;
        let (mut ids, mut bodies, mut bytes): (Vec<Text<'_>>, Vec<Bytes>, usize) = Default::default();
        for message in messages {
            let text = message.plain_body()?;
            bytes += text.0.len();
            if text.0.len() > queue.settings.message_bytes_max as usize {
                return None;
            }
            if is_batch {
                let id = message.id.filter(|id| is_id(&id.0) && !ids.contains(id))?;
                ids.push(id);
            }
            bodies.push(match text.0 {
                std::borrow::Cow::Borrowed(text) => body.slice_ref(text.as_bytes()),
                std::borrow::Cow::Owned(text) => Bytes::from(text),
            });
        }
        let fits = !bodies.is_empty() && bytes <= BATCH_BYTES_MAX;
        fits.then_some(Self { queue, ids: is_batch.then_some(ids), bodies })
    }

    /// Sends them, and answers when they are durable.
    pub(super) async fn send(self, call: Call<'_>) -> Answer {
        let bodies: Vec<&[u8]> = self.bodies.iter().map(AsRef::as_ref).collect();
        let digests = digest::of_bodies(&bodies);
        let message = |body: Bytes| NewMessage {
            body,
            attributes: Vec::new(),
            trace_header: None,
            sender: sender(call.caller),
            delay_s: None,
            group: None,
            deduplication: None,
        };
        let messages = self.bodies.into_iter().map(message).collect();
        let sent = call.core().send_messages(self.queue.id, messages).await;
        let Some(ids) = self.ids else {
            let sent = sent.into_iter().next().unwrap_or(Err(SendError::Closing));
            return match sent {
                Ok(sent) => alone(&digests.concat(), sent),
                Err(error) => refuse(Encoding::Json, &send_fault(&error)),
            };
        };
        let fates: Vec<Fate<'_>> = ids.into_iter().zip(digests).zip(sent).collect();
        if fates.iter().all(|(_, sent)| sent.is_ok()) {
            return together(&fates);
        }
        let told = fates.into_iter().map(|((id, digest), sent)| {
            let value = |sent: Sent| {
                Value::structure([
                    ("MD5OfMessageBody", Value::text(digest)),
                    ("MessageId", Value::text(uuid(sent.id.0))),
                ])
            };
            (id.0.into_owned(), sent.map(value).map_err(|error| send_fault(&error)))
        });
        success(Encoding::Json, &batch::answer(told.collect()))
    }
}

/// The queue's URL and the messages of a call, and whether they are a batch.
fn parse<'b>(operation: &str, body: &'b [u8]) -> Option<(Text<'b>, Vec<Message<'b>>, bool)> {
    match operation {
        "SendMessage" => {
            let Structure(mut message): Structure<Message<'_>> = serde_json::from_slice(body).ok()?;
            Some((message.queue_url.take()?, vec![message], false))
        }
        "SendMessageBatch" => {
            let Structure(batch): Structure<Batch<'_>> = serde_json::from_slice(body).ok()?;
            Some((batch.queue_url?, batch.entries?.0, true))
        }
        _ => None,
    }
}

impl<'b> Message<'b> {
    /// The body, if there is nothing else.
    fn plain_body(&self) -> Option<Text<'b>> {
        let others = [
            &self.delay_seconds,
            &self.message_attributes,
            &self.message_system_attributes,
            &self.message_deduplication_id,
            &self.message_group_id,
        ];
        let body = self.message_body.as_ref().filter(|body| is_body(&body.0))?;
        others.iter().all(|other| other.is_none()).then(|| body.clone())
    }
}

fn alone(digest: &str, sent: Sent) -> Answer {
    let mut out = JsonOutput::with_capacity(MESSAGE_ANSWER_BYTES);
    out.begin_structure(2);
    put(&mut out, digest, sent);
    out.end_structure();
    answer(out)
}

/// What became of an entry, with its id and its body's digest.
type Fate<'b> = ((Text<'b>, String), Result<Sent, SendError>);

fn together(fates: &[Fate<'_>]) -> Answer {
    let mut out = JsonOutput::with_capacity(64 + fates.len() * MESSAGE_ANSWER_BYTES);
    out.begin_structure(2);
    out.name("Successful");
    out.begin_list(fates.len());
    for ((id, digest), sent) in fates {
        let Ok(sent) = sent else { continue };
        out.begin_structure(3);
        put(&mut out, digest, *sent);
        out.name("Id");
        out.text(&id.0);
        out.end_structure();
    }
    out.end_list();
    out.name("Failed");
    out.begin_list(0);
    out.end_list();
    out.end_structure();
    answer(out)
}

fn put(out: &mut JsonOutput, digest: &str, sent: Sent) {
    out.name("MD5OfMessageBody");
    out.text(digest);
    out.name("MessageId");
    out.text(&uuid(sent.id.0));
}

fn answer(out: JsonOutput) -> Answer {
    Answer { content_type: JSON_1_0, ..Answer::success(Encoding::Json, out.finish()) }
}

impl<'de: 'b, 'b> Deserialize<'de> for Entries<'b> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Bounded;

        impl<'de> Visitor<'de> for Bounded {
            type Value = Entries<'de>;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a list of messages")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(Structure(entry)) = items.next_element()? {
                    if entries.len() >= BATCH_ENTRIES_MAX {
                        return Err(A::Error::custom("too many messages"));
                    }
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        reader.deserialize_seq(Bounded)
    }
}

#[cfg(test)]
mod tests;
