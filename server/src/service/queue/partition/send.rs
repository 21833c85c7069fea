//! A send: messages go into the log, those of a FIFO queue once.

use std::rc::Rc;

use futures_channel::oneshot;
use tidemill_storage::Env;
use tidemill_wire::Timestamp;
use tidemill_wire::message::Ack;

use super::Partition;
use crate::service::queue::dedup::{Key, Verdict, key_of};
use crate::service::queue::definition::Fifo;
use crate::service::queue::log::pack_messages;
use crate::service::queue::message::Message;
use crate::service::queue::operation::{SendError, Sent};

/// How a message is answered.
enum Answer {
    Ready(Result<Sent, SendError>),
    /// By its place among those that are written now.
    Written(usize),
    /// When the one that was sent before it is answered.
    Later(oneshot::Receiver<Result<Sent, SendError>>),
}

impl<E: Env> Partition<E> {
    /// Sends messages, in their order; each is durable when it is answered. A message that does not say when it was sent is sent now.
    pub async fn send(self: &Rc<Self>, mut messages: Vec<Message>) -> Vec<Result<Sent, SendError>> {
        let (now, definition) = (self.lane.now(), self.definition());
        for message in &mut messages {
            if message.sent == Timestamp(0) {
                message.sent = now;
            }
            // What the queue says later is not for what was sent before; for a FIFO queue it is.
            if !definition.is_fifo() {
                message.content.delay_s.get_or_insert(definition.settings.delay_s);
            }
        }
        let outcomes = match definition.settings.fifo {
            None => self.put(&messages.iter().collect::<Vec<_>>()).await,
            Some(fifo) => self.send_once(&messages, fifo).await,
        };
        self.tally.sent.add(outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64);
        outcomes
    }

    /// Writes messages as one entry.
    async fn put(&self, messages: &[&Message]) -> Vec<Result<Sent, SendError>> {
        let records = u32::try_from(messages.len()).unwrap_or(u32::MAX);
        let appended = match pack_messages(messages.iter().copied()) {
            Ok(payload) => {
                let appended = self.lane.append(self.place.messages, payload, records, Ack::Durable).await;
                appended.map_err(SendError::from)
            }
            Err(error) => Err(error),
        };
        let sent = |(message, place): (&&Message, u64)| {
            let appended = appended.as_ref().map_err(Clone::clone)?;
            Ok(Sent { id: message.id, sequence: appended.base_sequence.get() + place })
        };
        messages.iter().zip(0..).map(sent).collect()
    }

    async fn send_once(self: &Rc<Self>, messages: &[Message], fifo: Fifo) -> Vec<Result<Sent, SendError>> {
        let mut answers = Vec::with_capacity(messages.len());
        let mut written = Vec::new();
        loop {
            if let Err(error) = self.load().await {
                return messages.iter().map(|_| Err(error.clone().into())).collect();
            }
            let now = self.lane.now();
            let mut memory = self.recorder.memory.borrow_mut();
            let Some(memory) = &mut *memory else { continue };
            for message in messages {
                let key = key_of(message, fifo.scope).ok_or(SendError::NoDeduplication);
                let key =
                    key.and_then(|key| message.content.group.as_ref().map(|_| key).ok_or(SendError::NoGroup));
                answers.push(match key.map(|key| memory.known.look(key, now)) {
                    Err(error) => Answer::Ready(Err(error)),
                    Ok(Verdict::Known(sent)) => Answer::Ready(Ok(sent)),
                    Ok(Verdict::Full) => {
                        Answer::Ready(Err(SendError::TooManyKnown { limit: self.room.max() }))
                    }
                    Ok(Verdict::UnderWay(answer)) => Answer::Later(answer),
                    Ok(Verdict::New(key)) => {
                        written.push((key, message.clone()));
                        Answer::Written(written.len() - 1)
                    }
                });
            }
            break;
        }
        let outcomes = self.put_once(written).await;
        let mut sent = Vec::with_capacity(answers.len());
        for answer in answers {
            sent.push(match answer {
                Answer::Ready(outcome) => outcome,
                Answer::Written(place) => outcomes.get(place).cloned().unwrap_or(Err(SendError::Closing)),
                Answer::Later(answer) => answer.await.unwrap_or(Err(SendError::Closing)),
            });
        }
        sent
    }

    /// Writes messages that were not sent before, and tells those who wait for them. Goes on if whoever sent them goes.
    async fn put_once(self: &Rc<Self>, messages: Vec<(Key, Message)>) -> Vec<Result<Sent, SendError>> {
        if messages.is_empty() {
            return Vec::new();
        }
        let (tell, told) = oneshot::channel();
        let partition = Rc::clone(self);
        let work = self.recorder.begin();
        // Queued at once, so that the order of sends is the order of the messages.
        let mut writing = Box::pin(async move {
            let only: Vec<&Message> = messages.iter().map(|(_, message)| message).collect();
            let outcomes = partition.put(&only).await;
            if let Some(memory) = &mut *partition.recorder.memory.borrow_mut() {
                for ((key, message), outcome) in messages.iter().zip(&outcomes) {
                    memory.known.settle(key, message.sent, outcome);
                }
            }
            drop(work);
            // Whoever sent them may have gone.
            let _ = tell.send(outcomes);
        });
        if futures_lite::future::poll_once(&mut writing).await.is_none() {
            self.env.spawn(writing);
        }
        told.await.unwrap_or_default()
    }
}
