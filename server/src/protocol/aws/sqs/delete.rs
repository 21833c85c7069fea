//! DeleteMessage and DeleteMessageBatch.

use super::super::Fault;
use super::super::value::Value;
use super::batch;
use super::call::Call;
use super::error::{invalid_value, receipt_fault};
use crate::service::queue::ReceiptError;

/// Deletes a message, and answers when that is durable.
pub(super) async fn one(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let queue = call.queue(&input)?;
    let handle = input.get_text("ReceiptHandle").unwrap_or_default();
    let receipt = call.receipt(&queue, handle)?;
    let deleted = call.core().delete_messages(queue.id, vec![receipt]).await;
    told(deleted.into_iter().next(), handle).map(|()| None)
}

/// Deletes up to ten, each with a fate of its own.
pub(super) async fn many(call: Call<'_>, mut input: Value) -> Result<Option<Value>, Fault> {
    let queue = call.queue(&input)?;
    let entries = batch::entries(&mut input, "DeleteMessageBatchRequestEntry")?;
    let handles = entries.iter().map(|entry| entry.input.get_text("ReceiptHandle").unwrap_or_default());
    let receipts: Vec<_> = handles.clone().map(|handle| call.receipt(&queue, handle)).collect();
    let known = receipts.iter().filter_map(|receipt| receipt.as_ref().ok()).copied().collect();
    let mut deleted = call.core().delete_messages(queue.id, known).await.into_iter();
    let fates = entries.iter().zip(handles).zip(receipts).map(|((entry, handle), receipt)| {
        let fate = receipt.and_then(|_| told(deleted.next(), handle));
        (entry.id.clone(), fate.map(|()| Value::Structure(Vec::new())))
    });
    Ok(Some(batch::answer(fates.collect())))
}

/// What a consumer is told. One that comes late with a message of a FIFO queue has to know that others get it.
fn told(deleted: Option<Result<(), ReceiptError>>, handle: &str) -> Result<(), Fault> {
    match deleted.unwrap_or(Err(ReceiptError::Closing)) {
        Ok(()) => Ok(()),
        Err(ReceiptError::NotInFlight) => {
            Err(invalid_value(handle, "ReceiptHandle", "The receipt handle has expired."))
        }
        Err(error) => Err(receipt_fault(&error, handle)),
    }
}
