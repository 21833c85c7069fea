//! ListShards: every shard, or those that a filter lets through, a page at a time.

use std::sync::Arc;

use tidemill_wire::ShardIndex;
use tidemill_wire::message::ShardState;

use super::super::Fault;
use super::super::value::Value;
use super::call::{Call, StreamNames};
use super::describe_stream::{page, shard_values};
use super::error::{invalid, no_stream_of_id};
use super::limits::LIST_SHARDS_DEFAULT;
use super::token::ShardPage;
use crate::service::stream::{Definition, Shard};

/// What is listed.
struct Listing {
    stream: Arc<Definition>,
    after: Option<ShardIndex>,
    open_only: bool,
}

/// Lists a page.
pub(super) async fn answer(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let Listing { stream, after, open_only } = match input.get_text("NextToken") {
        Some(token) => continued(call, &input, token)?,
        None => begun(call, &input)?,
    };
    let listed = |shard: &&Shard| {
        after.is_none_or(|after| shard.index > after) && !(open_only && shard.state == ShardState::Closed)
    };
    let rest: Vec<Shard> = stream.shards().iter().filter(listed).copied().collect();
    let limit = input.get_integer("MaxResults").and_then(|limit| usize::try_from(limit).ok());
    let (page, more) = page(&rest, limit.unwrap_or(LIST_SHARDS_DEFAULT));
    let next = page.last().filter(|_| more).map(|last| {
        let page = ShardPage { stream: stream.id, after: last.index, open_only };
        page.close(call.seal(), call.now())
    });
    let shards = shard_values(call, &stream, page).await;
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
    Ok(Listing {
        stream: Arc::clone(stream.definition()),
        after: Some(page.after),
        open_only: page.open_only,
    })
}

/// The list that names and a filter ask for.
fn begun(call: Call<'_>, input: &Value) -> Result<Listing, Fault> {
    let stream = call.find(StreamNames::of(input))?;
    call.check_created(&stream, input)?;
    let start = input.get_text("ExclusiveStartShardId").map(|id| call.shard(&stream, id)).transpose()?;
    let mut listing = Listing { stream, after: start.map(|shard| shard.index), open_only: false };
    if let Some(filter) = input.get("ShardFilter") {
        apply(call, filter, &mut listing)?;
    }
    Ok(listing)
}

/// Narrows the list. No shard of a stream is closed before the stream can be resharded, so every shard is open at each time that a
/// filter may name, and `AT_LATEST` is the only one that tells closed shards from open ones.
fn apply(call: Call<'_>, filter: &Value, listing: &mut Listing) -> Result<(), Fault> {
    let kind = filter.get_text("Type").unwrap_or_default();
    match kind {
        "AFTER_SHARD_ID" => {
            let id = filter.get_text("ShardId");
            let id = id.ok_or_else(|| invalid("ShardFilter of type AFTER_SHARD_ID must have a ShardId."))?;
            let shard = call.shard(&listing.stream, id)?;
            listing.after = Some(listing.after.map_or(shard.index, |after| after.max(shard.index)));
        }
        "AT_LATEST" => listing.open_only = true,
        "AT_TIMESTAMP" | "FROM_TIMESTAMP" => {
            let time = filter.get_timestamp("Timestamp");
            let time =
                time.ok_or_else(|| invalid(format!("ShardFilter of type {kind} must have a Timestamp.")))?;
            if time > call.now() {
                return Err(invalid("The Timestamp of a ShardFilter must not lie in the future."));
            }
        }
        _ => {}
    }
    Ok(())
}
