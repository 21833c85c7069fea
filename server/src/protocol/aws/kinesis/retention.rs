//! IncreaseStreamRetentionPeriod and DecreaseStreamRetentionPeriod.

use std::sync::Arc;

use tidemill_wire::message::Settings;

use super::super::Fault;
use super::super::value::Value;
use super::call::{Call, key};
use super::error::{invalid, update_fault};
use super::limits::{RETENTION_HOURS_MAX, RETENTION_HOURS_MIN};
use crate::service::stream::Definition;

const HOUR_MS: i64 = 3_600_000;

/// Keeps records for longer. The present length is no mistake and no change.
pub(super) async fn increase(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let (stream, hours) = asked(call, &input)?;
    let present = hours_of(&stream);
    if hours < present {
        return Err(invalid(format!(
            "Requested retention period ({hours} hours) for stream {} can not be shorter than existing retention period ({present} hours). \
             Use DecreaseRetentionPeriod API.",
            stream.name
        )));
    }
    change(call, &stream, hours).await
}

/// Keeps records for less long; those that are older go at once.
pub(super) async fn decrease(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let (stream, hours) = asked(call, &input)?;
    let present = hours_of(&stream);
    if hours > present {
        return Err(invalid(format!(
            "Requested retention period ({hours} hours) for stream {} can not be longer than existing retention period ({present} hours). \
             Use IncreaseRetentionPeriod API.",
            stream.name
        )));
    }
    change(call, &stream, hours).await
}

/// Whole hours for which a stream keeps its records, rounded up; the most that Kinesis knows if there is no bound.
pub(super) fn hours_of(stream: &Definition) -> i64 {
    match stream.retention_ms() {
        0 => RETENTION_HOURS_MAX,
        age_ms => i64::try_from(age_ms.div_ceil(HOUR_MS.unsigned_abs())).unwrap_or(RETENTION_HOURS_MAX),
    }
}

/// Milliseconds of so many hours.
pub(super) fn hours_to_ms(hours: i64) -> u64 {
    hours.saturating_mul(HOUR_MS).unsigned_abs()
}

fn asked(call: Call<'_>, input: &Value) -> Result<(Arc<Definition>, i64), Fault> {
    let stream = call.stream(input)?;
    let hours = input.get_integer("RetentionPeriodHours").unwrap_or_default();
    if hours < RETENTION_HOURS_MIN {
        return Err(invalid(format!(
            "Minimum allowed retention period is {RETENTION_HOURS_MIN} hours. Requested retention period ({hours} hours) is too short."
        )));
    }
    if hours > RETENTION_HOURS_MAX {
        return Err(invalid(format!(
            "Maximum allowed retention period is {RETENTION_HOURS_MAX} hours. Requested retention period ({hours} hours) is too long."
        )));
    }
    Ok((stream, hours))
}

async fn change(call: Call<'_>, stream: &Definition, hours: i64) -> Result<Option<Value>, Fault> {
    let settings = Settings { retention_ms: Some(hours_to_ms(hours)), ..Settings::default() };
    let updated = call.core().catalog().update(key(stream), settings).await;
    updated.map(|_| None).map_err(|error| update_fault(&error, stream.name.as_str(), call.account()))
}
