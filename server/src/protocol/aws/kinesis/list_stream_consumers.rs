//! ListStreamConsumers: in the order of their names, a page at a time.

use std::ops::Bound;
use std::sync::Arc;

use super::super::Fault;
use super::super::value::Value;
use super::call::{Call, StreamNames};
use super::consumers::{ACTIVE, consumer_value};
use super::error::{invalid, no_stream_of_id};
use super::limits::LIST_CONSUMERS_DEFAULT;
use super::token::ConsumerPage;
use crate::service::consumer::ConsumerName;
use crate::service::stream::Definition;

/// Lists a page.
pub(super) async fn answer(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let (stream, after) = match input.get_text("NextToken") {
        Some(token) => continued(call, &input, token)?,
        None => {
            let stream = call.stream(&input)?;
            call.check_created(&stream, &input)?;
            (stream, None)
        }
    };
    let limit = input.get_integer("MaxResults").and_then(|limit| usize::try_from(limit).ok());
    let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = stream.consumers.range::<ConsumerName, _>((from, Bound::Unbounded));
    let page: Vec<_> =
        rest.by_ref().take(limit.unwrap_or(LIST_CONSUMERS_DEFAULT)).map(|(_, consumer)| consumer).collect();
    let more = rest.next().is_some();
    let next = page.last().filter(|_| more).map(|last| {
        let page = ConsumerPage { stream: stream.id, after: last.name.clone() };
        page.close(call.seal(), call.now())
    });
    let shown = page.into_iter().map(|consumer| consumer_value(call, &stream, consumer, ACTIVE, false));
    Ok(Some(Value::structure([
        ("Consumers", Some(Value::List(shown.collect()))),
        ("NextToken", next.and_then(Value::text)),
    ])))
}

/// The list that a token goes on with; paginators repeat the parameters of the first call beside it.
fn continued(
    call: Call<'_>,
    input: &Value,
    token: &str,
) -> Result<(Arc<Definition>, Option<ConsumerName>), Fault> {
    let opened = ConsumerPage::open(call.seal(), token);
    let (page, made) = opened.ok_or_else(|| invalid("Invalid NextToken."))?;
    if call.is_expired(made) {
        return Err(Fault::of_caller("ExpiredNextTokenException", "The NextToken has expired."));
    }
    let stream = call.core().streams().get(page.stream).ok_or_else(|| no_stream_of_id(page.stream))?;
    if call.find(StreamNames::of(input))?.id != page.stream {
        return Err(invalid("The NextToken is not of the stream that is named."));
    }
    Ok((Arc::clone(stream.definition()), Some(page.after)))
}
