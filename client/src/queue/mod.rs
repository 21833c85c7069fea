//! A queue's messages: send, receive, delete, hide for longer, have pushed, count, and move from a dead-letter queue.
//!
//! Leaves out what a consumer does between a receive and a delete: who takes longer than a message is hidden [extends](Queue::extend) that in time.

mod consumer;
mod message;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidemill_wire::limits::{LIST_QUEUES_MAX, QUEUE_BATCH_MESSAGES_MAX, RECEIVE_WAIT_MS_MAX};
use tidemill_wire::message::{
    DeleteMessages, ErrorCode, ExtendMessages, Failure, ListDeadLetterSources, MessageCounts, MessageReceipt,
    Move, QueueDescription, ReceiveMessages, RefusedItem, RequestBody, ResponseBody, SendMessages,
    SentMessage, StartMove,
};
use tidemill_wire::{QueueId, QueueName};

pub use self::consumer::{ConsumeOptions, QueueConsumer};
pub use self::message::{Outgoing, Received};
use crate::admin::QueuePage;
use crate::ask::{Repeat, ask};
use crate::connection::{Answer, Connection};
use crate::pool::Pool;
use crate::{AttributesError, ClientError, ProtocolError};

/// What became of a message that was sent.
pub type SendOutcome = Result<SentMessage, RefusedItem>;

/// A queue to send to and receive from. Made by [`Client::queue`](crate::Client::queue); cheap to clone.
#[derive(Clone, Debug)]
pub struct Queue {
    pool: Arc<Pool>,
    description: Arc<QueueDescription>,
}

/// What is wanted of a receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiveOptions {
    /// So many messages at most, 1 to 1,000; more than ten may come only where they are small. Default 10.
    pub messages_max: u32,
    /// How long to wait for the first one, up to a minute. Default: not at all.
    pub wait: Duration,
    /// How long they are hidden from others, in whole seconds, up to 12 hours. Default: what the queue says.
    pub visibility: Option<Duration>,
    /// Names the attempt, of FIFO queues only: 1 to 128 printable ASCII characters. The same one within five minutes gets the same messages, ten at most, while all of them are hidden still, so that
    /// an answer that was lost holds up none of their groups. Default: none.
    pub attempt: Option<String>,
}

impl Default for ReceiveOptions {
    fn default() -> Self {
        Self { messages_max: 10, wait: Duration::ZERO, visibility: None, attempt: None }
    }
}

impl Queue {
    pub(crate) fn new(pool: Arc<Pool>, description: QueueDescription) -> Self {
        Self { pool, description: Arc::new(description) }
    }

    /// The queue as it was when this was made.
    #[must_use]
    pub fn description(&self) -> &QueueDescription {
        &self.description
    }

    fn id(&self) -> QueueId {
        self.description.id
    }

    /// Sends messages, 1 to 1,000, and tells of each what became of it; those that were taken are durable. After a lost connection the whole is an error of which it
    /// is not known whether the messages were taken, unless it is known that they were not. A refusal of all of them that passes is tried again as the client's policy says; one of some is left to the caller
    /// ([`ErrorCode::is_retryable`]).
    pub async fn send(&self, messages: &[Outgoing]) -> Result<Vec<SendOutcome>, ClientError> {
        let (heads, payload) = message::pack(messages).map_err(|error| unfit(&error))?;
        let body = RequestBody::SendMessages(SendMessages { queue: self.id(), messages: heads });
        let (connection, answer) = ask(&self.pool, body, payload, Repeat::NotOnceSent).await?;
        match answer.body {
            ResponseBody::SentMessages(sent) if sent.sent.len() == messages.len() => {
                let mut outcomes: Vec<SendOutcome> = sent.sent.into_iter().map(Ok).collect();
                for refused in sent.refused {
                    // Decoding has checked that there is such a message.
                    if let Some(outcome) = outcomes.get_mut(refused.index as usize) {
                        *outcome = Err(refused);
                    }
                }
                Ok(outcomes)
            }
            other => Err(connection.misfit("send messages", &other)),
        }
    }

    /// Receives messages, which are hidden from others then; none if there are none in time. When the answer is lost, what it had comes back when its visibility is over, or with the next try if
    /// the attempt has a name.
    pub async fn receive(&self, options: ReceiveOptions) -> Result<Vec<Received>, ClientError> {
        let receive = ReceiveMessages {
            queue: self.id(),
            messages_max: options.messages_max.clamp(1, QUEUE_BATCH_MESSAGES_MAX),
            wait_ms: u32::try_from(options.wait.as_millis())
                .map_or(RECEIVE_WAIT_MS_MAX, |wait| wait.min(RECEIVE_WAIT_MS_MAX)),
            visibility_s: options.visibility.map(seconds),
            attempt: options.attempt,
        };
        let body = RequestBody::ReceiveMessages(receive);
        let (connection, answer) = ask(&self.pool, body, Bytes::new(), Repeat::Harmless).await?;
        self.unpack(&connection, answer, "receive messages")
    }

    fn unpack(
        &self,
        connection: &Connection,
        answer: Answer,
        request: &'static str,
    ) -> Result<Vec<Received>, ClientError> {
        match answer.body {
            ResponseBody::ReceivedMessages(heads) => message::unpack(&heads, answer.payload)
                .map_err(|error| self.pool.protocol(ProtocolError::Parts(error))),
            other => Err(connection.misfit(request, &other)),
        }
    }

