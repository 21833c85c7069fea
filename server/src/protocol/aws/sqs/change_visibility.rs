//! ChangeMessageVisibility and ChangeMessageVisibilityBatch.

use std::time::Duration;

use super::super::Fault;
use super::super::value::Value;
use super::batch;
use super::call::Call;
use super::error::{missing, receipt_fault};
use super::input::number;
use super::limits::VISIBILITY_S;
use crate::service::queue::{Definition, Receipt, ReceiptError};

/// Hides a message for so long from now on, and answers when that is durable.
pub(super) async fn one(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let queue = call.queue(&input)?;
    let (change, handle) = (read(call, &queue, &input)?, handle(&input));
    let changed = call.core().change_visibility(queue.id, vec![change]).await;
    told(changed.into_iter().next(), handle).map(|()| None)
}

/// Hides up to ten, each with a fate of its own.
pub(super) async fn many(call: Call<'_>, mut input: Value) -> Result<Option<Value>, Fault> {
    let queue = call.queue(&input)?;
    let entries = batch::entries(&mut input, "ChangeMessageVisibilityBatchRequestEntry")?;
    let changes: Vec<_> = entries.iter().map(|entry| read(call, &queue, &entry.input)).collect();
    let known = changes.iter().filter_map(|change| change.as_ref().ok()).copied().collect();
    let mut changed = call.core().change_visibility(queue.id, known).await.into_iter();
    let fates = entries.iter().zip(changes).map(|(entry, change)| {
        let fate = change.and_then(|_| told(changed.next(), handle(&entry.input)));
        (entry.id.clone(), fate.map(|()| Value::Structure(Vec::new())))
    });
    Ok(Some(batch::answer(fates.collect())))
}

fn handle(input: &Value) -> &str {
    input.get_text("ReceiptHandle").unwrap_or_default()
}

fn read(call: Call<'_>, queue: &Definition, input: &Value) -> Result<(Receipt, Duration), Fault> {
    let receipt = call.receipt(queue, handle(input))?;
    let seconds = number(input, "VisibilityTimeout", &VISIBILITY_S)?;
    let seconds = seconds.ok_or_else(|| missing("VisibilityTimeout"))?;
    Ok((receipt, Duration::from_secs(seconds.into())))
}

fn told(changed: Option<Result<(), ReceiptError>>, handle: &str) -> Result<(), Fault> {
    changed.unwrap_or(Err(ReceiptError::Closing)).map_err(|error| receipt_fault(&error, handle))
}
