//! Pushes the records of a shard as they come, as long as the client grants credit.
//!
//! A subscription is a task that fetches and pushes; it waits for records, for credit, for the shard's read quota and for the peer to take what it was
//! sent, and ends with a last answer that says why and where to go on.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::or;
use tidemill_wire::message::{ErrorCode, Failure, Position, ResponseBody, Subscribe, SubscriptionEnded};
use tidemill_wire::{RequestId, SequenceNumber};

use super::connection::{Connection, Ticket};
use super::error::fetch_failure;
use super::fetch::{check_readable, deliver};
use super::limits::{PUSH_BYTES_MAX, PUSH_WAIT, SUBSCRIPTIONS_MAX};
use crate::service::stream::{self, Delivery, FetchError};
use crate::shard::{Event, Signal};

/// What the connection holds of a subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    /// What credit counts.
    unit: Unit,
    /// What may be pushed. An entry is pushed whole, so the last one may take more than is there.
    credit: Cell<u64>,
    granted: Signal,
    unsubscribed: Event,
}

/// What a subscription's credit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Bytes of entries of a shard.
    Bytes,
    /// Messages of a queue.
    Messages,
}

/// Why a subscription ends.
enum Ending {
    Failed(FetchError),
    Unreadable(Failure),
    Unsubscribed,
    ShuttingDown,
    ShardEnd,
}

/// Begins to push.
pub(super) fn begin(ticket: Ticket, asked: Subscribe) {
    let subscription = match open(&ticket, Unit::Bytes, asked.credit_bytes) {
        Ok(subscription) => subscription,
        Err(failure) => return ticket.settle(Err(failure)),
    };
    let (connection, id) = (Rc::clone(&ticket.connection), ticket.id);
    let core = Rc::clone(connection.core());
    core.spawn(async move { push(&connection, id, asked, &subscription).await });
}

/// Has the connection know a subscription, if it may have another one.
pub(super) fn open(ticket: &Ticket, unit: Unit, credit: u64) -> Result<Rc<Subscription>, Failure> {
    let mut subscriptions = ticket.connection.subscriptions.borrow_mut();
    if subscriptions.contains_key(&ticket.id) {
        let text = "a subscription with this request's id is open";
        return Err(Failure::new(ErrorCode::InvalidRequest, text));
    }
    if subscriptions.len() >= SUBSCRIPTIONS_MAX {
        let limit = SUBSCRIPTIONS_MAX as u64;
        let failure = Failure::new(ErrorCode::TooManyInFlight, "too many subscriptions");
        return Err(failure.with_limit(limit, limit));
    }
    let (credit, granted, unsubscribed) = (Cell::new(credit), Signal::default(), Event::default());
    let subscription = Rc::new(Subscription { unit, credit, granted, unsubscribed });
    subscriptions.insert(ticket.id, Rc::clone(&subscription));
    ticket.connection.core().metrics().open_subscriptions.rise();
    Ok(subscription)
}

/// Tells the peer why a subscription ends, and has the connection forget it.
pub(super) fn close(connection: &Connection, id: RequestId, ended: SubscriptionEnded) {
    connection.core().metrics().open_subscriptions.fall();
    connection.subscriptions.borrow_mut().remove(&id);
    connection.core().metrics().count_error(ended.code);
    connection.answer(id, ResponseBody::SubscriptionEnded(ended));
    connection.one_less();
}

/// Lets a subscription push more. Credit for one that has just ended is no mistake of the client's.
pub(super) fn grant(connection: &Connection, id: RequestId, unit: Unit, more: u64) {
    if let Some(subscription) = connection.subscriptions.borrow().get(&id)
        && subscription.unit == unit
    {
        subscription.credit.set(subscription.credit.get().saturating_add(more));
        subscription.granted.notify();
    }
}

impl Subscription {
    /// What may be pushed, as soon as it is anything.
    pub(super) async fn credit(&self) -> u64 {
        self.granted.until(|| Some(self.credit.get()).filter(|credit| *credit > 0)).await
    }

    /// So much was pushed.
    pub(super) fn spend(&self, pushed: u64) {
        self.credit.set(self.credit.get().saturating_sub(pushed));
    }

