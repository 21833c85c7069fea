//! Inputs of PutRecord and PutRecords, read without a tree of values: texts and data stay in the body where they can.
//!
//! Whatever is wrong with an input is said by the way that all other operations go, which knows every constraint of the model; so here it is
//! enough to see that something is.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use super::super::base64::{decode_into, decoded_bytes};
use super::super::cbor::CborReader;
use super::super::structure::Structure;
use super::super::text::Text;
use super::super::{Encoding, Fault, Request};
use super::call::StreamNames;
use super::error::invalid;
use super::limits::{KEY_CHARS_MAX, PUT_RECORDS_MAX};
use super::read_named;
use tidemill_wire::routing::HashKey;

/// The input of PutRecord.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct PutRecord<'b> {
    #[serde(borrow)]
    data: Option<Data<'b>>,
    #[serde(borrow)]
    partition_key: Option<Text<'b>>,
    #[serde(borrow)]
    explicit_hash_key: Option<Text<'b>>,
    #[serde(borrow)]
    sequence_number_for_ordering: Option<Text<'b>>,
    #[serde(borrow)]
    stream_name: Option<Text<'b>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'b>>,
    #[serde(borrow)]
    stream_id: Option<Text<'b>>,
    dry_run: Option<bool>,
}

/// The input of PutRecords.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct PutRecords<'b> {
    #[serde(borrow)]
    records: Option<Entries<'b>>,
    #[serde(borrow)]
    stream_name: Option<Text<'b>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'b>>,
    #[serde(borrow)]
    stream_id: Option<Text<'b>>,
    dry_run: Option<bool>,
}

/// A record of PutRecords.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Entry<'b> {
    #[serde(borrow)]
    data: Option<Data<'b>>,
    #[serde(borrow)]
    partition_key: Option<Text<'b>>,
    #[serde(borrow)]
    explicit_hash_key: Option<Text<'b>>,
}

/// As many records as a call may have.
#[derive(Debug, Default)]
struct Entries<'b>(Vec<Entry<'b>>);

/// Data as the encoding has it.
#[derive(Debug)]
enum Data<'b> {
    Base64(Cow<'b, str>),
    Raw(Cow<'b, [u8]>),
}

/// A record whose texts keep to the model.
#[derive(Debug)]
pub(super) struct PutEntry<'b> {
    data: Data<'b>,
    /// The partition key.
    pub(super) key: Cow<'b, str>,
    /// The point that picks the shard in place of the key.
    pub(super) hash: Option<HashKey>,
}

impl PutEntry<'_> {
    /// Bytes of the data. A record of the stream may have so many KiB.
    pub(super) fn data_bytes(&self, kib_max: u32) -> Result<usize, Fault> {
        let bytes = match &self.data {
            Data::Raw(bytes) => bytes.len(),
            Data::Base64(text) => decoded_bytes(text.as_bytes()),
        };
        let (whole, bytes_max) = (bytes + self.key.len(), u64::from(kib_max) << 10);
        if whole as u64 > bytes_max {
            // What is no data at all is no record that is too large.
            self.append_data(&mut Vec::new())?;
            return Err(invalid(format!(
                "A record has {whole} bytes of key and data, the most that this stream takes is {bytes_max}."
            )));
        }
        Ok(bytes)
    }

    /// Appends the data: as many bytes as [`data_bytes`](Self::data_bytes) has told.
    pub(super) fn append_data(&self, out: &mut Vec<u8>) -> Result<(), Fault> {
        match &self.data {
            Data::Raw(bytes) => out.extend_from_slice(bytes),
            Data::Base64(text) => {
                let decoded = decode_into(text.as_bytes(), out);
                decoded.map_err(|error| Fault::serialization(format!("base64: {error}")))?;
            }
        }
        Ok(())
    }
}

impl<'b> PutRecord<'b> {
    /// Reads it from a request.
    pub(super) fn read(request: &'b Request<'_>) -> Result<Self, Fault> {
        let read = match request.encoding {
            Encoding::Json => serde_json::from_slice(&request.body).ok().map(|Structure(read)| read),
            Encoding::Cbor => Self::of_cbor(&request.body).ok(),
        };
        match read.filter(Self::is_whole) {
            Some(read) => Ok(read),
            None => Err(refusal(request, "PutRecord")),
        }
    }

