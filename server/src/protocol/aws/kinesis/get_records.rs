//! GetRecords: reads a shard from an iterator on.
//!
//! Records go from the log's bytes into the answer, without a tree of values between.

use std::time::Duration;

use tidemill_wire::entry::EntryRun;
use tidemill_wire::message::Position;
use tidemill_wire::numbered::NumberedBatch;
use tidemill_wire::{SequenceNumber, ShardIndex, Timestamp};

use super::super::Fault;
use super::super::output::Output;
use super::super::value::Value;
use super::call::{Call, StreamNames, numbering, range_value};
use super::error::{dry_run, fetch_fault, invalid, no_stream_of_id};
use super::limits::{GET_BYTES_MAX, GET_RECORDS_MAX};
use super::names::shard_id;
use super::sequence::Numbering;
use super::token::ShardIterator;
use super::{read_named, write};
use crate::service::stream::{Definition, Delivery, Fetch};
use crate::shard::yield_if_needed;

/// Bytes of an answer for each record beside its data, about.
const RECORD_OVERHEAD_BYTES: usize = 256;

/// A record on its way into an answer.
struct Found {
    sequence: SequenceNumber,
    arrived: Timestamp,
    record: tidemill_wire::batch::Record,
}

/// What an answer holds.
struct Page {
    records: Vec<Found>,
    /// Where the next call goes on.
    next: SequenceNumber,
    /// When the last record that was looked at arrived.
    arrived: Option<Timestamp>,
    bytes: usize,
}

/// Reads what is there, and does not wait.
pub(super) async fn answer(call: Call<'_>) -> Result<Vec<u8>, Fault> {
    let input = read_named(call.request, "GetRecords")?;
    let token = input.get_text("ShardIterator").unwrap_or_default();
    let (iterator, made) =
        ShardIterator::open(call.seal(), token).ok_or_else(|| invalid("Invalid ShardIterator."))?;
    if call.is_expired(made) {
        return Err(expired(call, made));
    }
    let stream = call.core().streams().get(iterator.stream);
    let stream = stream.ok_or_else(|| no_stream_of_id(iterator.stream))?;
    let stream = std::sync::Arc::clone(stream.definition());
    check_names(call, &input, &stream)?;
    if input.is_set("DryRun") {
        return Err(dry_run());
    }
    let limit = input.get_integer("Limit").and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(GET_RECORDS_MAX);
    let fetch = Fetch {
        stream: stream.id,
        shard: iterator.shard,
        position: iterator.position,
        bytes_max: GET_BYTES_MAX,
        wait: Duration::ZERO,
    };
    let delivery = call.core().fetch(fetch).await.map_err(|error| {
        if matches!(error, crate::service::stream::FetchError::Throttled { .. }) {
            call.core().metrics().throttled_fetches.increment();
        }
        fetch_fault(&error, stream.name.as_str(), call.account())
    })?;
    let page = collect(&delivery, limit).await?;
    // A shard that has been closed meanwhile has children that are not in what was known before.
    let stream = call.core().streams().get(stream.id).ok_or_else(|| no_stream_of_id(iterator.stream))?;
    let stream = std::sync::Arc::clone(stream.definition());
    call.core().metrics().sent_records.add(page.records.len() as u64);
    Ok(encode(call, &stream, iterator.shard, &delivery, &page))
}

fn expired(call: Call<'_>, made: Timestamp) -> Fault {
    let now = call.now();
    let text = format!(
        "Iterator expired. The iterator was created at time {made} while right now it is {now} which is further in the future than the tolerated \
         delay of {} milliseconds.",
        super::limits::TOKEN_AGE_MS_MAX
    );
    Fault::of_caller("ExpiredIteratorException", text)
}

/// The iterator says which stream is meant; other names have to agree with it.
fn check_names(call: Call<'_>, input: &Value, stream: &Definition) -> Result<(), Fault> {
    let names = StreamNames::of(input);
    if names.arn.or(names.id).is_some() && call.find(names)?.id != stream.id {
        return Err(invalid("The ShardIterator is not of the stream that is named."));
    }
    Ok(())
}

