//! DeleteStream: the stream is gone on every core when this answers, so it is never seen as DELETING.

use super::super::Fault;
use super::super::value::Value;
use super::call::{Call, key};
use super::error::delete_fault;
use crate::service::catalog::OnConsumers;

/// Deletes it, and its consumers if that is enforced.
pub(super) async fn answer(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let stream = call.stream(&input)?;
    let on_consumers =
        if input.is_set("EnforceConsumerDeletion") { OnConsumers::Deregister } else { OnConsumers::Refuse };
    let deleted = call.core().catalog().delete(key(&stream), on_consumers).await;
    deleted.map(|()| None).map_err(|error| delete_fault(&error, stream.name.as_str(), call.account()))
}
