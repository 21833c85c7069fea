//! What consumers say about messages: done with, or to be hidden for longer or shorter.

use std::rc::Rc;
use std::time::Duration;

use tidemill_wire::message::{DeleteMessages, ExtendMessages, Failure, MessageReceipt, ResponseBody};

use super::connection::Ticket;
use super::message_error::{for_all, receipt_failure, refused};
use super::receive_messages::check_visibility;
use crate::service::queue::{QueueId, Receipt, ReceiptError};

/// Deletes messages, and answers when that is durable.
pub(super) fn delete(ticket: Ticket, asked: DeleteMessages) {
    let core = Rc::clone(ticket.connection.core());
    let DeleteMessages { queue, receipts } = asked;
    let receipts = receipts.iter().map(|named| receipt(queue, named)).collect();
    core.clone().spawn(async move {
        let deleted = core.delete_messages(queue, receipts).await;
        ticket.settle(settled(&deleted));
    });
}

/// Hides messages for so long, and answers when that is durable.
pub(super) fn extend(ticket: Ticket, asked: ExtendMessages) {
    let core = Rc::clone(ticket.connection.core());
    let ExtendMessages { queue, extensions } = asked;
    let mut changes = Vec::with_capacity(extensions.len());
    for (named, seconds) in &extensions {
        match check_visibility(Some(*seconds)) {
            Ok(visibility) => changes.push((receipt(queue, named), visibility.unwrap_or(Duration::ZERO))),
            Err(failure) => return ticket.settle(Err(failure)),
        }
    }
    core.clone().spawn(async move {
        let changed = core.change_visibility(queue, changes).await;
        ticket.settle(settled(&changed));
    });
}

fn receipt(queue: QueueId, named: &MessageReceipt) -> Receipt {
    let MessageReceipt { sequence, receives, partition } = *named;
    Receipt { queue, partition, sequence, receives }
}

fn settled(outcomes: &[Result<(), ReceiptError>]) -> Result<ResponseBody, Failure> {
    let failures = outcomes.iter().enumerate().filter_map(|(index, outcome)| {
        let error = outcome.as_ref().err()?;
        Some((index, receipt_failure(error)))
    });
    let failures: Vec<(usize, Failure)> = failures.collect();
    if let Some(failure) = for_all(&failures, outcomes.len()) {
        return Err(failure);
    }
    let refused = failures.iter().map(|(index, failure)| refused(*index, failure));
    Ok(ResponseBody::SettledMessages(refused.collect()))
}
