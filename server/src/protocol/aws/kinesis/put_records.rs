//! PutRecords: each record goes to its shard and has a fate of its own.
//!
//! The records of a shard are appended in their order, together as long as they are few: what is appended together is admitted by the shard's quota, or
//! refused, together.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use tidemill_wire::batch::{BatchFill, BatchPlan, BatchView, BuildError, Record};
use tidemill_wire::message::{Ack, Quota};
use tidemill_wire::routing::HashKey;
use tidemill_wire::{SequenceNumber, ShardIndex};

use super::super::Fault;
use super::super::output::{AnyOutput, Output};
use super::call::{Call, is_moved, numbering};
use super::error::{dry_run, invalid, rate_exceeded};
use super::limits::{MOVE_TIME_MAX, PART_BYTES_MAX, PART_SHARE, PUT_BYTES_MAX};
use super::names::shard_id;
use super::put_input::{PutEntry, PutRecords};
use super::sequence::Numbering;
use super::write;
use crate::service::capacity::Distribution;
use crate::service::stream::{Append, AppendError, Definition};
use crate::shard::Outcome;

/// Bytes of an answer for each record, about.
const RECORD_ANSWER_BYTES: usize = 128;

/// Records that are appended together.
struct Part {
    shard: ShardIndex,
    plan: BatchPlan,
    /// Bytes of data and of every record's key: what a quota counts, however the batch is laid out.
    payload_bytes: u64,
}

/// Parts as they are gathered.
struct Parts {
    parts: Vec<Part>,
    bytes_max: u64,
    records_max: u32,
}

/// A part on its way to its batch.
struct Filling {
    shard: ShardIndex,
    records: u32,
    payload_bytes: u64,
    batch: BatchFill,
}

/// Records, divided.
struct Division {
    appends: Vec<Append>,
    /// Where each record is.
    places: Vec<Place>,
    /// Where each record is in the space of keys.
    hashes: Vec<HashKey>,
}

/// What became of a part.
struct Fate {
    shard: ShardIndex,
    shard_id: String,
    numbering: Numbering,
    outcome: Outcome,
}

/// Where a record is: which part, and which record of it.
type Place = (usize, u32);

/// Appends the records, and answers when all that were taken are durable.
pub(super) async fn answer(call: Call<'_>) -> Result<Vec<u8>, Fault> {
    let mut input = PutRecords::read(call.request)?;
    let entries = input.take_entries()?;
    let stream = call.find(input.names())?;
    let Division { appends, mut places, hashes } = divide(call, &stream, &entries)?;
    if input.is_dry_run() {
        return Err(dry_run());
    }
    // The body is held until the answer; what was copied out of it is not.
    drop(entries);
    let fates = append_all(call, Arc::clone(&stream), appends, &hashes, &mut places).await;
    for error in fates.iter().filter_map(|fate| fate.outcome.as_ref().err()) {
        if !matches!(error, AppendError::Throttled { .. }) && !is_moved(&Err(error.clone())) {
            tracing::warn!(stream = %stream.name, %error, "records were not appended");
        }
    }
    let is_stored = |(part, _): &&Place| fates.get(*part).is_some_and(|fate| fate.outcome.is_ok());
    let failed = places.len() - places.iter().filter(is_stored).count();
    Ok(write(call.request.encoding, places.len() * RECORD_ANSWER_BYTES + 64, |out| {
        out.begin_structure(2);
        out.name("FailedRecordCount");
        out.integer(i64::try_from(failed).unwrap_or(i64::MAX));
        out.name("Records");
        out.begin_list(places.len());
        for (part, at) in &places {
            if let Some(fate) = fates.get(*part) {
                put_fate(out, call, &stream, fate, *at);
            }
        }
        out.end_list();
        out.end_structure();
    }))
}

/// Where in the space of keys a record is.
pub(super) fn hash_of(entry: &PutEntry<'_>) -> HashKey {
    entry.hash.unwrap_or_else(|| HashKey::of(entry.key.as_bytes()))
}

