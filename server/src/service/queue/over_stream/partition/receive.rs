//! A receive: records are picked, hidden, and handed out once that is written down.

use std::time::Duration;

use tidemill_storage::Env;
use tidemill_wire::{ShardIndex, Timestamp};

use super::gather::{Found, GIVEN_BYTES_MAX, Gathered, bytes_of};
use super::{Memory, StreamPartition, later};
use crate::service::queue::gone::give_back;
use crate::service::queue::journal::Event;
use crate::service::queue::log::Written;
use crate::service::queue::operation::ReceiveError;
use crate::service::queue::over_stream::Side;
use crate::service::queue::over_stream::operation::{Named, StreamReceipt, StreamReceived};
use crate::service::queue::over_stream::source::Place;
use crate::service::queue::recorder::Recorded;
use crate::service::queue::shard_event::ShardEvent;
use crate::service::queue::state::{Ask, Pick, WINDOW_MAX};

/// Records in flight of one partition, as of a queue in
/// [Kinesis](https://docs.aws.amazon.com/streams/latest/dev/queues-quotas.html).
pub(super) const IN_FLIGHT_MAX: u64 = WINDOW_MAX;

/// What is wanted of a partition.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Of which records.
    pub side: Side,
    /// So many at most.
    pub records_max: usize,
    /// How long they are hidden.
    pub visibility: Duration,
}

/// A record that was picked.
struct Picked {
    place: Place,
    pick: Pick,
    received: Timestamp,
    /// The record, if it was at hand.
    record: Option<Found>,
}

/// What a receive knows before it reads.
struct Before {
    receives_max: Option<u32>,
    records_max: usize,
    /// More records may be looked at.
    is_roomy: bool,
    written: Vec<Recorded>,
}

/// One look at the records.
#[derive(Default)]
struct Round {
    /// Resolve when it is written down.
    written: Vec<Recorded>,
    picked: Vec<Picked>,
    /// Another look may find something.
    is_more: bool,
    /// Bytes of those that were picked.
    bytes: usize,
}

impl Round {
    /// How many records of a shard can be given of what is wanted, so that all have no more bytes than they may. The first one always can.
    fn affordable(
        &mut self,
        memory: &Memory,
        side: Side,
        shard: ShardIndex,
        ask: &Ask,
        gathered: &Gathered,
    ) -> usize {
        let back = memory.ledger.first_ready(side, shard, ask.receives_max, ask.messages_max);
        let back = back.into_iter().map(|sequence| gathered.back.get(&(shard, sequence)).map(Found::bytes));
        let tail = memory.tails.get(&shard).filter(|_| side == Side::Live).map(|ahead| &ahead.tail);
        let heads = tail.into_iter().flat_map(|tail| tail.heads().iter().map(move |head| (tail, head)));
        let heads = heads.filter(|(_, head)| head.over > ask.now);
        let fresh = heads.map(|(tail, head)| Some(tail.record(head.sequence).map_or(0, bytes_of)));
        for (count, bytes) in back.chain(fresh).take(ask.messages_max).enumerate() {
            let is_first = self.picked.is_empty() && count == 0;
            // One that came back since is not read yet, and may have any size.
            let bytes = bytes.or(is_first.then_some(GIVEN_BYTES_MAX));
            let Some(sum) = bytes.map(|bytes| self.bytes + bytes) else { return count };
            if sum > GIVEN_BYTES_MAX && !is_first {
                return count;
            }
            self.bytes = sum;
        }
        // What moves elsewhere or is over has no bytes, and more of it may be found.
        ask.messages_max
    }
}

impl<E: Env> StreamPartition<E> {
    /// Receives records; nothing if there are none now.
    pub async fn receive(&self, wanted: &Wanted) -> Result<Vec<StreamReceived>, ReceiveError> {
        let received = self.try_receive(wanted).await?;
        let count = received.len() as u64;
        match (count, wanted.side) {
            (0, _) => self.tally.empty_receives.increment(),
            (_, Side::Live) => self.tally.received.add(count),
            (_, Side::Dead) => self.tally.dead_received.add(count),
        }
        Ok(received)
    }

