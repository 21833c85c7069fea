//! PutRecord.

use tidemill_wire::batch::BatchPlan;
use tidemill_wire::message::Ack;

use super::super::Fault;
use super::super::output::Output;
use super::call::{Call, is_moved, number};
use super::error::{append_fault, dry_run, invalid};
use super::limits::MOVE_TIME_MAX;
use super::names::shard_id;
use super::put_input::PutRecord;
use super::put_records::{batch_fault, hash_of};
use super::sequence::RecordNumber;
use super::write;
use crate::service::stream::{Append, AppendError, Definition};

/// Bytes of an answer.
const ANSWER_BYTES: usize = 160;

/// Appends a record, and answers when it is durable.
pub(super) async fn answer(call: Call<'_>) -> Result<Vec<u8>, Fault> {
    let mut input = PutRecord::read(call.request)?;
    let entry = input.take_entry()?;
    let stream = call.find(input.names())?;
    let hash = call.place(&stream, || hash_of(&entry));
    let mut plan = BatchPlan::new();
    let data_bytes = entry.data_bytes(stream.record_kib)?;
    plan.push(entry.key.as_bytes(), data_bytes).map_err(|error| batch_fault(&error))?;
    let mut batch = plan.begin().ok_or_else(Fault::internal)?;
    batch.fill(|out| entry.append_data(out))?;
    if let Some(ordering) = input.ordering() {
        check_ordering(call, &stream, ordering).await?;
    }
    if input.is_dry_run() {
        return Err(dry_run());
    }
    let mut append = Append {
        stream: stream.id,
        shard: stream.routing().shard_of(hash),
        ack: Ack::Durable,
        records: 1,
        payload_bytes: (entry.key.len() + data_bytes) as u64,
        batch: batch.finish(),
    };
    let deadline = call.core().monotonic() + MOVE_TIME_MAX;
    let outcome = loop {
        let outcome = call.aws.append_all(vec![append.clone()]).await;
        let outcome = outcome.into_iter().next().unwrap_or(Err(AppendError::Closing));
        if !is_moved(&outcome) {
            break outcome;
        }
        let Some(stream) = call.rested(&stream, deadline).await else { break outcome };
        append.shard = stream.routing().shard_of(hash);
    };
    let shard = append.shard;
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
    let number = RecordNumber::parse(ordering).filter(|number| number.created == stream.created);
    let is_known = match number {
        Some(number) if stream.shard(number.shard).is_some() => {
            call.locate(stream, number.shard, ordering).await?.is_some()
        }
        // A closed shard whose records are over: what it gave out is not known any more, and all of it is below its children's.
        Some(number) => stream.shards().last().is_some_and(|last| number.shard < last.index),
        None => false,
    };
    if is_known {
        return Ok(());
    }
    Err(invalid(format!(
        "ExclusiveMinimumSequenceNumber {ordering} used in PutRecord on stream {} under account {} is invalid.",
        stream.name,
        call.account()
    )))
}
