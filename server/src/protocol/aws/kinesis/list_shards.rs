//! ListShards: every shard, or those that a filter lets through, a page at a time.

use std::sync::Arc;

use tidemill_wire::{ShardIndex, Timestamp};

use super::super::Fault;
use super::super::value::Value;
use super::call::{Call, StreamNames, shard_value};
use super::describe_stream::page;
use super::error::{invalid, no_stream_of_id};
use super::limits::LIST_SHARDS_DEFAULT;
use super::token::{ShardChoice, ShardPage};
use crate::service::stream::{Definition, Shard};

/// What is listed.
struct Listing {
    stream: Arc<Definition>,
    after: Option<ShardIndex>,
    choice: ShardChoice,
}

/// Lists a page.
pub(super) async fn answer(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let Listing { stream, after, choice } = match input.get_text("NextToken") {
        Some(token) => continued(call, &input, token)?,
        None => begun(call, &input)?,
    };
    let listed = |shard: &&Shard| after.is_none_or(|after| shard.index > after) && choice.takes(shard);
    let rest: Vec<Shard> = stream.shards().iter().filter(listed).copied().collect();
    let limit = input.get_integer("MaxResults").and_then(|limit| usize::try_from(limit).ok());
    let (page, more) = page(&rest, limit.unwrap_or(LIST_SHARDS_DEFAULT));
    let next = page.last().filter(|_| more).map(|last| {
        let page = ShardPage { stream: stream.id, after: last.index, choice };
        page.close(call.seal(), call.now())
    });
    let shards = page.iter().map(|shard| shard_value(&stream, shard)).collect();
    Ok(Some(Value::structure([
        ("Shards", Some(Value::List(shards))),
        ("NextToken", next.and_then(Value::text)),
    ])))
}

/// The list that a token goes on with. AWS refuses other parameters beside one, but boto3's paginator repeats those of the first call; so they may be
/// there, and what names a stream has to name the token's.
fn continued(call: Call<'_>, input: &Value, token: &str) -> Result<Listing, Fault> {
    let opened = ShardPage::open(call.seal(), token);
    let (page, made) = opened.ok_or_else(|| invalid("Invalid NextToken."))?;
    if call.is_expired(made) {
        return Err(Fault::of_caller("ExpiredNextTokenException", "The NextToken has expired."));
    }
    let stream = call.core().streams().get(page.stream).ok_or_else(|| no_stream_of_id(page.stream))?;
    let names = StreamNames::of(input);
    if names.name.or(names.arn).or(names.id).is_some() && call.find(names)?.id != page.stream {
        return Err(invalid("The NextToken is not of the stream that is named."));
    }
    Ok(Listing { stream: Arc::clone(stream.definition()), after: Some(page.after), choice: page.choice })
}

/// The list that names and a filter ask for.
fn begun(call: Call<'_>, input: &Value) -> Result<Listing, Fault> {
    let stream = call.find(StreamNames::of(input))?;
    call.check_created(&stream, input)?;
    let after = input.get_text("ExclusiveStartShardId").map(|id| call.after(&stream, id)).transpose()?;
    let mut listing = Listing { stream, after, choice: ShardChoice::All };
    if let Some(filter) = input.get("ShardFilter") {
        apply(call, filter, &mut listing)?;
    }
    Ok(listing)
}

/// Narrows the list. The trim horizon is the oldest time of which there may be records; before the stream there were no shards.
fn apply(call: Call<'_>, filter: &Value, listing: &mut Listing) -> Result<(), Fault> {
    let kind = filter.get_text("Type").unwrap_or_default();
    let stream = &listing.stream;
    let oldest = match stream.retention_ms() {
        0 => stream.created,
        age_ms => stream.created.max(Timestamp(call.now().get().saturating_sub(age_ms))),
    };
    let asked = || {
        let time = filter.get_timestamp("Timestamp");
        let time =
            time.ok_or_else(|| invalid(format!("ShardFilter of type {kind} must have a Timestamp.")))?;
        if time > call.now() {
            return Err(invalid("The Timestamp of a ShardFilter must not lie in the future."));
        }
        Ok(time.max(oldest))
    };
    match kind {
        "AFTER_SHARD_ID" => {
            let id = filter.get_text("ShardId");
            let id = id.ok_or_else(|| invalid("ShardFilter of type AFTER_SHARD_ID must have a ShardId."))?;
            let shard = call.after(stream, id)?;
            listing.after = Some(listing.after.map_or(shard, |after| after.max(shard)));
        }
        "AT_LATEST" => listing.choice = ShardChoice::Open,
        "AT_TRIM_HORIZON" => listing.choice = ShardChoice::At(oldest),
        "FROM_TRIM_HORIZON" => listing.choice = ShardChoice::From(oldest),
        "AT_TIMESTAMP" => listing.choice = ShardChoice::At(asked()?),
        _ => listing.choice = ShardChoice::From(asked()?),
    }
    Ok(())
}
