//! PutRecord.

use tidemill_wire::batch::{BatchBuilder, Compression};
use tidemill_wire::message::Ack;

use super::super::Fault;
use super::super::output::Output;
use super::call::{Call, number};
use super::error::{append_fault, dry_run, invalid};
use super::names::shard_id;
use super::put_input::PutRecord;
use super::put_records::{batch_fault, shard_of};
use super::write;
use crate::service::stream::{Append, AppendError, Definition};

/// Bytes of an answer.
const ANSWER_BYTES: usize = 160;

/// Appends a record, and answers when it is durable.
pub(super) async fn answer(call: Call<'_>) -> Result<Vec<u8>, Fault> {
    let mut input = PutRecord::read(call.request)?;
    let entry = input.take_entry()?;
    let stream = call.find(input.names())?;
    let shard = shard_of(&stream, &entry);
    let mut scratch = Vec::new();
    let data = entry.data_into(&mut scratch, stream.record_kib)?;
    if let Some(ordering) = input.ordering() {
        check_ordering(call, &stream, ordering).await?;
    }
    if input.is_dry_run() {
        return Err(dry_run());
    }
    let mut builder = BatchBuilder::new();
    builder.push(entry.key.as_bytes(), data, None).map_err(|error| batch_fault(&error))?;
    let append = Append {
        stream: stream.id,
        shard,
        ack: Ack::Durable,
        records: 1,
        payload_bytes: builder.payload_bytes() as u64,
        batch: builder.build(Compression::None).ok_or_else(Fault::internal)?,
    };
    let outcome = call.aws.append_all(vec![append]).await.pop().unwrap_or(Err(AppendError::Closing));
    let appended = outcome.map_err(|error| append_fault(&error, stream.name.as_str(), call.account()))?;
    Ok(write(call.request.encoding, ANSWER_BYTES, |out| {
        out.begin_structure(2);
        out.name("ShardId");
        out.text(&shard_id(shard));
        out.name("SequenceNumber");
        out.text(&number(&stream, shard, appended.base_sequence));
        out.end_structure();
    }))
}

/// The numbers of a shard only grow, so the record's is greater than any that was given out before; what has to be seen is that it was.
async fn check_ordering(call: Call<'_>, stream: &Definition, ordering: &str) -> Result<(), Fault> {
    let shard = super::sequence::RecordNumber::parse(ordering).map(|number| number.shard);
    let shard = shard.filter(|shard| stream.shard(*shard).is_some());
    let found = match shard {
        Some(shard) => call.locate(stream, shard, ordering).await?,
        None => None,
    };
    match found {
        Some(_) => Ok(()),
        None => Err(invalid(format!(
            "ExclusiveMinimumSequenceNumber {ordering} used in PutRecord on stream {} under account {} is invalid.",
            stream.name,
            call.account()
        ))),
    }
}