    fn is_whole(&self) -> bool {
        self.data.is_some()
            && is_key(self.partition_key.as_ref())
            && is_hash(self.explicit_hash_key.as_ref())
            && self.sequence_number_for_ordering.as_ref().is_none_or(|number| is_number(&number.0, 129))
            && self.names().is_plausible()
    }

    fn of_cbor(body: &'b [u8]) -> Result<Self, Fault> {
        let mut found = Self::default();
        let mut reader = CborReader::new(body);
        reader.members(|reader, name| {
            match &*name {
                "Data" => found.data = data(reader)?,
                "PartitionKey" => found.partition_key = text(reader)?,
                "ExplicitHashKey" => found.explicit_hash_key = text(reader)?,
                "SequenceNumberForOrdering" => found.sequence_number_for_ordering = text(reader)?,
                "StreamName" => found.stream_name = text(reader)?,
                "StreamARN" => found.stream_arn = text(reader)?,
                "StreamId" => found.stream_id = text(reader)?,
                "DryRun" => found.dry_run = flag(reader)?,
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        reader.end()?;
        Ok(found)
    }

    /// The stream.
    pub(super) fn names(&self) -> StreamNames<'_> {
        names(self.stream_name.as_ref(), self.stream_arn.as_ref(), self.stream_id.as_ref())
    }

    /// Whether only to see if it would succeed.
    pub(super) fn is_dry_run(&self) -> bool {
        self.dry_run == Some(true)
    }

    /// The number that the record's is to be greater than.
    pub(super) fn ordering(&self) -> Option<&str> {
        self.sequence_number_for_ordering.as_ref().map(|number| &*number.0)
    }

    /// The record.
    pub(super) fn take_entry(&mut self) -> Result<PutEntry<'b>, Fault> {
        let (data, key, hash) = (self.data.take(), self.partition_key.take(), self.explicit_hash_key.take());
        entry(None, Entry { data, partition_key: key, explicit_hash_key: hash })
    }
}

impl<'b> PutRecords<'b> {
    /// Reads it from a request.
    pub(super) fn read(request: &'b Request<'_>) -> Result<Self, Fault> {
        let read = match request.encoding {
            Encoding::Json => serde_json::from_slice(&request.body).ok().map(|Structure(read)| read),
            Encoding::Cbor => Self::of_cbor(&request.body).ok(),
        };
        match read.filter(Self::is_whole) {
            Some(read) => Ok(read),
            None => Err(refusal(request, "PutRecords")),
        }
    }

    fn is_whole(&self) -> bool {
        let entries = self.records.as_ref().map_or(&[][..], |records| &records.0);
        let is_entry = |entry: &Entry<'_>| {
            entry.data.is_some()
                && is_key(entry.partition_key.as_ref())
                && is_hash(entry.explicit_hash_key.as_ref())
        };
        !entries.is_empty() && entries.iter().all(is_entry) && self.names().is_plausible()
    }

    fn of_cbor(body: &'b [u8]) -> Result<Self, Fault> {
        let mut found = Self::default();
        let mut reader = CborReader::new(body);
        reader.members(|reader, name| {
            match &*name {
                "Records" => found.records = Some(entries(reader)?),
                "StreamName" => found.stream_name = text(reader)?,
                "StreamARN" => found.stream_arn = text(reader)?,
                "StreamId" => found.stream_id = text(reader)?,
                "DryRun" => found.dry_run = flag(reader)?,
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        reader.end()?;
        Ok(found)
    }

    /// The stream.
    pub(super) fn names(&self) -> StreamNames<'_> {
        names(self.stream_name.as_ref(), self.stream_arn.as_ref(), self.stream_id.as_ref())
    }

    /// Whether only to see if it would succeed.
    pub(super) fn is_dry_run(&self) -> bool {
        self.dry_run == Some(true)
    }

    /// The records.
    pub(super) fn take_entries(&mut self) -> Result<Vec<PutEntry<'b>>, Fault> {
        let entries = self.records.take().unwrap_or_default().0;
        (1..).zip(entries).map(|(at, item)| entry(Some(at), item)).collect()
    }
}

/// Says what is wrong with an input that could not be read here.
fn refusal(request: &Request<'_>, operation: &str) -> Fault {
    match read_named(request, operation) {
        Err(fault) => fault,
        Ok(_) => Fault::serialization("a member is there more than once"),
    }
}

/// The model lets the key be left out for streams that distribute records by themselves, which there are none of here.
fn entry<'b>(at: Option<usize>, entry: Entry<'b>) -> Result<PutEntry<'b>, Fault> {
    let null = |member: &str| {
        let path = at.map_or_else(String::new, |at| format!("records.{at}.member."));
        let text = format!(
            "1 validation error detected: Value null at '{path}{member}' failed to satisfy constraint: Member must not be null"
        );
        Fault::validation(text)
    };
    let data = entry.data.ok_or_else(|| null("data"))?;
    let key = entry.partition_key.ok_or_else(|| null("partitionKey"))?.0;
    let hash = entry.explicit_hash_key.map(|text| {
        text.0.parse().map(HashKey).map_err(|_| {
            invalid(format!(
                "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {}",
                text.0
            ))
        })
    });
    Ok(PutEntry { data, key, hash: hash.transpose()? })
}