    async fn try_receive(&self, wanted: &Wanted) -> Result<Vec<StreamReceived>, ReceiveError> {
        self.is_used.set(true);
        self.receives.set(self.receives.get().wrapping_add(1));
        loop {
            self.ready().await?;
            let (round, unreadable) = {
                let _reading = self.reading.lock().await;
                let mut places = self.places();
                self.turns.order(wanted.side, &mut places);
                let Some(before) = self.prepare(&places, wanted)? else { continue };
                let mut gathered = self.gather(&places, wanted, before.receives_max).await;
                let Some(round) = self.look(&places, wanted, before, &mut gathered)? else { continue };
                (round, gathered.unreadable)
            };
            for written in round.written {
                written.await?;
            }
            let received = self.deliver(wanted.side, round.picked).await?;
            if !received.is_empty() || !round.is_more {
                return match unreadable {
                    Some(error) if received.is_empty() => Err(error.into()),
                    Some(_) | None => Ok(received),
                };
            }
        }
    }

    /// Says whether a receive may get something, and makes dead letters of what is to be one for it. `None` if the memory has gone.
    fn prepare(&self, places: &[Place], wanted: &Wanted) -> Result<Option<Before>, ReceiveError> {
        self.recorder.admits()?;
        let receives_max = self.definition().settings.receives_max;
        let now = self.lane.now();
        let mut memory = self.recorder.memory.borrow_mut();
        let Some(memory) = &mut *memory else { return Ok(None) };
        memory.ledger.advance(now);
        let (in_flight, limit) = (memory.ledger.in_flight(wanted.side), IN_FLIGHT_MAX);
        if in_flight >= limit {
            return Err(ReceiveError::OverLimit { in_flight, limit });
        }
        // Both hold for the whole receive, in which little is added.
        let is_roomy = memory.ledger.has_room();
        let receives_max = receives_max.filter(|_| memory.ledger.buries());
        let room = usize::try_from(limit - in_flight).unwrap_or(usize::MAX);
        let records_max = wanted.records_max.min(room);
        let (mut written, mut left) = (Vec::new(), records_max);
        let worn = receives_max.filter(|_| wanted.side == Side::Dead);
        for place in worn.map_or(&[][..], |_| places) {
            if left == 0 {
                break;
            }
            let buried = worn.and_then(|max| memory.ledger.bury(place.shard, now, max, left));
            if let Some(event) = buried {
                written.push(self.write(memory, &event));
            }
            left -= memory.ledger.deliverable(Side::Dead, Some(place.shard), left);
        }
        Ok(Some(Before { receives_max, records_max, is_roomy, written }))
    }

