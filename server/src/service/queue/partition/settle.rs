//! What consumers say about messages that they received: done, or to be hidden for longer or shorter.

use std::rc::Rc;
use std::time::Duration;

use tidemill_storage::Env;

use super::Partition;
use super::receive::later;
use crate::service::queue::gone::give_back;
use crate::service::queue::journal::Event;
use crate::service::queue::operation::ReceiptError;
use crate::service::queue::state::{HIDDEN_MAX_MS, Standing};

/// A message and which receive of it.
type Named = (u64, u32);

impl<E: Env> Partition<E> {
    /// Deletes messages. One that is gone already is no error; of a FIFO queue one that is no longer in flight is.
    pub async fn delete(self: &Rc<Self>, messages: &[Named]) -> Vec<Result<(), ReceiptError>> {
        let is_fifo = self.definition().is_fifo();
        let outcomes = self
            .settle(
                messages,
                |partition, standing| match standing {
                    Standing::InFlight { .. } => Ok(true),
                    Standing::Lapsed if is_fifo => Err(ReceiptError::NotInFlight),
                    Standing::Lapsed => Ok(true),
                    // Its deletion may still be under way: then this one waits for the same.
                    Standing::Gone => Ok(partition.recorder.is_writing()),
                    Standing::Never => Err(ReceiptError::Invalid),
                },
                |index| messages[index].0,
                Event::Deleted,
            )
            .await;
        self.tally.deleted.add(outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64);
        outcomes
    }

    /// Hides messages in flight for so long from now on.
    pub async fn hide(self: &Rc<Self>, changes: &[(Named, Duration)]) -> Vec<Result<(), ReceiptError>> {
        let names: Vec<Named> = changes.iter().map(|(named, _)| *named).collect();
        let now = self.lane.now();
        let mut at = 0;
        self.settle(
            &names,
            |_, standing| {
                let until = later(now, changes[at].1);
                at += 1;
                match standing {
                    Standing::InFlight { received } => {
                        let hidden_ms = until.0.saturating_sub(received.0);
                        let (seconds, limit) = (hidden_ms.div_ceil(1_000), HIDDEN_MAX_MS / 1_000);
                        if seconds > limit { Err(ReceiptError::TooLong { seconds, limit }) } else { Ok(true) }
                    }
                    Standing::Lapsed | Standing::Gone => Err(ReceiptError::NotInFlight),
                    Standing::Never => Err(ReceiptError::Invalid),
                }
            },
            |index| (names[index].0, later(now, changes[index].1)),
            Event::Hidden,
        )
        .await
    }

    /// Judges each message by where it stands, and writes down what becomes of those for whom something does.
    async fn settle<T>(
        self: &Rc<Self>,
        messages: &[Named],
        mut judge: impl FnMut(&Self, Standing) -> Result<bool, ReceiptError>,
        item: impl Fn(usize) -> T,
        event: impl FnOnce(Vec<T>) -> Event,
    ) -> Vec<Result<(), ReceiptError>> {
        let refuse = |error: ReceiptError| messages.iter().map(|_| Err(error.clone())).collect();
        let (verdicts, written) = loop {
            if let Err(error) = self.load().await {
                return refuse(error.into());
            }
            if let Err(error) = self.recorder.admits() {
                return refuse(error.into());
            }
            let now = self.lane.now();
            let mut memory = self.recorder.memory.borrow_mut();
            let Some(memory) = &mut *memory else { continue };
            memory.state.advance(now);
            let verdicts: Vec<_> = messages
                .iter()
                .map(|(sequence, receives)| judge(self, memory.state.standing(*sequence, *receives)))
                .collect();
            let affected = verdicts.iter().enumerate().filter(|(_, verdict)| matches!(verdict, Ok(true)));
            let items: Vec<T> = affected.map(|(index, _)| item(index)).collect();
            if items.is_empty() {
                break (verdicts, None);
            }
            let event = event(items);
            memory.state.apply(&event);
            memory.state.advance(now);
            break (verdicts, Some(self.write(memory, &event)));
        };
        let outcome = match written {
            Some(written) => written.await,
            None => Ok(()),
        };
        let settled = |verdict: Result<bool, ReceiptError>| match (verdict?, &outcome) {
            (true, Err(error)) => Err(ReceiptError::from(error.clone())),
            _ => Ok(()),
        };
        verdicts.into_iter().map(settled).collect()
    }

    /// Deletes messages that were moved elsewhere, or are too old.
    pub async fn remove(self: &Rc<Self>, messages: Vec<u64>) -> Result<(), ReceiptError> {
        if messages.is_empty() {
            return Ok(());
        }
        self.record(|_| Ok(Event::Deleted(messages.clone()))).await
    }

    /// Deletes every message that was sent before.
    pub async fn purge(self: &Rc<Self>) -> Result<(), ReceiptError> {
        let queue = self.definition().id;
        self.record(|partition| {
            let bounds = partition.lane.bounds(partition.place.messages);
            let below = bounds.map_err(|_| ReceiptError::UnknownQueue { queue })?.next.get();
            Ok(Event::Purged { below })
        })
        .await
    }

    /// Does what an event says, and writes it down.
    async fn record(
        self: &Rc<Self>,
        event: impl Fn(&Self) -> Result<Event, ReceiptError>,
    ) -> Result<(), ReceiptError> {
        let written = loop {
            self.load().await?;
            self.recorder.admits()?;
            let event = event(self)?;
            let mut memory = self.recorder.memory.borrow_mut();
            let Some(memory) = &mut *memory else { continue };
            memory.state.apply(&event);
            memory.tail.pass(memory.state.cursor());
            give_back(&self.env, memory.state.take_gone());
            break self.write(memory, &event);
        };
        Ok(written.await?)
    }
}
