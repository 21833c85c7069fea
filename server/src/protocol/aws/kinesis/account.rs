//! DescribeAccountSettings and UpdateAccountSettings: whether the account has committed itself to a minimum throughput. Nobody bills it; who has may keep
//! streams warm, as with AWS.

use super::super::Fault;
use super::super::value::Value;
use super::call::Call;
use super::error::catalog_fault;
use crate::service::commitment::{Commitment, CommitmentStatus};

/// DescribeAccountSettings.
pub(super) async fn describe(call: Call<'_>) -> Result<Option<Value>, Fault> {
    answer(call, None).await
}

/// UpdateAccountSettings. A commitment that is ended before it has lasted a day ends then.
pub(super) async fn update(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let asked = input.get("MinimumThroughputBillingCommitment");
    let status = asked.and_then(|asked| asked.get_text("Status"));
    answer(call, Some(status == Some("ENABLED"))).await
}

async fn answer(call: Call<'_>, is_wanted: Option<bool>) -> Result<Option<Value>, Fault> {
    let commitment = call.core().catalog().commitment(is_wanted).await;
    let commitment = commitment.map_err(|error| catalog_fault(&error, |_| None))?;
    Ok(Some(Value::structure([("MinimumThroughputBillingCommitment", Some(value(call, &commitment)))])))
}

fn value(call: Call<'_>, commitment: &Commitment) -> Value {
    let status = commitment.status(call.now());
    let text = match status {
        CommitmentStatus::Disabled => "DISABLED",
        CommitmentStatus::Enabled => "ENABLED",
        CommitmentStatus::Ending => "ENABLED_UNTIL_EARLIEST_ALLOWED_END",
    };
    let is_known = commitment.started.get() != 0;
    let is_on = status != CommitmentStatus::Disabled;
    Value::structure([
        ("Status", Value::text(text)),
        ("StartedAt", is_known.then_some(Value::Timestamp(commitment.started))),
        ("EndedAt", (is_known && !is_on).then_some(Value::Timestamp(commitment.ended))),
        ("EarliestAllowedEndAt", is_on.then(|| Value::Timestamp(commitment.earliest_end()))),
    ])
}
