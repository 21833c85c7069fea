//! A subscription on its way: the events of SubscribeToShard, made as their taker takes them.
//!
//! Nothing is read ahead: the next event is fetched when the one before was taken, and one that is not small takes room before it is written. So a
//! subscription has one event in memory at most, all of them together have a bound, and a consumer that takes none slows nobody but itself. Between events it waits in the consumer's seat, where the append
//! itself, or the loss of the seat, wakes it. It ends when its time is over, when the server goes down, at the end of a closed shard and after an error.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_lite::future::or;
use tidemill_wire::SequenceNumber;
use tidemill_wire::message::Position;

use super::super::message::{Piece, Pieces};
use super::super::output::Output;
use super::super::{Encoding, Fault, eventstream};
use super::call::{Call, numbering};
use super::error::{fetch_fault, not_found};
use super::limits::{EVENT_BYTES_MAX, GET_RECORDS_MAX, SMALL_EVENT_BYTES};
use super::page::{Page, children};
use super::sequence::Numbering;
use super::subscribe_to_shard::taken;
use super::write;
use crate::gate::budget::{Budget, Permit};
use crate::service::stream::{
    Definition, Delivery, Feed, FeedError, Fetch, FetchError, Place, ReadKind, Turn,
};
use crate::shard::{Core, sleep};

const EVENT: &str = "SubscribeToShardEvent";

/// A subscription.
pub(super) struct Subscription {
    core: Rc<Core>,
    room: Budget,
    encoding: Encoding,
    account: String,
    stream: Arc<Definition>,
    numbering: Numbering,
    place: Place,
    turn: Turn,
    /// When it has to end, on the core's clock.
    deadline: Duration,
    /// Time between events without records.
    keep_alive: Duration,
    stage: Stage,
    /// By how much it was behind at the last event.
    behind_ms: i64,
    /// Counts it as open.
    _open: Open,
}

/// Where it is.
enum Stage {
    /// Nothing was sent.
    Begun(Position),
    /// The initial response was sent.
    Positioned(Position),
    /// The records below a number were sent, and this much is fetched and not.
    Reading { next: SequenceNumber, rest: Option<Delivery> },
    /// The last event was sent.
    Over,
}

/// Counts an open subscription.
struct Open(Rc<Core>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.metrics().open_subscriptions.fall();
    }
}

/// What the next step of a subscription comes to.
enum Step {
    /// This is to be sent, and it goes on.
    Send(Bytes, Option<Permit>),
    /// This is to be sent, and it ends.
    SendLast(Bytes, Option<Permit>),
    /// It ends.
    End,
}

impl Subscription {
    /// The events from a position on, for whoever sits in the seat.
    pub(super) fn begin(
        call: Call<'_>,
        stream: &Arc<Definition>,
        place: Place,
        turn: Turn,
        position: Position,
    ) -> Pieces {
        let core = Rc::clone(&call.aws.core);
        core.metrics().open_subscriptions.rise();
        let times = call.aws.settings.subscription;
        let subscription = Self {
            deadline: core.monotonic() + times.length,
            keep_alive: times.keep_alive,
            room: call.aws.events.clone(),
            encoding: call.request.encoding,
            account: call.account().to_owned(),
            stream: Arc::clone(stream),
            numbering: numbering(stream, place.shard),
            place,
            turn,
            stage: Stage::Begun(position),
            behind_ms: 0,
            _open: Open(Rc::clone(&core)),
            core,
        };
        Box::pin(futures_lite::stream::unfold(subscription, |mut subscription| async move {
            let piece = subscription.next().await?;
            Some((piece, subscription))
        }))
    }

    /// The next piece to be sent; `None` at the end.
    async fn next(&mut self) -> Option<Piece> {
        if matches!(self.stage, Stage::Over) {
            return None;
        }
        let core = Rc::clone(&self.core);
        let left = self.deadline.saturating_sub(core.monotonic());
        let over = or(core.stopping().wait(), sleep(left));
        let over = async {
            over.await;
            Step::End
        };
        let step = {
            let work = pin!(self.step());
            or(over, work).await
        };
        let (bytes, room) = match step {
            Step::Send(bytes, room) => (bytes, room),
            Step::SendLast(bytes, room) => {
                self.stage = Stage::Over;
                (bytes, room)
            }
            Step::End => {
                self.stage = Stage::Over;
                return None;
            }
        };
        Some(Piece { bytes, room })
    }

    async fn step(&mut self) -> Step {
        let (position, wait) = match &mut self.stage {
            Stage::Begun(position) => {
                self.stage = Stage::Positioned(*position);
                let empty = write(self.encoding, 2, |out| {
                    out.begin_structure(0);
                    out.end_structure();
                });
                return Step::Send(eventstream::event("initial-response", self.encoding, &empty), None);
            }
            // The first does not wait: it tells where the position is, for an end that comes before any record.
            Stage::Positioned(position) => (*position, Duration::ZERO),
            Stage::Reading { next, rest } => {
                if let Some(delivery) = rest.take() {
                    let next = *next;
                    return self.event(delivery, next).await;
                }
                (Position::Sequence(*next), self.keep_alive)
            }
            Stage::Over => return Step::End,
        };
        loop {
            return match (self.fetch(position, wait).await, position) {
                (Ok(Some(delivery)), _) => {
                    let from = delivery.from;
                    self.event(delivery, from).await
                }
                (Ok(None), Position::Sequence(next)) => self.idle(next),
                // Where it is will be known when the rate allows the first look.
                (Ok(None), _) => continue,
                (Err(error), _) => self.failed(&error),
            };
        }
    }

