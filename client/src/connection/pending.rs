//! Requests that are not answered yet, by id.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tidemill_wire::RequestId;
use tidemill_wire::message::ResponseBody;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::Answer;
use crate::{ClientError, ProtocolError};

/// Pushes that wait for one subscriber. Credit bounds their bytes, which only the server can count exactly: it forgives what
/// an entry takes beyond its credit, at a moment that the client cannot know. This bounds a server that counts wrongly.
pub(super) const PUSHES_QUEUED_MAX: usize = 1 << 16;

type Outcome = Result<Answer, ClientError>;

/// Who waits for answers to a request.
#[derive(Debug)]
pub(super) enum Waiter {
    /// One answer ends it.
    Once { answer: oneshot::Sender<Outcome>, permits: Vec<OwnedSemaphorePermit> },
    /// Pushes come as long as there is credit, until the subscription's end.
    Many { pushes: mpsc::Sender<Outcome> },
}

/// An open request.
#[derive(Debug)]
pub(super) struct Entry {
    waiter: Waiter,
    /// The writer has begun to write it, so the server may have it.
    pub(super) written: bool,
}

impl Entry {
    pub(super) fn fail(self, error: ClientError) {
        match self.waiter {
            Waiter::Once { answer, .. } => drop(answer.send(Err(error))),
            // A full queue loses the error, but not the end that follows it.
            Waiter::Many { pushes } => drop(pushes.try_send(Err(error))),
        }
    }
}

/// The open requests of one connection, until it closes.
#[derive(Debug, Default)]
pub(super) struct Pending {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    entries: BTreeMap<u64, Entry>,
    closed: Option<ClientError>,
}

impl Pending {
    /// Registers a waiter, or tells why the connection is closed.
    pub(super) fn open(&self, waiter: Waiter) -> Result<RequestId, ClientError> {
        let mut state = self.lock();
        if let Some(error) = &state.closed {
            return Err(error.clone());
        }
        let id = state.next_id();
        state.entries.insert(id.0, Entry { waiter, written: false });
        Ok(id)
    }

    /// An id for a request that is not answered.
    pub(super) fn unanswered(&self) -> RequestId {
        self.lock().next_id()
    }

    /// Notes that the writer begins to write these.
    pub(super) fn written(&self, ids: impl Iterator<Item = RequestId>) {
        let mut state = self.lock();
        for id in ids {
            if let Some(entry) = state.entries.get_mut(&id.0) {
                entry.written = true;
            }
        }
    }

    /// Whether a request is still open.
    pub(super) fn is_open(&self, id: RequestId) -> bool {
        self.lock().entries.contains_key(&id.0)
    }

    /// Hands an answer to its waiter.
    pub(super) fn answer(&self, id: RequestId, answer: Answer) -> Result<(), ProtocolError> {
        let mut state = self.lock();
        let Some(entry) = state.entries.get(&id.0) else {
            // Credit, and the end of a subscription, may be refused: the subscription is over by then, or the server is
            // going down.
            return match answer.body {
                ResponseBody::Failed(_) => Ok(()),
                _ => Err(ProtocolError::UnknownRequest { id: id.0 }),
            };
        };
        if let (Waiter::Many { pushes }, ResponseBody::Fetched(_) | ResponseBody::ReceivedMessages(_)) =
            (&entry.waiter, &answer.body)
        {
            return match pushes.try_send(Ok(answer)) {
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
                Err(mpsc::error::TrySendError::Full(_)) => Err(ProtocolError::Flood { id: id.0 }),
            };
        }
        let Some(entry) = state.entries.remove(&id.0) else { return Ok(()) };
        drop(state);
        match entry.waiter {
            // The caller may have stopped waiting.
            Waiter::Once { answer: waiter, permits } => {
                drop(permits);
                drop(waiter.send(Ok(answer)));
            }
            Waiter::Many { pushes } => drop(pushes.try_send(Ok(answer))),
        }
        Ok(())
    }

    /// Closes for good and returns the open requests; `None` if it was closed already.
    pub(super) fn close(&self, error: &ClientError) -> Option<Vec<Entry>> {
        let mut state = self.lock();
        if state.closed.is_some() {
            return None;
        }
        state.closed = Some(error.clone());
        Some(std::mem::take(&mut state.entries).into_values().collect())
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed.is_some()
    }

    /// Why it is closed.
    pub(super) fn reason(&self) -> ClientError {
        self.lock().closed.clone().expect("asked for only after closing")
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that runs under the lock leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next_id(&mut self) -> RequestId {
        self.last_id += 1;
        RequestId(self.last_id)
    }
}

#[cfg(test)]
mod tests;
