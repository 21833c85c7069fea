//! ListStreams: in the order of their names, a page at a time.

use tidemill_wire::StreamName;

use super::super::Fault;
use super::super::value::Value;
use super::call::Call;
use super::error::invalid;
use super::limits::LIST_STREAMS_DEFAULT;
use super::stream_mode::mode_value;
use super::token::{close_stream_page, open_stream_page};

/// Answers from what this core knows, which is everything that was answered as created.
pub(super) async fn answer(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let limit = input.get_integer("Limit").and_then(|limit| usize::try_from(limit).ok());
    let after = after(call, &input)?;
    let streams = call.core().streams();
    let (page, more) = streams.list(after.as_ref(), limit.unwrap_or(LIST_STREAMS_DEFAULT));
    let next = page.last().filter(|_| more);
    let next = next.map(|last| close_stream_page(call.seal(), call.now(), &last.name));
    let names = page.iter().map(|stream| Value::Text(stream.name.to_string())).collect();
    let summaries = page.iter().map(|stream| {
        Value::structure([
            ("StreamName", Value::text(stream.name.as_str())),
            ("StreamARN", Value::text(call.arn(&stream.name))),
            ("StreamStatus", Value::text(call.status(stream).as_str())),
            ("StreamModeDetails", Some(mode_value(&stream.capacity))),
            ("StreamCreationTimestamp", Some(Value::Timestamp(stream.created))),
        ])
    });
    Ok(Some(Value::structure([
        ("StreamNames", Some(Value::List(names))),
        ("HasMoreStreams", Some(Value::Boolean(more))),
        ("NextToken", next.and_then(Value::text)),
        ("StreamSummaries", Some(Value::List(summaries.collect()))),
    ])))
}

fn after(call: Call<'_>, input: &Value) -> Result<Option<StreamName>, Fault> {
    match (input.get_text("NextToken"), input.get_text("ExclusiveStartStreamName")) {
        (Some(_), Some(_)) => {
            Err(invalid("NextToken and ExclusiveStartStreamName cannot be provided together."))
        }
        (Some(token), None) => {
            let (after, made) =
                open_stream_page(call.seal(), token).ok_or_else(|| invalid("Invalid NextToken."))?;
            if call.is_expired(made) {
                return Err(Fault::of_caller("ExpiredNextTokenException", "The NextToken has expired."));
            }
            Ok(Some(after))
        }
        (None, Some(name)) => StreamName::new(name).map(Some).map_err(|error| invalid(error.to_string())),
        (None, None) => Ok(None),
    }
}
