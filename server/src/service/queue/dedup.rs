//! Sent twice is sent once: the messages of a FIFO queue that came within five minutes, by their deduplication ids.
//!
//! Made anew from the messages after a start, which are kept in the log for as long, also when they were deleted. All of a core share one [`Room`]: when it is taken up, what is
//! new is refused until the first are five minutes old, for to forget one sooner could be to send it twice.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use foldhash::fast::FixedState;
use futures_channel::oneshot;
use hashbrown::HashMap;
use tidemill_wire::Timestamp;

use super::definition::Scope;
use super::message::{Message, hash};
use super::operation::{SendError, Sent};

/// How long a deduplication id tells the same, as in
/// [SQS](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/using-messagededuplicationid-property.html).
pub(super) const WINDOW: Duration = Duration::from_secs(300);

/// Memory is given back when there is room for so many times what is remembered, so that little is moved.
const SPARE_TIMES: usize = 16;
/// Places for fewer than so many are kept, however few are in use.
const SPARE_MIN: usize = 1_024;

/// Stands for a message's id, with its group where ids tell only within groups: the first half of their SHA-256.
pub(super) type Key = [u8; 16];
/// Told what became of a message.
type Waiter = oneshot::Sender<Result<Sent, SendError>>;

/// Messages that may be remembered on a core.
#[derive(Debug)]
pub struct Room {
    taken: Cell<u64>,
    max: u64,
}

impl Room {
    /// Room for so many.
    #[must_use]
    pub fn new(max: u64) -> Rc<Self> {
        Rc::new(Self { taken: Cell::new(0), max })
    }

    /// Messages that may be remembered.
    pub(super) fn max(&self) -> u64 {
        self.max
    }

    fn is_full(&self) -> bool {
        self.taken.get() >= self.max
    }

    fn take(&self) {
        self.taken.set(self.taken.get() + 1);
    }

    fn give_back(&self, count: u64) {
        self.taken.set(self.taken.get() - count);
    }
}

/// Messages of the last minutes.
#[derive(Debug)]
pub(super) struct Deduplication {
    room: Rc<Room>,
    /// What it has of the room: one for each that is under way or in the order.
    held: u64,
    known: HashMap<Key, Known, FixedState>,
    /// In the order of their times.
    order: VecDeque<(Timestamp, u64, Key)>,
}

#[derive(Debug)]
enum Known {
    /// It is being written.
    UnderWay(Vec<Waiter>),
    /// It was sent.
    Sent(Sent),
}

/// What is to be done with a message.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is to be written, and to be [settled](Deduplication::settle) then.
    New(Key),
    /// It was sent before.
    Known(Sent),
    /// As many are remembered as may be.
    Full,
    /// It is being sent.
    UnderWay(oneshot::Receiver<Result<Sent, SendError>>),
}

/// The key of a message, if it has an id. One that was moved from another queue is told by what it is: there, others may have had its id before.
pub(super) fn key_of(message: &Message, scope: Scope) -> Option<Key> {
    if message.dead_letter_source.is_some() {
        return Some(hash(b"id", &message.id.0, b""));
    }
    let group = match scope {
        Scope::Queue => "",
        Scope::Group => message.content.group.as_deref().unwrap_or_default(),
    };
    Some(hash(b"deduplication", message.content.deduplication.as_ref()?.as_bytes(), group.as_bytes()))
}

impl Drop for Deduplication {
    fn drop(&mut self) {
        self.room.give_back(self.held);
    }
}

impl Deduplication {
    /// Remembers nothing yet.
    pub(super) fn new(room: Rc<Room>) -> Self {
        let known = HashMap::with_hasher(FixedState::default());
        Self { room, held: 0, known, order: VecDeque::new() }
    }

    /// Looks whether a message was sent before.
    pub(super) fn look(&mut self, key: Key, now: Timestamp) -> Verdict {
        self.forget(now);
        match self.known.get_mut(&key) {
            Some(Known::Sent(sent)) => Verdict::Known(*sent),
            Some(Known::UnderWay(waiters)) => {
                let (waiter, answer) = oneshot::channel();
                waiters.push(waiter);
                Verdict::UnderWay(answer)
            }
            None if self.room.is_full() => Verdict::Full,
            None => {
                self.take_room();
                self.known.insert(key, Known::UnderWay(Vec::new()));
                Verdict::New(key)
            }
        }
    }

    /// Says what became of a message that was new at that time.
    pub(super) fn settle(&mut self, key: &Key, at: Timestamp, outcome: &Result<Sent, SendError>) {
        let before = self.known.remove(key);
        if matches!(before, Some(Known::UnderWay(_))) {
            // Taken anew if it is remembered.
            self.give_room();
        }
        if let Ok(sent) = outcome {
            self.remember(*key, at, *sent);
        }
        if let Some(Known::UnderWay(waiters)) = before {
            for waiter in waiters {
                // Whoever waits may have gone.
                let _ = waiter.send(outcome.clone());
            }
        }
    }

    /// Takes in a message that was sent at that time, whether there is room or not. They come in the order in which they were sent.
    pub(super) fn remember(&mut self, key: Key, at: Timestamp, sent: Sent) {
        self.take_room();
        self.known.insert(key, Known::Sent(sent));
        self.order.push_back((at, sent.sequence, key));
    }

    /// The oldest message that is needed.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.order.front().map(|(_, sequence, _)| *sequence)
    }

    /// Forgets those whose time is over.
    pub(super) fn forget(&mut self, now: Timestamp) {
        let window = u64::try_from(WINDOW.as_millis()).unwrap_or(u64::MAX);
        while let Some((_, sequence, key)) =
            self.order.pop_front_if(|(at, ..)| at.0.saturating_add(window) <= now.0)
        {
            self.give_room();
            // One that was sent again since is another.
            if matches!(self.known.get(&key), Some(Known::Sent(sent)) if sent.sequence == sequence) {
                self.known.remove(&key);
            }
        }
        self.give_memory_back();
    }

    /// Lets go of memory that many more have needed.
    fn give_memory_back(&mut self) {
        let spare = self.order.capacity() / SPARE_TIMES;
        if self.order.capacity() > SPARE_MIN && self.order.len() < spare {
            self.order.shrink_to(2 * self.order.len());
            self.known.shrink_to(2 * self.known.len());
        }
    }

    fn take_room(&mut self) {
        self.held += 1;
        self.room.take();
    }

    fn give_room(&mut self) {
        self.held -= 1;
        self.room.give_back(1);
    }
}

#[cfg(test)]
mod tests;
