//! PutRecords: each record goes to its shard and has a fate of its own.
//!
//! The records of a shard are appended in their order, together as long as they are few: what is appended together is admitted by the shard's quota, or
//! refused, together.

use tidemill_wire::batch::{BatchBuilder, BuildError, Compression};
use tidemill_wire::message::{Ack, Quota};
use tidemill_wire::routing::HashKey;
use tidemill_wire::{SequenceNumber, ShardIndex};

use super::super::Fault;
use super::super::output::{AnyOutput, Output};
use super::call::{Call, numbering};
use super::error::{dry_run, invalid, rate_exceeded};
use super::limits::{PART_BYTES_MAX, PART_SHARE, PUT_BYTES_MAX};
use super::names::shard_id;
use super::put_input::{PutEntry, PutRecords};
use super::sequence::Numbering;
use super::write;
use crate::service::stream::{Append, AppendError, Definition};
use crate::shard::Outcome;

/// Bytes of an answer for each record, about.
const RECORD_ANSWER_BYTES: usize = 128;

/// Records that are appended together.
struct Part {
    shard: ShardIndex,
    builder: BatchBuilder,
    /// Bytes of data and of every record's key: what a quota counts, however the batch is laid out.
    payload_bytes: u64,
}

/// Where a record is: which part, and which record of it.
type Place = (usize, u32);

/// Appends the records, and answers when all that were taken are durable.
pub(super) async fn answer(call: Call<'_>) -> Result<Vec<u8>, Fault> {
    let mut input = PutRecords::read(call.request)?;
    let entries = input.take_entries()?;
    let stream = call.find(input.names())?;
    let (parts, places) = divide(&stream, &entries)?;
    if input.is_dry_run() {
        return Err(dry_run());
    }
    // The body is held until the answer; what was copied out of it is not.
    drop(entries);
    let number = |part: &Part| (part.shard, numbering(&stream, part.shard));
    let shards: Vec<(ShardIndex, Numbering)> = parts.iter().map(number).collect();
    let appends: Vec<Append> = parts.into_iter().filter_map(|part| part.into_append(&stream)).collect();
    let outcomes = call.aws.append_all(appends).await;
    for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        if !matches!(error, AppendError::Throttled { .. }) {
            tracing::warn!(stream = %stream.name, %error, "records were not appended");
        }
    }
    let failed = places.iter().filter(|(part, _)| !outcomes.get(*part).is_some_and(Outcome::is_ok)).count();
    Ok(write(call.request.encoding, places.len() * RECORD_ANSWER_BYTES + 64, |out| {
        out.begin_structure(2);
        out.name("FailedRecordCount");
        out.integer(i64::try_from(failed).unwrap_or(i64::MAX));
        out.name("Records");
        out.begin_list(places.len());
        for (part, at) in &places {
            if let (Some(shard), Some(outcome)) = (shards.get(*part), outcomes.get(*part)) {
                put_fate(out, call, &stream, shard, outcome, *at);
            }
        }
        out.end_list();
        out.end_structure();
    }))
}

/// The shard of a record.
pub(super) fn shard_of(stream: &Definition, entry: &PutEntry<'_>) -> ShardIndex {
    match entry.hash {
        Some(hash) => stream.routing().shard_of(hash),
        None => stream.routing().shard_of(HashKey::of(entry.key.as_bytes())),
    }
}

/// A record that no batch takes although its sizes were checked.
pub(super) fn batch_fault(error: &BuildError) -> Fault {
    invalid(error.to_string())
}

fn divide(stream: &Definition, entries: &[PutEntry<'_>]) -> Result<(Vec<Part>, Vec<Place>), Fault> {
    let (bytes_max, records_max) = share(stream.quota);
    let mut parts: Vec<Part> = Vec::new();
    let mut places = Vec::with_capacity(entries.len());
    let mut scratch = Vec::new();
    let mut total = 0;
    for entry in entries {
        let data = entry.data_into(&mut scratch, stream.record_kib)?;
        let bytes = entry.key.len() + data.len();
        total += bytes;
        if total > PUT_BYTES_MAX {
            return Err(invalid(format!("Records have more than {PUT_BYTES_MAX} bytes of keys and data.")));
        }
        let shard = shard_of(stream, entry);
        // The last part of a shard is the one that may take more.
        let open = parts.iter().rposition(|part| part.shard == shard);
        let open = open.filter(|at| {
            let part = &parts[*at];
            part.payload_bytes.saturating_add(bytes as u64) <= bytes_max
                && part.builder.records() < records_max
        });
        let at = open.unwrap_or_else(|| {
            parts.push(Part { shard, builder: BatchBuilder::new(), payload_bytes: 0 });
            parts.len() - 1
        });
        let part = &mut parts[at];
        places.push((at, part.builder.records()));
        part.builder.push(entry.key.as_bytes(), data, None).map_err(|error| batch_fault(&error))?;
        part.payload_bytes += bytes as u64;
    }
    Ok((parts, places))
}

/// Bytes and records of a part: a share of what a shard may take in a second, so that one that takes some more takes some of the call.
fn share(quota: Quota) -> (u64, u32) {
    let of = |rate: u64| if rate == 0 { u64::MAX } else { (rate / PART_SHARE).max(1) };
    let bytes = of(quota.write_bytes_per_second).min(PART_BYTES_MAX);
    let records = u32::try_from(of(quota.write_records_per_second)).unwrap_or(u32::MAX);
    (bytes, records)
}

impl Part {
    /// The append of it; every part has a record.
    fn into_append(mut self, stream: &Definition) -> Option<Append> {
        let records = self.builder.records();
        Some(Append {
            stream: stream.id,
            shard: self.shard,
            ack: Ack::Durable,
            records,
            payload_bytes: self.payload_bytes,
            batch: self.builder.build(Compression::None)?,
        })
    }
}

/// What became of a record: the record `at` of its part.
fn put_fate(
    out: &mut AnyOutput,
    call: Call<'_>,
    stream: &Definition,
    (shard, numbering): &(ShardIndex, Numbering),
    outcome: &Outcome,
    at: u32,
) {
    out.begin_structure(2);
    match outcome {
        Ok(appended) => {
            let sequence = SequenceNumber(appended.base_sequence.get().saturating_add(u64::from(at)));
            out.name("SequenceNumber");
            out.text(&numbering.decimal(sequence));
            out.name("ShardId");
            out.text(&shard_id(*shard));
        }
        Err(AppendError::Throttled { .. }) => {
            out.name("ErrorCode");
            out.text("ProvisionedThroughputExceededException");
            out.name("ErrorMessage");
            out.text(&rate_exceeded(*shard, stream.name.as_str(), call.account()));
        }
        Err(_) => {
            out.name("ErrorCode");
            out.text("InternalFailure");
            out.name("ErrorMessage");
            out.text("Internal Service Failure");
        }
    }
    out.end_structure();
}
