//! The bytes of a queue in the log: a message, and an event of the journal. Both are CBOR arrays (RFC 8949).
//!
//! `docs/format/queue.md` draws the layout. Whatever the bytes are, decoding returns a value or a typed error; it never panics, and takes no more memory than the bytes
//! do. Leaves out the record batches and entries around them.

use bytes::Bytes;
use minicbor::decode::Error;
use minicbor::{Decoder, Encoder};
use tidemill_wire::Timestamp;

use super::attempts::Attempt;
use super::journal::{Entry, Event, Kept, Passed, Phase};
use super::message::{Attribute, AttributeValue, Message, MessageId, NewMessage};

/// Version of messages and of events.
pub(super) const VERSION: u8 = 1;
/// A run of messages in one event is no longer than a receive looks.
const RUN_MAX: u64 = 1_200_000;

/// Why bytes are not a message or an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FormatError {
    /// They are no such array.
    #[error("{what} cannot be read: {reason}")]
    Malformed {
        /// What was to be read.
        what: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// Another version of the server wrote it.
    #[error("{what} has version {found}, which this server does not know")]
    Version {
        /// What was to be read.
        what: &'static str,
        /// The version.
        found: u8,
    },
    /// A field has a value that it cannot have.
    #[error("{what} has {field} {found}, which cannot be")]
    Impossible {
        /// What was to be read.
        what: &'static str,
        /// The field.
        field: &'static str,
        /// Its value.
        found: u64,
    },
}

/// Encoding into memory does not fail.
pub(super) type Out = Encoder<Vec<u8>>;
pub(super) type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

pub(super) fn written(bytes: usize, fill: impl FnOnce(&mut Out) -> Written) -> Vec<u8> {
    let mut out = Encoder::new(Vec::with_capacity(bytes));
    fill(&mut out).expect("memory takes what is written");
    out.into_writer()
}

/// A message without its group, which is its record's key.
pub(super) fn encode_message(message: &Message) -> Vec<u8> {
    let content = &message.content;
    let bytes = content.body.len() + content.attributes.iter().map(attribute_bytes).sum::<usize>();
    written(bytes + 128, |out| {
        out.array(10)?.u8(VERSION)?.bytes(&message.id.0)?.u64(message.sent.0)?.str(&content.sender)?;
        match content.delay_s {
            None => out.null()?,
            Some(delay) => out.u32(delay)?,
        };
        for text in [&content.deduplication, &content.trace_header, &message.dead_letter_source] {
            match text {
                None => out.null()?,
                Some(text) => out.str(text)?,
            };
        }
        out.array(content.attributes.len() as u64)?;
        for Attribute { name, data_type, value } in &content.attributes {
            out.array(3)?.str(name)?.str(data_type)?;
            match value {
                AttributeValue::Text(text) => out.str(text)?,
                AttributeValue::Binary(bytes) => out.bytes(bytes)?,
            };
        }
        out.bytes(&content.body)?;
        Ok(())
    })
}

fn attribute_bytes(attribute: &Attribute) -> usize {
    let value = match &attribute.value {
        AttributeValue::Text(text) => text.len(),
        AttributeValue::Binary(bytes) => bytes.len(),
    };
    attribute.name.len() + attribute.data_type.len() + value + 16
}

