//! GetRecords: reads a shard from an iterator on.
//!
//! Records go from the log's bytes into the answer, without a tree of values between.

use std::time::Duration;

use tidemill_wire::message::Position;
use tidemill_wire::{ShardIndex, Timestamp};

use super::super::Fault;
use super::super::output::Output;
use super::super::value::Value;
use super::call::{Call, StreamNames, numbering};
use super::error::{dry_run, fetch_fault, invalid, no_stream_of_id};
use super::limits::{GET_BYTES_AHEAD_MAX, GET_BYTES_MAX, GET_RECORDS_MAX};
use super::page::{Page, children};
use super::token::ShardIterator;
use super::{read_named, write};
use crate::service::stream::{Definition, Delivery, Fetch, ReadKind};

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
        kind: ReadKind::Call { bytes_max: GET_BYTES_AHEAD_MAX, records_max: limit as u64 },
    };
    let delivery = call.core().fetch(fetch).await.map_err(|error| {
        if matches!(error, crate::service::stream::FetchError::Throttled { .. }) {
            call.core().metrics().throttled_fetches.increment();
        }
        fetch_fault(&error, stream.name.as_str(), call.account())
    })?;
    let page = Page::collect(&delivery, delivery.from, limit, GET_BYTES_MAX).await?;
    // A shard that has been closed meanwhile has children that are not in what was known before.
    let stream = call.core().streams().get(stream.id).ok_or_else(|| no_stream_of_id(iterator.stream))?;
    let stream = std::sync::Arc::clone(stream.definition());
    call.core().metrics().sent_records.add(page.count() as u64);
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
    let children = is_last.then(|| children(stream, shard));
    let members = 2 + usize::from(next.is_some()) + usize::from(children.is_some());
    let numbering = numbering(stream, shard);
    write(call.request.encoding, page.encoded_bytes(), |out| {
        out.begin_structure(members);
        out.name("Records");
        page.put(out, &numbering);
        if let Some(next) = next {
            out.name("NextShardIterator");
            out.text(&next);
        }
        out.name("MillisBehindLatest");
        out.integer(page.behind_ms(delivery.end, call.now()));
        if let Some(children) = children {
            out.name("ChildShards");
            out.value(&children);
        }
        out.end_structure();
    })
}
