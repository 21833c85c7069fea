//! DescribeLimits: what there is, and the most that the model has a number for, since streams and shards are bounded by configuration and
//! not by account.

use super::super::Fault;
use super::super::value::Value;
use super::call::Call;
use super::limits::SHARD_LIMIT_MAX;
use crate::service::capacity::Mode;

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
    Ok(Some(Value::structure([
        ("ShardLimit", Some(Value::Integer(SHARD_LIMIT_MAX))),
        ("OpenShardCount", Some(Value::Integer(open.min(SHARD_LIMIT_MAX)))),
        ("OnDemandStreamCount", Some(Value::Integer(on_demand))),
        ("OnDemandStreamCountLimit", Some(Value::Integer(SHARD_LIMIT_MAX))),
    ])))
}