/// Reads a message; its body and binary attributes are slices of `data`. `key` is its record's key.
pub(super) fn decode_message(key: &[u8], data: &Bytes) -> Result<Message, FormatError> {
    let what = "message";
    let group = (!key.is_empty()).then(|| std::str::from_utf8(key).map(str::to_owned)).transpose();
    let group = group.map_err(|error| FormatError::Malformed { what, reason: format!("group: {error}") })?;
    let mut reader = Reader::new(what, data);
    reader.array(10)?;
    reader.version()?;
    let id = reader.take(Decoder::bytes)?;
    let id = <[u8; 16]>::try_from(id).map_err(|_| reader.impossible("bytes of an id", id.len() as u64))?;
    let sent = Timestamp(reader.take(Decoder::u64)?);
    let sender = reader.take(Decoder::str)?.to_owned();
    let delay_s = reader.optional(Decoder::u32)?;
    let mut text = || Ok::<_, FormatError>(reader.optional(Decoder::str)?.map(str::to_owned));
    let (deduplication, trace_header, dead_letter_source) = (text()?, text()?, text()?);
    let count = reader.count(4)?;
    let mut attributes = Vec::with_capacity(count);
    for _ in 0..count {
        reader.array(3)?;
        let (name, data_type) =
            (reader.take(Decoder::str)?.to_owned(), reader.take(Decoder::str)?.to_owned());
        let value = match reader.take(|decoder| decoder.datatype())? {
            minicbor::data::Type::String => AttributeValue::Text(reader.take(Decoder::str)?.to_owned()),
            _ => AttributeValue::Binary(data.slice_ref(reader.take(Decoder::bytes)?)),
        };
        attributes.push(Attribute { name, data_type, value });
    }
    let body = data.slice_ref(reader.take(Decoder::bytes)?);
    reader.end()?;
    let content = NewMessage { body, attributes, trace_header, sender, delay_s, group, deduplication };
    Ok(Message { id: MessageId(id), sent, dead_letter_source, content })
}

/// What a receive needs of a message to look at it: when it was sent, and its own delay in seconds.
pub(super) fn decode_times(data: &[u8]) -> Result<(Timestamp, Option<u32>), FormatError> {
    let mut reader = Reader::new("message", data);
    reader.array(10)?;
    reader.version()?;
    reader.take(Decoder::bytes)?;
    let sent = Timestamp(reader.take(Decoder::u64)?);
    reader.take(Decoder::str)?;
    Ok((sent, reader.optional(Decoder::u32)?))
}

/// An event of the journal.
pub(super) fn encode_event(event: &Event) -> Vec<u8> {
    written(128, |out| match event {
        Event::Received { at, until, from, cursor, passed, picked, moving, attempt } => {
            out.array(if attempt.is_some() { 10 } else { 9 })?
                .u8(VERSION)?
                .u8(1)?
                .u64(at.0)?
                .u64(until.0)?
                .u64(*from)?
                .u64(*cursor)?;
            out.array(passed.len() as u64)?;
            for run in passed {
                out.array(4)?.u64(run.first)?.u64(run.count)?.u64(run.due.0)?.u64(run.group)?;
            }
            numbers(out, picked)?;
            numbers(out, moving)?;
            attempt.as_ref().map_or(Ok(()), |attempt| out.str(attempt)?.ok())
        }
        Event::Deleted(messages) => {
            out.array(3)?.u8(VERSION)?.u8(2)?;
            numbers(out, messages)
        }
        Event::Hidden(changes) => {
            out.array(3)?.u8(VERSION)?.u8(3)?.array(changes.len() as u64)?;
            for (sequence, until) in changes {
                out.array(2)?.u64(*sequence)?.u64(until.0)?;
            }
            Ok(())
        }
        Event::Purged { below } => out.array(3)?.u8(VERSION)?.u8(4)?.u64(*below)?.ok(),
        Event::Begun { cursor } => out.array(3)?.u8(VERSION)?.u8(7)?.u64(*cursor)?.ok(),
        Event::Ended => out.array(2)?.u8(VERSION)?.u8(8)?.ok(),
        Event::Waiting(runs) => {
            out.array(3)?.u8(VERSION)?.u8(10)?.array(runs.len() as u64)?;
            for run in runs {
                out.array(3)?.u64(run.first)?.u64(run.count)?.u64(run.group)?;
            }
            Ok(())
        }
        Event::Attempted(attempts) => {
            out.array(3)?.u8(VERSION)?.u8(9)?.array(attempts.len() as u64)?;
            for Attempt { name, at, picked } in attempts {
                out.array(3)?.str(name)?.u64(at.0)?.array(picked.len() as u64)?;
                for (sequence, receives) in picked {
                    out.array(2)?.u64(*sequence)?.u32(*receives)?;
                }
            }
            Ok(())
        }
        Event::Snapshot { cursor, messages } => {
            out.array(4)?.u8(VERSION)?.u8(5)?.u64(*cursor)?.u64(*messages)?.ok()
        }
        Event::Kept(kept) => {
            out.array(3)?.u8(VERSION)?.u8(6)?.array(kept.len() as u64)?;
            kept.iter().try_for_each(|kept| write_kept(out, kept))
        }
    })
}