    /// Picks of what was gathered, and queues what that means for the journal. `None` if the memory has gone.
    fn look(
        &self,
        places: &[Place],
        wanted: &Wanted,
        before: Before,
        gathered: &mut Gathered,
    ) -> Result<Option<Round>, ReceiveError> {
        self.recorder.admits()?;
        let Before { receives_max, records_max, is_roomy, written } = before;
        let now = self.lane.now();
        let mut memory = self.recorder.memory.borrow_mut();
        let Some(memory) = &mut *memory else { return Ok(None) };
        memory.ledger.advance(now);
        let until = later(now, wanted.visibility);
        let mut round = Round { written, ..Round::default() };
        let cursor_of = |memory: &Memory| memory.ledger.cursor(places.first()?.shard);
        let first_cursor = cursor_of(memory);
        for place in places {
            let Ok(bounds) = self.lane.bounds(place.owner) else { continue };
            self.purge(memory, place, bounds.oldest.get(), &mut round);
            let messages_max = records_max - round.picked.len();
            if messages_max == 0 {
                break;
            }
            let count = memory.ahead(place.shard, self.receives.get()).heads().len();
            let mut ask = Ask { now, until, messages_max, receives_max };
            ask.messages_max = round.affordable(memory, wanted.side, place.shard, &ask, gathered);
            if ask.messages_max == 0 {
                // What is left of it is more than may be given, or came back meanwhile.
                break;
            }
            let Memory { ledger, tails, .. } = &mut *memory;
            let at_hand = tails.get(&place.shard).map_or(&[][..], |ahead| ahead.tail.heads());
            let taken = match wanted.side {
                Side::Live => ledger.receive(place.shard, &ask, if is_roomy { at_hand } else { &[] }),
                Side::Dead => ledger.receive_dead(place.shard, &ask),
            };
            if let Some(event) = taken.event {
                round.written.push(self.write(memory, &event));
            }
            round.is_more |= taken.is_more || !taken.picked.is_empty();
            let tail = memory.tails.get(&place.shard).map(|ahead| &ahead.tail);
            round.picked.extend(taken.picked.into_iter().map(|pick| {
                let record = tail.and_then(|tail| tail.record(pick.sequence)).cloned().map(Found::Record);
                let record = record.or_else(|| gathered.back.remove(&(place.shard, pick.sequence)));
                Picked { place: *place, pick, received: now, record }
            }));
            // All that was at hand may have been too old.
            let tail = memory.ahead(place.shard, self.receives.get());
            round.is_more |= count > 0 && tail.heads().is_empty() && tail.next() < bounds.next.get();
        }
        if let (Some(first), Some(cursor)) = (places.first(), cursor_of(memory)) {
            let read = memory.tails.get(&first.shard).map_or(cursor, |ahead| ahead.tail.next());
            self.turns.pass(wanted.side, places, read, cursor, first_cursor != Some(cursor));
        }
        Ok(Some(round))
    }

    /// Forgets what was too old and has gone. Later events follow this one.
    fn purge(&self, memory: &mut Memory, place: &Place, oldest: u64, round: &mut Round) {
        if memory.ledger.oldest(place.shard).is_some_and(|kept| kept < oldest) {
            let event = Event::Purged { below: oldest };
            let event = ShardEvent::Of { shard: place.shard, side: Side::Live, event };
            memory.ledger.apply(&event);
            give_back(&self.env, memory.ledger.take_gone());
            round.written.push(self.write(memory, &event));
        }
    }

    /// The records that were picked, but for those that are over or were compacted away: they go for ever.
    async fn deliver(&self, side: Side, picked: Vec<Picked>) -> Result<Vec<StreamReceived>, ReceiveError> {
        let queue = self.definition().id;
        let (mut received, mut gone) = (Vec::with_capacity(picked.len()), Vec::new());
        let mut unreadable = None;
        for Picked { place, pick: Pick { sequence, receives, first_received }, received: at, record } in
            picked
        {
            let record = match record {
                Some(found) => Some(found),
                None => self.read_back(&place, &[sequence], 0).await.pop().map(|(_, found)| found),
            };
            let record = match record {
                Some(Found::Record(record)) => Some(record),
                Some(Found::Gone) | None => None,
                // Others are not to wait for one that cannot be read.
                Some(Found::Unreadable(error)) => {
                    unreadable = Some(error);
                    continue;
                }
            };
            let now = self.lane.now();
            let record = record.filter(|record| self.head(record).over > now);
            let named = Named { shard: place.shard, sequence, receives, received: at };
            let Some(Written { key, data, at, .. }) = record else {
                gone.push(named);
                continue;
            };
            let receipt = StreamReceipt { queue, partition: self.index, side, named };
            received.push(StreamReceived { receipt, key, data, arrived: at, first_received });
        }
        if !gone.is_empty() {
            for outcome in self.remove(side, &gone).await {
                if let Err(error) = outcome {
                    tracing::debug!(%queue, %error, "records that are over are looked at again");
                }
            }
        }
        match unreadable {
            Some(error) if received.is_empty() => Err(error.into()),
            Some(_) | None => Ok(received),
        }
    }
}