/// A record that no batch takes although its sizes were checked.
pub(super) fn batch_fault(error: &BuildError) -> Fault {
    invalid(error.to_string())
}

/// Decides where each record goes by its key and its size, and then puts the data where it stays.
fn divide(call: Call<'_>, stream: &Definition, entries: &[PutEntry<'_>]) -> Result<Division, Fault> {
    let hashes = hashes(call, stream, entries);
    let mut parts = Parts::of(stream);
    let mut places = Vec::with_capacity(entries.len());
    let mut total = 0;
    for (entry, hash) in entries.iter().zip(&hashes) {
        let bytes = entry.data_bytes(stream.record_kib)?;
        total += entry.key.len() + bytes;
        if total > PUT_BYTES_MAX {
            return Err(invalid(format!("Records have more than {PUT_BYTES_MAX} bytes of keys and data.")));
        }
        let place = parts.add(stream.routing().shard_of(*hash), entry.key.as_bytes(), bytes);
        places.push(place.map_err(|error| batch_fault(&error))?);
    }
    let mut filling = parts.begin();
    for (entry, (part, _)) in entries.iter().zip(&places) {
        filling[*part].batch.fill(|out| entry.append_data(out))?;
    }
    let appends = filling.into_iter().map(|part| part.into_append(stream)).collect();
    Ok(Division { appends, places, hashes })
}

/// Where in the space of keys each record is.
fn hashes(call: Call<'_>, stream: &Definition, entries: &[PutEntry<'_>]) -> Vec<HashKey> {
    let of_keys = match stream.capacity.distribution {
        Distribution::ByKey => {
            let keys: Vec<&[u8]> = entries.iter().map(|entry| entry.key.as_bytes()).collect();
            HashKey::of_each(&keys)
        }
        Distribution::Even => Vec::new(),
    };
    let mut of_keys = of_keys.into_iter();
    let hash = |entry: &PutEntry<'_>| {
        let of_key = of_keys.next();
        call.place(stream, || entry.hash.or(of_key).unwrap_or_default())
    };
    entries.iter().map(hash).collect()
}

/// Appends parts, and those that meet a shard whose keys are going elsewhere once more to where they have gone; places are then those of the last try.
async fn append_all(
    call: Call<'_>,
    mut stream: Arc<Definition>,
    mut appends: Vec<Append>,
    hashes: &[HashKey],
    places: &mut [Place],
) -> Vec<Fate> {
    let deadline = call.core().monotonic() + MOVE_TIME_MAX;
    let mut fates: Vec<Fate> = Vec::new();
    loop {
        let first = fates.len();
        let shards: Vec<ShardIndex> = appends.iter().map(|append| append.shard).collect();
        let batches: Vec<Bytes> = appends.iter().map(|append| append.batch.clone()).collect();
        let outcomes = call.aws.append_all(appends).await;
        fates.extend(shards.into_iter().zip(outcomes).map(|(shard, outcome)| Fate {
            shard,
            shard_id: shard_id(shard),
            numbering: numbering(&stream, shard),
            outcome,
        }));
        if !fates[first..].iter().any(|fate| is_moved(&fate.outcome)) {
            return fates;
        }
        let Some(rested) = call.rested(&stream, deadline).await else { return fates };
        stream = rested;
        appends = again(&stream, &fates[first..], batches, first, hashes, places);
    }
}