pub(super) fn write_kept(out: &mut Out, Kept { sequence, entry }: &Kept) -> Written {
    let (phase, until) = match entry.phase {
        Phase::Ready => (0, 0),
        Phase::InFlight(until) => (1, until.0),
        Phase::Delayed(due) => (2, due.0),
        Phase::Moving(until) => (3, until.0),
    };
    out.array(7)?.u64(*sequence)?.u8(phase)?.u64(until)?.u64(entry.group)?.u32(entry.receives)?;
    out.u64(entry.first_received.0)?.u64(entry.received.0)?.ok()
}

pub(super) fn numbers(out: &mut Out, numbers: &[u64]) -> Written {
    out.array(numbers.len() as u64)?;
    for number in numbers {
        out.u64(*number)?;
    }
    Ok(())
}

/// Reads an event of the journal.
pub(super) fn decode_event(bytes: &[u8]) -> Result<Event, FormatError> {
    let mut reader = Reader::new("event", bytes);
    let fields = reader.take(Decoder::array)?;
    reader.version()?;
    let kind = reader.take(Decoder::u8)?;
    let event = match (kind, fields) {
        (1, Some(9 | 10)) => Event::Received {
            at: Timestamp(reader.take(Decoder::u64)?),
            until: Timestamp(reader.take(Decoder::u64)?),
            from: reader.take(Decoder::u64)?,
            cursor: reader.take(Decoder::u64)?,
            passed: reader.runs()?,
            picked: reader.list(1, |reader| reader.take(Decoder::u64))?,
            moving: reader.list(1, |reader| reader.take(Decoder::u64))?,
            attempt: match fields {
                Some(10) => Some(reader.take(Decoder::str)?.to_owned()),
                _ => None,
            },
        },
        (2, Some(3)) => Event::Deleted(reader.list(1, |reader| reader.take(Decoder::u64))?),
        (3, Some(3)) => Event::Hidden(reader.list(3, |reader| {
            reader.array(2)?;
            Ok((reader.take(Decoder::u64)?, Timestamp(reader.take(Decoder::u64)?)))
        })?),
        (4, Some(3)) => Event::Purged { below: reader.take(Decoder::u64)? },
        (5, Some(4)) => {
            Event::Snapshot { cursor: reader.take(Decoder::u64)?, messages: reader.take(Decoder::u64)? }
        }
        (6, Some(3)) => Event::Kept(reader.list(8, Reader::kept)?),
        (7, Some(3)) => Event::Begun { cursor: reader.take(Decoder::u64)? },
        (8, Some(2)) => Event::Ended,
        (9, Some(3)) => Event::Attempted(reader.list(4, Reader::attempt)?),
        (10, Some(3)) => Event::Waiting(reader.list(4, Reader::waiting)?),
        (kind, _) => return Err(reader.impossible("kind", u64::from(kind))),
    };
    reader.end()?;
    Ok(event)
}

/// Reads item by item.
pub(super) struct Reader<'b> {
    what: &'static str,
    decoder: Decoder<'b>,
}

impl<'b> Reader<'b> {
    pub(super) fn new(what: &'static str, bytes: &'b [u8]) -> Self {
        Self { what, decoder: Decoder::new(bytes) }
    }

    pub(super) fn take<T>(
        &mut self,
        read: impl FnOnce(&mut Decoder<'b>) -> Result<T, Error>,
    ) -> Result<T, FormatError> {
        let what = self.what;
        read(&mut self.decoder).map_err(|error| FormatError::Malformed { what, reason: error.to_string() })
    }

    pub(super) fn impossible(&self, field: &'static str, found: u64) -> FormatError {
        FormatError::Impossible { what: self.what, field, found }
    }

    pub(super) fn array(&mut self, expected: u64) -> Result<(), FormatError> {
        match self.take(Decoder::array)? {
            Some(found) if found == expected => Ok(()),
            found => Err(self.impossible("fields", found.unwrap_or(u64::MAX))),
        }
    }

    pub(super) fn version(&mut self) -> Result<(), FormatError> {
        match self.take(Decoder::u8)? {
            VERSION => Ok(()),
            found => Err(FormatError::Version { what: self.what, found }),
        }
    }

    fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Decoder<'b>) -> Result<T, Error>,
    ) -> Result<Option<T>, FormatError> {
        if self.take(|decoder| decoder.datatype())? == minicbor::data::Type::Null {
            self.take(Decoder::null)?;
            return Ok(None);
        }
        self.take(read).map(Some)
    }

