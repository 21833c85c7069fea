//! Records and messages that the server pushes.

use bytes::Bytes;
use tidemill_wire::RequestId;
use tidemill_wire::message::{Consume, MessageCredit, RequestBody, Subscribe};
use tokio::sync::mpsc;

use super::pending::{PUSHES_QUEUED_MAX, Waiter};
use super::{Answer, Connection};
use crate::ClientError;

/// An open subscription; dropping it ends it at the server too.
#[derive(Debug)]
pub(crate) struct Subscription {
    connection: Connection,
    id: RequestId,
    pushes: mpsc::Receiver<Result<Answer, ClientError>>,
}

impl Connection {
    /// Subscribes; the first push, or the refusal, comes from [`Subscription::next`].
    pub(crate) fn subscribe(&self, subscribe: Subscribe) -> Result<Subscription, ClientError> {
        self.open_subscription(RequestBody::Subscribe(subscribe))
    }

    /// Consumes a queue; the first push, or the refusal, comes from [`Subscription::next`].
    pub(crate) fn consume(&self, consume: Consume) -> Result<Subscription, ClientError> {
        self.open_subscription(RequestBody::Consume(consume))
    }

    fn open_subscription(&self, body: RequestBody) -> Result<Subscription, ClientError> {
        let shared = self.shared();
        let (sender, pushes) = mpsc::channel(PUSHES_QUEUED_MAX);
        let waiter = Waiter::Many { pushes: sender };
        let id = shared.pending.open(waiter).map_err(|e| shared.not_sent(&e))?;
        shared.send(id, body, Bytes::new());
        Ok(Subscription { connection: self.clone(), id, pushes })
    }
}

impl Subscription {
    /// The next push, or what ends the subscription. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Answer, ClientError> {
        match self.pushes.recv().await {
            Some(answer) => answer,
            None => Err(self.connection.shared().disconnected("subscription is over")),
        }
    }

    /// Lets the server push so many more bytes of records.
    pub(crate) fn grant(&self, bytes: u64) {
        self.send_credit(RequestBody::Credit { subscription: self.id, bytes });
    }

    /// Lets the server push so many more messages.
    pub(crate) fn grant_messages(&self, messages: u32) {
        self.send_credit(RequestBody::MessageCredit(MessageCredit { consumer: self.id, messages }));
    }

    fn send_credit(&self, credit: RequestBody) {
        let shared = self.connection.shared();
        if shared.pending.is_open(self.id) {
            shared.send(shared.pending.unanswered(), credit, Bytes::new());
        }
    }

    /// The connection it lives on.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let shared = self.connection.shared();
        if shared.pending.is_open(self.id) {
            let end = RequestBody::Unsubscribe { subscription: self.id };
            shared.send(shared.pending.unanswered(), end, Bytes::new());
        }
    }
}
