//! DescribeLimits: what all streams together have, and what they may have.

use super::super::Fault;
use super::super::value::Value;
use super::call::Call;
use super::limits::SHARD_LIMIT_MAX;
use crate::service::capacity::Mode;
use crate::service::catalog::AccountLimits;

/// Streams that are looked at in one go.
const PAGE: usize = 1_000;

/// Counts the open shards of all streams.
pub(super) async fn answer(call: Call<'_>) -> Result<Option<Value>, Fault> {
    let mut open = 0_i64;
    let (mut after, mut on_demand) = (None, 0_i64);
    loop {
        let (page, more) = call.core().streams().list(after.as_ref(), PAGE);
        for stream in &page {
            let shards = stream.open_shards();
            on_demand += i64::from(stream.capacity.mode == Mode::OnDemand);
            open = open.saturating_add(i64::try_from(shards).unwrap_or(i64::MAX));
        }
        after = page.last().map(|stream| stream.name.clone());
        if !more {
            break;
        }
    }
    let AccountLimits { shards, on_demand_streams } = call.limits();
    // The model has no greater numbers.
    let limit = |bound: u32| Some(Value::Integer(i64::from(bound).min(SHARD_LIMIT_MAX)));
    Ok(Some(Value::structure([
        ("ShardLimit", limit(shards)),
        ("OpenShardCount", Some(Value::Integer(open.min(SHARD_LIMIT_MAX)))),
        ("OnDemandStreamCount", Some(Value::Integer(on_demand))),
        ("OnDemandStreamCountLimit", limit(on_demand_streams)),
    ])))
}
