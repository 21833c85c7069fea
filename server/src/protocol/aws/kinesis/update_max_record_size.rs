//! UpdateMaxRecordSize: puts are measured by the new size on every core when this answers, so a stream is never seen as UPDATING.

use super::super::Fault;
use super::super::value::Value;
use super::call::Call;
use super::error::{catalog_fault, invalid, no_stream_of_id};
use crate::service::catalog::RecordSizeError;

/// Changes it. Records that are there stay whatever their size.
pub(super) async fn answer(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let stream = call.stream(&input)?;
    let kib = u32::try_from(input.get_integer("MaxRecordSizeInKiB").unwrap_or_default());
    let kib = kib.map_err(|error| invalid(error.to_string()))?;
    let set = call.core().catalog().set_record_size(stream.id, kib).await;
    set.map(|()| None).map_err(|error| {
        catalog_fault(&error, |error| match error {
            RecordSizeError::Unknown { stream } => Some(no_stream_of_id(*stream)),
            RecordSizeError::OutOfRange { .. } => Some(invalid(error.to_string())),
            RecordSizeError::Store(_) => None,
        })
    })
}
