//! Pushes messages of a queue as they come, as long as the client grants credit.
//!
//! A consumer is a task that receives and pushes; it waits for messages, for credit, and for the peer to take what it was sent, and ends with a last answer that says why.
//! What it has pushed is in flight as what a receive hands out, and comes back when its visibility is over.

use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::or;
use tidemill_wire::message::{Consume, ErrorCode, Failure, MessageCredit, SubscriptionEnded};
use tidemill_wire::{RequestId, SequenceNumber};

use super::connection::{Connection, Ticket};
use super::limits::PUSH_WAIT;
use super::message_error::receive_failure;
use super::receive_messages::{check_count, check_visibility, deliver};
use super::subscribe::{self, Subscription, Unit};
use crate::service::queue::Receive;

/// Begins to push.
pub(super) fn begin(ticket: Ticket, asked: Consume) {
    let checked = check_count(asked.messages_max).and_then(|()| check_visibility(asked.visibility_s));
    let visibility = match checked {
        Ok(visibility) => visibility,
        Err(failure) => return ticket.settle(Err(failure)),
    };
    let subscription = match subscribe::open(&ticket, Unit::Messages, asked.credit.into()) {
        Ok(subscription) => subscription,
        Err(failure) => return ticket.settle(Err(failure)),
    };
    let (connection, id) = (Rc::clone(&ticket.connection), ticket.id);
    let core = Rc::clone(connection.core());
    core.spawn(async move { push(&connection, id, asked, visibility, &subscription).await });
}

/// Lets a consumer be pushed more. Credit for one that has just ended is no mistake of the client's.
pub(super) fn credit(connection: &Connection, credit: MessageCredit) {
    subscribe::grant(connection, credit.consumer, Unit::Messages, credit.messages.into());
}

async fn push(
    connection: &Rc<Connection>,
    id: RequestId,
    asked: Consume,
    visibility: Option<Duration>,
    subscription: &Subscription,
) {
    let Failure { code, message, .. } = push_all(connection, id, asked, visibility, subscription).await;
    let ended = SubscriptionEnded { code, message, next_sequence: SequenceNumber(0) };
    subscribe::close(connection, id, ended);
}

/// Pushes until something ends it. Only waits are given up: what is being received is pushed, for it is in flight.
async fn push_all(
    connection: &Rc<Connection>,
    id: RequestId,
    asked: Consume,
    visibility: Option<Duration>,
    subscription: &Subscription,
) -> Failure {
    let core = connection.core();
    loop {
        let stop = async { Err(subscription.ends(connection).await) };
        let go = async {
            connection.room().await;
            Ok(u32::try_from(subscription.credit().await).unwrap_or(u32::MAX))
        };
        let credit = match or(stop, go).await {
            Ok(credit) => credit,
            Err(true) => return Failure::new(ErrorCode::Unsubscribed, "unsubscribed"),
            Err(false) => return Failure::new(ErrorCode::ShuttingDown, "the server is going down"),
        };
        let receive = Receive {
            queue: asked.queue,
            messages_max: credit.min(asked.messages_max),
            visibility,
            wait: PUSH_WAIT,
            attempt: None,
        };
        let gone = async {
            subscription.ends(connection).await;
        };
        match core.receive_messages_until(receive, gone).await {
            // The wait was longer than a step, or it is over.
            Ok(received) if received.is_empty() => {}
            Ok(received) => {
                connection.room().await;
                subscription.spend(received.len() as u64);
                deliver(connection, id, &received);
            }
            Err(error) => return receive_failure(&error),
        }
    }
}