/// The records of the parts that have met such a shard, divided anew. The parts tried last are those from `first` on.
fn again(
    stream: &Definition,
    fates: &[Fate],
    batches: Vec<Bytes>,
    first: usize,
    hashes: &[HashKey],
    places: &mut [Place],
) -> Vec<Append> {
    let moved = batches.into_iter().zip(fates).map(|(batch, fate)| {
        let records = is_moved(&fate.outcome).then(|| BatchView::parse(batch).ok()?.into_records().ok());
        records.flatten()
    });
    let mut moved: Vec<Option<_>> = moved.collect();
    let (mut parts, next) = (Parts::of(stream), first + fates.len());
    let mut records: Vec<(usize, Record)> = Vec::new();
    for ((part, at), hash) in places.iter_mut().zip(hashes) {
        let of_part = part.checked_sub(first).and_then(|part| moved.get_mut(part)?.as_mut());
        // The records of a part have the order of their places.
        let Some(record) = of_part.and_then(Iterator::next) else { continue };
        let place = parts.add(stream.routing().shard_of(*hash), &record.key, record.data.len());
        let place = place.expect("a batch has held it, and no batch holds more than before");
        (*part, *at) = (next + place.0, place.1);
        records.push((place.0, record));
    }
    let mut filling = parts.begin();
    for (part, record) in records {
        let Ok(()) = filling[part].batch.fill(|out| {
            out.extend_from_slice(&record.data);
            Ok::<_, Infallible>(())
        });
    }
    filling.into_iter().map(|part| part.into_append(stream)).collect()
}

/// Bytes and records of a part: a share of what a shard may take in a second, so that one that takes some more takes some of the call.
fn share(quota: Quota) -> (u64, u32) {
    let of = |rate: u64| if rate == 0 { u64::MAX } else { (rate / PART_SHARE).max(1) };
    let bytes = of(quota.write_bytes_per_second).min(PART_BYTES_MAX);
    let records = u32::try_from(of(quota.write_records_per_second)).unwrap_or(u32::MAX);
    (bytes, records)
}

impl Parts {
    fn of(stream: &Definition) -> Self {
        let (bytes_max, records_max) = share(stream.quota);
        Self { parts: Vec::new(), bytes_max, records_max }
    }

    /// Adds a record to its shard's last part, or begins another one.
    fn add(&mut self, shard: ShardIndex, key: &[u8], data_bytes: usize) -> Result<Place, BuildError> {
        let bytes = (key.len() + data_bytes) as u64;
        // The last part of a shard is the one that may take more.
        let open = self.parts.iter().rposition(|part| part.shard == shard);
        let open = open.filter(|at| {
            let part = &self.parts[*at];
            part.payload_bytes.saturating_add(bytes) <= self.bytes_max
                && part.plan.records() < self.records_max
        });
        let at = open.unwrap_or_else(|| {
            self.parts.push(Part { shard, plan: BatchPlan::new(), payload_bytes: 0 });
            self.parts.len() - 1
        });
        let part = &mut self.parts[at];
        let place = (at, part.plan.records());
        part.plan.push(key, data_bytes)?;
        part.payload_bytes += bytes;
        Ok(place)
    }

    /// Lays them out as far as that goes without the data.
    fn begin(self) -> Vec<Filling> {
        let begin = |Part { shard, plan, payload_bytes }| {
            let records = plan.records();
            let batch = plan.begin().expect("a part is begun for its first record");
            Filling { shard, records, payload_bytes, batch }
        };
        self.parts.into_iter().map(begin).collect()
    }
}

impl Filling {
    fn into_append(self, stream: &Definition) -> Append {
        Append {
            stream: stream.id,
            shard: self.shard,
            ack: Ack::Durable,
            records: self.records,
            payload_bytes: self.payload_bytes,
            batch: self.batch.finish(),
        }
    }
}

/// What became of a record: the record `at` of its part.
fn put_fate(
    out: &mut AnyOutput,
    call: Call<'_>,
    stream: &Definition,
    Fate { shard, shard_id, numbering, outcome }: &Fate,
    at: u32,
) {
    out.begin_structure(2);
    match outcome {
        Ok(appended) => {
            let sequence = SequenceNumber(appended.base_sequence.get().saturating_add(u64::from(at)));
            out.name("SequenceNumber");
            out.text(numbering.digits(sequence).as_str());
            out.name("ShardId");
            out.text(shard_id);
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