    /// Deletes messages for ever, 1,000 at most, and tells which were refused, by index. One that is gone already is none of them.
    pub async fn delete(&self, receipts: &[MessageReceipt]) -> Result<Vec<RefusedItem>, ClientError> {
        let delete = DeleteMessages { queue: self.id(), receipts: receipts.to_vec() };
        self.settle(RequestBody::DeleteMessages(delete), "delete messages").await
    }

    /// Hides messages for so long from now on, 1,000 at most; no time at all brings them back at once. Tells which were refused, by index.
    pub async fn extend(
        &self,
        receipts: &[MessageReceipt],
        visibility: Duration,
    ) -> Result<Vec<RefusedItem>, ClientError> {
        let extensions = receipts.iter().map(|receipt| (*receipt, seconds(visibility))).collect();
        let extend = ExtendMessages { queue: self.id(), extensions };
        self.settle(RequestBody::ExtendMessages(extend), "extend messages").await
    }

    async fn settle(
        &self,
        body: RequestBody,
        request: &'static str,
    ) -> Result<Vec<RefusedItem>, ClientError> {
        match self.ask(body, Repeat::Harmless).await? {
            (_, ResponseBody::SettledMessages(refused)) => Ok(refused),
            (connection, other) => Err(connection.misfit(request, &other)),
        }
    }

    /// Has messages pushed, as many as [`ConsumeOptions::credit`] allows to be in hand.
    #[must_use]
    pub fn consume(&self, options: ConsumeOptions) -> QueueConsumer {
        QueueConsumer::new(self.clone(), options)
    }

    /// Deletes every message that was sent before.
    pub async fn purge(&self) -> Result<(), ClientError> {
        match self.ask(RequestBody::PurgeQueue(self.id()), Repeat::Harmless).await? {
            (_, ResponseBody::Done) => Ok(()),
            (connection, other) => Err(connection.misfit("purge queue", &other)),
        }
    }

    /// How many messages there are, about.
    pub async fn counts(&self) -> Result<MessageCounts, ClientError> {
        match self.ask(RequestBody::CountMessages(self.id()), Repeat::Harmless).await? {
            (_, ResponseBody::MessageCounts(counts)) => Ok(counts),
            (connection, other) => Err(connection.misfit("count messages", &other)),
        }
    }

    /// Begins to move the messages of this dead-letter queue to another one, or each to the one that it came from; at most so many each second, 0 for as many as can be.
    pub async fn start_move(
        &self,
        target: Option<&QueueName>,
        messages_per_second: u32,
    ) -> Result<Move, ClientError> {
        let start = StartMove { queue: self.id(), target: target.cloned(), messages_per_second };
        self.one_move(RequestBody::StartMove(start), Repeat::NotOnceSent, "start move").await
    }

    /// Ends a move; what it has moved stays where it is.
    pub async fn cancel_move(&self, number: u64) -> Result<Move, ClientError> {
        let cancel = RequestBody::CancelMove { queue: self.id(), number };
        self.one_move(cancel, Repeat::NotOnceSent, "cancel move").await
    }

    async fn one_move(
        &self,
        body: RequestBody,
        repeat: Repeat,
        request: &'static str,
    ) -> Result<Move, ClientError> {
        match self.ask(body, repeat).await? {
            (connection, ResponseBody::MoveList(mut moves)) => match (moves.pop(), moves.len()) {
                (Some(one), 0) => Ok(one),
                _ => Err(connection.misfit(request, &ResponseBody::MoveList(moves))),
            },
            (connection, other) => Err(connection.misfit(request, &other)),
        }
    }

    /// The last moves of this dead-letter queue's messages, the newest first.
    pub async fn moves(&self) -> Result<Vec<Move>, ClientError> {
        match self.ask(RequestBody::ListMoves(self.id()), Repeat::Harmless).await? {
            (_, ResponseBody::MoveList(moves)) => Ok(moves),
            (connection, other) => Err(connection.misfit("list moves", &other)),
        }
    }

    /// A page of the queues whose dead letters come to this one, which follow `after` in order of their names.
    pub async fn dead_letter_sources(&self, after: Option<&QueueName>) -> Result<QueuePage, ClientError> {
        let list = ListDeadLetterSources { queue: self.id(), after: after.cloned(), limit: LIST_QUEUES_MAX };
        match self.ask(RequestBody::ListDeadLetterSources(list), Repeat::Harmless).await? {
            (_, ResponseBody::QueueList { queues, more }) => Ok(QueuePage { queues, more }),
            (connection, other) => Err(connection.misfit("list dead-letter sources", &other)),
        }
    }

    async fn ask(
        &self,
        body: RequestBody,
        repeat: Repeat,
    ) -> Result<(Connection, ResponseBody), ClientError> {
        let (connection, answer) = ask(&self.pool, body, Bytes::new(), repeat).await?;
        Ok((connection, answer.body))
    }
}

/// Whole seconds, more rather than less.
fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX)
}

/// Attributes that no message can have are refused here as the server would.
fn unfit(error: &AttributesError) -> ClientError {
    ClientError::Refused(Failure::new(ErrorCode::InvalidRequest, error.to_string()))
}
