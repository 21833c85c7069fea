//! DescribeAccountSettings: there are none that this server could change, and it says so.

use super::super::Fault;
use super::super::value::Value;

/// Nobody has committed to anything.
pub(super) async fn describe() -> Result<Option<Value>, Fault> {
    let commitment = Value::structure([("Status", Value::text("DISABLED"))]);
    Ok(Some(Value::structure([("MinimumThroughputBillingCommitment", Some(commitment))])))
}