    /// Resolves when nothing more is to be pushed, with whether that is the peer's wish.
    pub(super) async fn ends(&self, connection: &Connection) -> bool {
        let gone = or(connection.ended.wait(), self.unsubscribed.wait());
        or(connection.core().stopping().wait(), gone).await;
        self.unsubscribed.has_happened() || connection.ended.has_happened()
    }
}

/// Ends a subscription, which answers for itself; refuses when there is none.
pub(super) fn end(ticket: Ticket, id: RequestId) {
    let subscription = ticket.connection.subscriptions.borrow().get(&id).cloned();
    match subscription {
        Some(subscription) => subscription.unsubscribed.happen(),
        None => {
            let text = format!("no subscription {id} on this connection");
            ticket.settle(Err(Failure::new(ErrorCode::UnknownSubscription, text)));
        }
    }
}

async fn push(connection: &Rc<Connection>, id: RequestId, asked: Subscribe, subscription: &Subscription) {
    let next = Cell::new(None);
    let stop = async {
        if subscription.ends(connection).await { Ending::Unsubscribed } else { Ending::ShuttingDown }
    };
    let ending = or(stop, push_all(connection, id, asked, subscription, &next)).await;
    let (code, message) = match ending {
        Ending::Failed(error) => {
            let failure = fetch_failure(&error);
            (failure.code, failure.message)
        }
        Ending::Unreadable(failure) => (failure.code, failure.message),
        Ending::Unsubscribed => (ErrorCode::Unsubscribed, "unsubscribed".to_owned()),
        Ending::ShuttingDown => (ErrorCode::ShuttingDown, "the server is going down".to_owned()),
        Ending::ShardEnd => {
            (ErrorCode::ShardClosed, "the shard is closed and was read to its end".to_owned())
        }
    };
    let next_sequence = next.get().unwrap_or(match asked.position {
        Position::Sequence(sequence) => sequence,
        Position::Timestamp(_) | Position::Oldest | Position::Newest => SequenceNumber(0),
    });
    close(connection, id, SubscriptionEnded { code, message, next_sequence });
}

/// Pushes until something ends it; `next` is where it has come to.
async fn push_all(
    connection: &Rc<Connection>,
    id: RequestId,
    asked: Subscribe,
    subscription: &Subscription,
    next: &Cell<Option<SequenceNumber>>,
) -> Ending {
    let core = connection.core();
    if asked.position == Position::Newest {
        // Now, and not when there is credit.
        let newest = step(&asked, asked.position, 1, Duration::ZERO);
        match core.fetch(newest).await {
            Ok(delivery) => next.set(Some(delivery.from)),
            Err(error) => return Ending::Failed(error),
        }
    }
    loop {
        let credit = usize::try_from(subscription.credit().await).unwrap_or(usize::MAX);
        let bytes_max = credit.min(PUSH_BYTES_MAX);
        connection.room().await;
        // The first step does not wait: it tells where the position is, for an end that comes before any record.
        let (position, wait) =
            next.get().map_or((asked.position, Duration::ZERO), |next| (Position::Sequence(next), PUSH_WAIT));
        let fetch = step(&asked, position, bytes_max, wait);
        match core.fetch(fetch).await {
            Ok(delivery) => {
                if let Err(failure) = check_readable(connection, &delivery.entries) {
                    return Ending::Unreadable(failure);
                }
                next.set(Some(delivery.next));
                let Delivery { bytes, closed, .. } = delivery;
                if bytes > 0 {
                    subscription.spend(bytes as u64);
                    deliver(connection, id, delivery);
                }
                if closed {
                    return Ending::ShardEnd;
                }
            }
            // The wait was longer than a step; the next step waits on.
            Err(FetchError::Throttled { wait, .. }) => {
                core.metrics().throttled_fetches.increment();
                crate::shard::sleep(wait.duration().min(PUSH_WAIT)).await;
            }
            Err(error) => return Ending::Failed(error),
        }
    }
}

/// One of the fetches that a subscription is made of.
fn step(asked: &Subscribe, position: Position, bytes_max: usize, wait: Duration) -> stream::Fetch {
    let kind = stream::ReadKind::Flow;
    stream::Fetch { stream: asked.stream, shard: asked.shard, position, bytes_max, wait, kind }
}