    /// How many items an array has, each of so many bytes at least: no more than there are bytes for.
    fn count(&mut self, bytes_min: usize) -> Result<usize, FormatError> {
        let count = self.take(Decoder::array)?.unwrap_or(u64::MAX);
        let left = self.decoder.input().len() - self.decoder.position();
        match usize::try_from(count).ok().filter(|count| *count <= left / bytes_min) {
            Some(count) => Ok(count),
            None => Err(self.impossible("items", count)),
        }
    }

    pub(super) fn list<T>(
        &mut self,
        bytes_min: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, FormatError>,
    ) -> Result<Vec<T>, FormatError> {
        let count = self.count(bytes_min)?;
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(read(self)?);
        }
        Ok(items)
    }

    /// Runs of messages, no more in all than a receive looks at.
    fn runs(&mut self) -> Result<Vec<Passed>, FormatError> {
        let runs = self.list(5, Self::passed)?;
        let messages = runs.iter().fold(0_u64, |sum, run| sum.saturating_add(run.count));
        if messages > RUN_MAX {
            return Err(self.impossible("messages of all runs", messages));
        }
        Ok(runs)
    }

    fn passed(&mut self) -> Result<Passed, FormatError> {
        self.array(4)?;
        let (first, count) = (self.take(Decoder::u64)?, self.take(Decoder::u64)?);
        if count == 0 || count > RUN_MAX || first.checked_add(count).is_none() {
            return Err(self.impossible("messages of a run", count));
        }
        let due = Timestamp(self.take(Decoder::u64)?);
        Ok(Passed { first, count, due, group: self.take(Decoder::u64)? })
    }

    pub(super) fn kept(&mut self) -> Result<Kept, FormatError> {
        self.array(7)?;
        let sequence = self.take(Decoder::u64)?;
        let (phase, until) = (self.take(Decoder::u8)?, Timestamp(self.take(Decoder::u64)?));
        let phase = match phase {
            0 => Phase::Ready,
            1 => Phase::InFlight(until),
            2 => Phase::Delayed(until),
            3 => Phase::Moving(until),
            other => return Err(self.impossible("phase", u64::from(other))),
        };
        let (group, receives) = (self.take(Decoder::u64)?, self.take(Decoder::u32)?);
        let first_received = Timestamp(self.take(Decoder::u64)?);
        let received = Timestamp(self.take(Decoder::u64)?);
        Ok(Kept { sequence, entry: Entry { phase, group, receives, first_received, received } })
    }

    fn waiting(&mut self) -> Result<Passed, FormatError> {
        self.array(3)?;
        let (first, count) = (self.take(Decoder::u64)?, self.take(Decoder::u64)?);
        if count == 0 || first.checked_add(count).is_none() {
            return Err(self.impossible("messages of a run", count));
        }
        Ok(Passed { first, count, due: Timestamp(0), group: self.take(Decoder::u64)? })
    }

    fn attempt(&mut self) -> Result<Attempt, FormatError> {
        self.array(3)?;
        let (name, at) = (self.take(Decoder::str)?.to_owned(), Timestamp(self.take(Decoder::u64)?));
        let picked = self.list(3, |reader| {
            reader.array(2)?;
            Ok((reader.take(Decoder::u64)?, reader.take(Decoder::u32)?))
        })?;
        Ok(Attempt { name, at, picked })
    }

    /// Refuses bytes behind the value.
    pub(super) fn end(&self) -> Result<(), FormatError> {
        match self.decoder.input().len() - self.decoder.position() {
            0 => Ok(()),
            bytes => Err(self.impossible("bytes behind its end", bytes as u64)),
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
