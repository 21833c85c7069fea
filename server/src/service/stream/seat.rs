//! Seats: each consumer has one at each shard, and whoever sits there reads the shard at the consumer's own rate.
//!
//! Owned by the core that owns the shard, so that takers from all cores meet in one place. A seat that is taken may be taken over after a while; who sat
//! there is told. Invariant: of the takers of a seat one reads, the last, and all of them together no more than the consumer's rate
//! (`tests::seats`). What is kept is bounded by the consumers and shards there are.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_lite::future::or;
use tidemill_storage::Env;
use tidemill_wire::message::Quota;
use tidemill_wire::{ShardIndex, StreamId, Timestamp};

use super::definition::Definition;
use super::error::{FeedError, SeatError};
use super::fetch::{Delivery, Fetch};
use super::table::Streams;
use crate::service::consumer::ConsumerName;
use crate::service::quota::ShardQuota;

/// Which seat is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The stream.
    pub stream: StreamId,
    /// The shard.
    pub shard: ShardIndex,
    /// The consumer.
    pub consumer: ConsumerName,
    /// When it was registered: one of the same name that came later is another.
    pub registered: Timestamp,
}

/// Tells one taker of a seat from those before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn(u64);

/// Something to read for whoever sits in a seat.
#[derive(Clone, Debug)]
pub struct Feed {
    /// The seat.
    pub place: Place,
    /// Who sits there.
    pub turn: Turn,
    /// What is to be read.
    pub fetch: Fetch,
}

/// A seat.
pub(super) struct Seat {
    registered: Timestamp,
    turn: Cell<u64>,
    taken: Cell<Duration>,
    quota: RefCell<ShardQuota>,
    /// There is no such consumer any more.
    is_gone: Cell<bool>,
    /// Of the one who waits in the seat.
    waker: RefCell<Option<Waker>>,
}

/// The seats at the shards of one stream.
type StreamSeats = BTreeMap<(ShardIndex, ConsumerName), Rc<Seat>>;

/// The seats at the shards that a core owns.
#[derive(Default)]
pub(super) struct Seats {
    by_stream: RefCell<BTreeMap<StreamId, StreamSeats>>,
}

impl<E: Env> Streams<E> {
    /// Takes a seat, or takes it over from somebody who has had it for `hold` at least.
    ///
    /// # Errors
    /// When there is no such seat, or it was taken a moment ago.
    pub fn sit(&self, place: &Place, hold: Duration) -> Result<Turn, SeatError> {
        let known = self.get(place.stream).ok_or(SeatError::UnknownStream { stream: place.stream })?;
        let definition = known.served();
        let (stream, shard) = (place.stream, place.shard);
        known.local(shard).ok_or(SeatError::UnknownShard { stream, shard })?;
        let consumer = definition.consumers.get(&place.consumer);
        if consumer.is_none_or(|consumer| consumer.created != place.registered) {
            return Err(SeatError::UnknownConsumer { consumer: place.consumer.clone() });
        }
        let now = self.env.monotonic();
        let mut seats = self.seats.by_stream.borrow_mut();
        let seats = seats.entry(stream).or_default();
        if let Some(seat) = seats.get(&(shard, place.consumer.clone())) {
            if now.saturating_sub(seat.taken.get()) < hold {
                return Err(SeatError::Taken { consumer: place.consumer.clone() });
            }
            seat.taken.set(now);
            seat.turn.set(seat.turn.get() + 1);
            seat.wake();
            return Ok(Turn(seat.turn.get()));
        }
        let seat = Seat {
            registered: place.registered,
            turn: Cell::new(0),
            taken: Cell::new(now),
            quota: RefCell::new(ShardQuota::new(rate_of(definition))),
            is_gone: Cell::new(false),
            waker: RefCell::default(),
        };
        seats.insert((shard, place.consumer.clone()), Rc::new(seat));
        Ok(Turn(0))
    }

    /// Reads a shard for whoever sits in a seat, at the consumer's rate and not at the shard's. Ends when the seat is lost.
    ///
    /// # Errors
    /// When the seat is lost, or the shard cannot be read.
    pub async fn feed(&self, feed: Feed, enough: impl Future<Output = ()>) -> Result<Delivery, FeedError> {
        let Feed { place, turn, fetch } = feed;
        let Some(seat) = self.seats.find(&place) else {
            return Err(FeedError::UnknownConsumer { consumer: place.consumer });
        };
        let lost = async {
            seat.lost(turn).await;
            Err(if seat.is_gone.get() {
                FeedError::UnknownConsumer { consumer: place.consumer.clone() }
            } else {
                FeedError::TakenOver { consumer: place.consumer.clone() }
            })
        };
        let read = async { Ok(self.fetch_at(fetch, &seat, enough).await?) };
        or(lost, read).await
    }
}

impl Seats {
    fn find(&self, place: &Place) -> Option<Rc<Seat>> {
        let seats = self.by_stream.borrow();
        let seat = seats.get(&place.stream)?.get(&(place.shard, place.consumer.clone()))?;
        (seat.registered == place.registered).then(|| Rc::clone(seat))
    }

    /// A stream has changed: the seats of consumers that are gone are, too, and the others have the rate of the stream.
    pub(super) fn change(&self, now_ns: u64, definition: &Definition) {
        let mut seats = self.by_stream.borrow_mut();
        let Some(of_stream) = seats.get_mut(&definition.id) else { return };
        of_stream.retain(|(shard, name), seat| {
            let known = definition.consumers.get(name);
            let is_known = known.is_some_and(|known| known.created == seat.registered);
            // A shard whose records are over has no seats either.
            let stays = is_known && definition.position(*shard).is_some();
            if stays {
                seat.quota.borrow_mut().change(now_ns, rate_of(definition));
            } else {
                seat.leave();
            }
            stays
        });
        if of_stream.is_empty() {
            seats.remove(&definition.id);
        }
    }

    /// A stream is gone, and its seats with it.
    pub(super) fn forget(&self, stream: StreamId) {
        let gone = self.by_stream.borrow_mut().remove(&stream);
        gone.iter().flat_map(BTreeMap::values).for_each(|seat| seat.leave());
    }
}

impl Seat {
    /// What its taker may read.
    pub(super) fn quota(&self) -> RefMut<'_, ShardQuota> {
        self.quota.borrow_mut()
    }

    /// Resolves when a taker has lost it. One waits at a time: whoever came before was told already.
    async fn lost(&self, turn: Turn) {
        poll_fn(|context| {
            if self.is_gone.get() || self.turn.get() != turn.0 {
                return Poll::Ready(());
            }
            let mut waker = self.waker.borrow_mut();
            if !waker.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
                *waker = Some(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    fn leave(&self) {
        self.is_gone.set(true);
        self.wake();
    }

    /// The executor's wakers only put a task into its queue, so nothing runs here.
    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// A consumer reads as much as all others of the stream together may without one.
fn rate_of(definition: &Definition) -> Quota {
    Quota { read_bytes_per_second: definition.quota.read_bytes_per_second, ..Quota::OFF }
}