    /// Reads what comes next. Nothing, if the consumer's rate did not allow it in time.
    async fn fetch(&self, position: Position, wait: Duration) -> Result<Option<Delivery>, FeedError> {
        let fetch = Fetch {
            stream: self.place.stream,
            shard: self.place.shard,
            position,
            bytes_max: EVENT_BYTES_MAX,
            wait,
            kind: ReadKind::Flow,
        };
        let feed = Feed { place: self.place.clone(), turn: self.turn, fetch };
        match self.core.feed(feed).await {
            Ok(delivery) => Ok(Some(delivery)),
            Err(FeedError::Fetch(FetchError::Throttled { wait, .. })) => {
                self.core.metrics().throttled_fetches.increment();
                sleep(wait.duration().min(self.keep_alive)).await;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// An event of what was fetched, from a number on.
    async fn event(&mut self, delivery: Delivery, from: SequenceNumber) -> Step {
        let (page, room) = match self.page(&delivery, from).await {
            Ok(found) => found,
            Err(fault) => return Step::SendLast(self.exception(&fault), None),
        };
        let is_last = delivery.closed && page.next >= delivery.end;
        self.behind_ms = page.behind_ms(delivery.end, self.core.now());
        let payload = write(self.encoding, page.encoded_bytes(), |out| {
            out.begin_structure(3);
            out.name("Records");
            page.put(out, &self.numbering);
            self.put_end(out, page.next, self.behind_ms, is_last);
            out.end_structure();
        });
        self.core.metrics().sent_records.add(page.count() as u64);
        let bytes = eventstream::event(EVENT, self.encoding, &payload);
        if is_last {
            return Step::SendLast(bytes, room);
        }
        let rest = (page.next < delivery.next).then_some(delivery);
        self.stage = Stage::Reading { next: page.next, rest };
        Step::Send(bytes, room)
    }

    /// Where the next subscription goes on: at the end of a closed shard with its children, before that after a number.
    fn put_end(&self, out: &mut impl Output, next: SequenceNumber, behind_ms: i64, is_last: bool) {
        if is_last {
            out.name("ChildShards");
            out.value(&children(&self.present(), self.place.shard));
        } else {
            out.name("ContinuationSequenceNumber");
            out.text(&self.numbering.before(next));
        }
        out.name("MillisBehindLatest");
        out.integer(behind_ms);
    }

    /// An event without records, which shows that the subscription lives.
    fn idle(&self, next: SequenceNumber) -> Step {
        let payload = write(self.encoding, 256, |out| {
            out.begin_structure(3);
            out.name("Records");
            out.begin_list(0);
            out.end_list();
            self.put_end(out, next, self.behind_ms, false);
            out.end_structure();
        });
        Step::Send(eventstream::event(EVENT, self.encoding, &payload), None)
    }

    /// The stream as it is now, for the children of a shard came after the subscription.
    fn present(&self) -> Arc<Definition> {
        let known = self.core.streams().get(self.place.stream);
        known.map_or_else(|| Arc::clone(&self.stream), |stream| Arc::clone(stream.definition()))
    }

    /// The records of an event, with room for it. Where others hold all the room, it has so few that it needs none, so that consumers who take
    /// nothing do not keep others from theirs; only a record that is larger by itself waits.
    async fn page(&self, delivery: &Delivery, from: SequenceNumber) -> Result<(Page, Option<Permit>), Fault> {
        let page = Page::collect(delivery, from, GET_RECORDS_MAX, EVENT_BYTES_MAX).await?;
        if page.is_within(SMALL_EVENT_BYTES) {
            return Ok((page, None));
        }
        // In memory as it is read and as it is written. What is larger than all the room there is gets all of it.
        let bytes = (2 * page.encoded_bytes() as u64).min(self.room.limit());
        if let Ok(permit) = self.room.try_take(bytes) {
            return Ok((page, Some(permit)));
        }
        let small = Page::collect(delivery, from, GET_RECORDS_MAX, SMALL_EVENT_BYTES).await?;
        if small.is_within(SMALL_EVENT_BYTES) {
            return Ok((small, None));
        }
        let bytes = (2 * small.encoded_bytes() as u64).min(self.room.limit());
        match self.room.take(bytes) {
            Ok(place) => Ok((small, Some(place.await))),
            // There is a place in line for every request that there may be at a time.
            Err(_) => Err(Fault::unavailable("no room for an event")),
        }
    }

    fn failed(&self, error: &FeedError) -> Step {
        let (stream, consumer) = (self.stream.name.as_str(), self.place.consumer.as_str());
        let fault = match error {
            FeedError::TakenOver { .. } => taken(&self.account, stream, consumer),
            FeedError::UnknownConsumer { .. } => {
                not_found(format!("Consumer {consumer} under account {} not found.", self.account))
            }
            FeedError::Fetch(FetchError::Closing) => return Step::End,
            FeedError::Fetch(error) => fetch_fault(error, stream, &self.account),
        };
        Step::SendLast(self.exception(&fault), None)
    }

    /// An error as an event. Those that the stream of events does not know are failures of the server's.
    fn exception(&self, fault: &Fault) -> Bytes {
        let known = ["ResourceInUseException", "ResourceNotFoundException"];
        let name = known.into_iter().find(|known| *known == fault.name).unwrap_or("InternalFailureException");
        let payload = write(self.encoding, 256, |out| {
            out.begin_structure(1);
            out.name("message");
            out.text(&fault.message);
            out.end_structure();
        });
        eventstream::exception(name, self.encoding, &payload)
    }
}