/// Takes records out of what was fetched, as many as may be.
async fn collect(delivery: &Delivery, limit: usize) -> Result<Page, Fault> {
    let mut page = Page { records: Vec::new(), next: delivery.next, arrived: None, bytes: 0 };
    for run in &delivery.entries {
        for entry in EntryRun::new(run.clone()) {
            let (header, payload) = entry.map_err(|error| damaged(&error))?;
            page.arrived = Some(header.append_time);
            let batch = NumberedBatch::parse(&header, payload).map_err(|error| damaged(&error))?;
            let Some(batch) = batch else { continue };
            let mut records = batch.into_records().map_err(|error| damaged(&error))?;
            records.skip_to(delivery.from);
            for (sequence, record) in records {
                let bytes = record.key.len() + record.data.len();
                let is_full = page.records.len() >= limit
                    || (page.bytes + bytes > GET_BYTES_MAX && !page.records.is_empty());
                if is_full {
                    page.next = sequence;
                    return Ok(page);
                }
                page.bytes += bytes;
                page.records.push(Found { sequence, arrived: header.append_time, record });
            }
            // A large answer takes a while, and others want the core too.
            yield_if_needed().await;
        }
    }
    Ok(page)
}

fn damaged(error: &dyn std::fmt::Display) -> Fault {
    tracing::error!(%error, "stored records cannot be read");
    Fault::internal()
}

fn encode(
    call: Call<'_>,
    stream: &Definition,
    shard: ShardIndex,
    delivery: &Delivery,
    page: &Page,
) -> Vec<u8> {
    let is_last = delivery.closed && page.next >= delivery.end;
    let next = (!is_last).then(|| {
        let position = Position::Sequence(page.next);
        ShardIterator { stream: stream.id, shard, position }.close(call.seal(), call.now())
    });
    let behind_ms = match page.arrived {
        Some(arrived) if page.next < delivery.end => call.now().get().saturating_sub(arrived.get()),
        _ => 0,
    };
    let children = is_last.then(|| children(stream, shard));
    let members = 2 + usize::from(next.is_some()) + usize::from(children.is_some());
    let bytes = page.bytes / 3 * 4 + page.records.len() * RECORD_OVERHEAD_BYTES + 512;
    let numbering = numbering(stream, shard);
    write(call.request.encoding, bytes, |out| {
        out.begin_structure(members);
        out.name("Records");
        out.begin_list(page.records.len());
        for found in &page.records {
            put_record(out, &numbering, found);
        }
        out.end_list();
        if let Some(next) = next {
            out.name("NextShardIterator");
            out.text(&next);
        }
        out.name("MillisBehindLatest");
        out.integer(i64::try_from(behind_ms).unwrap_or(i64::MAX));
        if let Some(children) = children {
            out.name("ChildShards");
            out.value(&children);
        }
        out.end_structure();
    })
}

fn put_record(out: &mut impl Output, numbering: &Numbering, found: &Found) {
    out.begin_structure(4);
    out.name("SequenceNumber");
    out.text(&numbering.decimal(found.sequence));
    out.name("ApproximateArrivalTimestamp");
    out.timestamp(found.arrived);
    out.name("Data");
    out.blob(&found.record.data);
    out.name("PartitionKey");
    // Keys of native producers may be any bytes.
    out.text(&String::from_utf8_lossy(&found.record.key));
    out.end_structure();
}

/// The shards that go on where a closed one ends.
fn children(stream: &Definition, shard: ShardIndex) -> Value {
    let children = stream.children(shard).map(|child| {
        let parents = [child.parent, child.adjacent_parent].into_iter().flatten();
        Value::structure([
            ("ShardId", Value::text(shard_id(child.index))),
            (
                "ParentShards",
                Some(Value::List(parents.map(|parent| Value::Text(shard_id(parent))).collect())),
            ),
            ("HashKeyRange", Some(range_value(child.range))),
        ])
    });
    Value::List(children.collect())
}
