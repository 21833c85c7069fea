//! DeleteStream: the stream is gone on every core when this answers, so it is never seen as DELETING.

use super::super::Fault;
use super::super::value::Value;
use super::call::Call;
use super::error::delete_fault;

/// Deletes it. There are no consumers whose deletion would have to be enforced.
pub(super) async fn answer(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let stream = call.stream(&input)?;
    let deleted = call.core().catalog().delete(stream.name.clone()).await;
    deleted.map(|()| None).map_err(|error| delete_fault(&error, stream.name.as_str(), call.account()))
}