fn names<'a>(
    name: Option<&'a Text<'_>>,
    arn: Option<&'a Text<'_>>,
    id: Option<&'a Text<'_>>,
) -> StreamNames<'a> {
    StreamNames {
        name: name.map(|text| &*text.0),
        arn: arn.map(|text| &*text.0),
        id: id.map(|text| &*text.0),
    }
}

impl StreamNames<'_> {
    /// Whether no name is one that the model refuses. ARNs and ids are rare, so their constraints are left to whoever knows them all.
    fn is_plausible(&self) -> bool {
        self.name.is_none_or(|name| tidemill_wire::StreamName::new(name).is_ok())
            && self.arn.is_none_or(|arn| arn.starts_with("arn:aws") && arn.len() <= 2_048)
            && self.id.is_none_or(|id| id.len() == 24)
    }
}

fn is_key(key: Option<&Text<'_>>) -> bool {
    key.is_none_or(|Text(key)| {
        !key.is_empty() && (key.len() <= KEY_CHARS_MAX || key.chars().count() <= KEY_CHARS_MAX)
    })
}

fn is_hash(hash: Option<&Text<'_>>) -> bool {
    hash.is_none_or(|hash| is_number(&hash.0, 39))
}

/// Whether a text is a decimal number without leading zeroes.
fn is_number(text: &str, digits_max: usize) -> bool {
    let is_digits = text.bytes().all(|digit| digit.is_ascii_digit());
    is_digits && (text == "0" || (!text.is_empty() && text.len() <= digits_max && !text.starts_with('0')))
}

fn text<'b>(reader: &mut CborReader<'b>) -> Result<Option<Text<'b>>, Fault> {
    if reader.take_null()? { Ok(None) } else { reader.text().map(|text| Some(Text(text))) }
}

fn data<'b>(reader: &mut CborReader<'b>) -> Result<Option<Data<'b>>, Fault> {
    if reader.take_null()? { Ok(None) } else { reader.bytes().map(|bytes| Some(Data::Raw(bytes))) }
}

fn flag(reader: &mut CborReader<'_>) -> Result<Option<bool>, Fault> {
    if reader.take_null()? { Ok(None) } else { reader.boolean().map(Some) }
}

fn entries<'b>(reader: &mut CborReader<'b>) -> Result<Entries<'b>, Fault> {
    let mut entries = Vec::new();
    reader.items(|reader| {
        if entries.len() >= PUT_RECORDS_MAX {
            return Err(Fault::serialization("too many records"));
        }
        let mut entry = Entry::default();
        reader.members(|reader, name| {
            match &*name {
                "Data" => entry.data = data(reader)?,
                "PartitionKey" => entry.partition_key = text(reader)?,
                "ExplicitHashKey" => entry.explicit_hash_key = text(reader)?,
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        entries.push(entry);
        Ok(())
    })?;
    Ok(Entries(entries))
}

impl<'de: 'b, 'b> Deserialize<'de> for Data<'b> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        Text::deserialize(reader).map(|text| Data::Base64(text.0))
    }
}

impl<'de: 'b, 'b> Deserialize<'de> for Entries<'b> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Bounded;

        impl<'de> Visitor<'de> for Bounded {
            type Value = Entries<'de>;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a list of records")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(Structure(entry)) = items.next_element()? {
                    if entries.len() >= PUT_RECORDS_MAX {
                        return Err(A::Error::custom("too many records"));
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
