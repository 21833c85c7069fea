//! A receive: records are picked, hidden, and handed out once that is written down.

use std::time::Duration;

use bytes::Bytes;
use tidemill_storage::Env;
use tidemill_wire::Timestamp;

use super::{Memory, StreamPartition, later};
use crate::service::queue::journal::Event;
use crate::service::queue::log::{Stretch, Written};
use crate::service::queue::operation::{ReceiveError, Unreadable};
use crate::service::queue::over_stream::Side;
use crate::service::queue::over_stream::operation::{Named, StreamReceipt, StreamReceived};
use crate::service::queue::over_stream::records;
use crate::service::queue::over_stream::source::Place;
use crate::service::queue::recorder::Recorded;
use crate::service::queue::shard_event::ShardEvent;
use crate::service::queue::state::{Ask, Head, Pick, WINDOW_MAX};

/// Records in flight of one partition, as of a queue in
/// [Kinesis](https://docs.aws.amazon.com/streams/latest/dev/queues-quotas.html).
pub(super) const IN_FLIGHT_MAX: u64 = WINDOW_MAX;
/// Bytes of a shard's log that are read at once.
const READ_BYTES: usize = 256 << 10;
/// Records of a shard that are at hand before a receive looks at them.
const AT_HAND_MIN: usize = 32;
/// Bytes of records that one receive gives, about: of records that may be large it gives fewer.
const GIVEN_BYTES_MAX: usize = 10 << 20;

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
    record: Option<Written>,
}

/// One look at the records.
#[derive(Default)]
struct Round {
    /// Resolve when it is written down.
    written: Vec<Recorded>,
    picked: Vec<Picked>,
    /// Another look may find something.
    is_more: bool,
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
        let turn = self.turn.replace(self.turn.get().wrapping_add(1));
        let record_bytes = (self.source.borrow().record_kib as usize) << 10;
        let records_max = wanted.records_max.min((GIVEN_BYTES_MAX / record_bytes.max(1)).max(1));
        loop {
            self.ready().await?;
            let mut places = self.places();
            let first = turn.checked_rem(places.len()).unwrap_or(0);
            places.rotate_left(first);
            let unreadable = match wanted.side {
                Side::Live => self.fill(&places, records_max, turn).await,
                Side::Dead => None,
            };
            let Some(round) = self.look(&places, wanted, records_max, turn)? else { continue };
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

    /// Brings in records behind the cursors, of one shard after the other, until there are enough. Tells of a shard that cannot be read; others go on.
    async fn fill(&self, places: &[Place], records_max: usize, turn: usize) -> Option<Unreadable> {
        let (mut at_hand, mut unreadable) = (0, None);
        for place in places {
            if at_hand >= records_max {
                break;
            }
            if let Err(error) = self.fill_shard(place, turn).await {
                tracing::error!(shard = %place.shard, %error, "records of a shard cannot be read");
                unreadable = unreadable.or(Some(error));
            }
            if let Some(memory) = &mut *self.recorder.memory.borrow_mut() {
                let ready = memory.ledger.deliverable(Side::Live, Some(place.shard), records_max);
                at_hand += ready + memory.ahead(place.shard, turn).heads().len();
            }
        }
        unreadable
    }

    async fn fill_shard(&self, place: &Place, turn: usize) -> Result<(), Unreadable> {
        let wanted = || {
            let mut memory = self.recorder.memory.borrow_mut();
            let tail = memory.as_mut()?.ahead(place.shard, turn);
            let end = self.lane.bounds(place.owner).ok()?.next.get();
            (tail.heads().len() < AT_HAND_MIN && tail.next() < end).then(|| tail.next())
        };
        loop {
            if wanted().is_none() {
                return Ok(());
            }
            let _filling = self.filling.lock().await;
            let Some(from) = wanted() else { return Ok(()) };
            let Stretch { records, next } =
                match records::read(&self.lane, place.owner, from, READ_BYTES).await {
                    // The shard has vanished, or its stream has.
                    Err(Unreadable::Deleted) => return Ok(()),
                    stretch => stretch?,
                };
            let (records, next) = bounded(records, next);
            // Where all records of a stretch were compacted away the next one may have some.
            let is_empty = records.is_empty();
            let heads: Vec<_> = records.into_iter().map(|record| (self.head(&record), record)).collect();
            if let Some(memory) = &mut *self.recorder.memory.borrow_mut() {
                memory.make_room(place.shard);
                let cursor = memory.ledger.cursor(place.shard);
                let tail = memory.ahead(place.shard, turn);
                if tail.next() == from {
                    tail.extend(heads, next);
                    tail.pass(cursor.unwrap_or(0));
                }
            }
            if !is_empty || next <= from {
                return Ok(());
            }
        }
    }

    fn head(&self, record: &Written) -> Head {
        let over = match self.source.borrow().retention_ms {
            0 => u64::MAX,
            retention_ms => record.at.0.saturating_add(retention_ms),
        };
        let (sequence, due) = (record.sequence, Timestamp(0));
        Head { sequence, due, is_out_of_order: false, group: 0, over: Timestamp(over) }
    }

    /// Picks records, and queues what that means for the journal. `None` if the memory has gone.
    fn look(
        &self,
        places: &[Place],
        wanted: &Wanted,
        records_max: usize,
        turn: usize,
    ) -> Result<Option<Round>, ReceiveError> {
        self.recorder.admits()?;
        let definition = self.definition();
        let now = self.lane.now();
        let mut memory = self.recorder.memory.borrow_mut();
        let Some(memory) = &mut *memory else { return Ok(None) };
        memory.ledger.advance(now);
        let (in_flight, limit) = (memory.ledger.in_flight(wanted.side), IN_FLIGHT_MAX);
        let room = usize::try_from(limit.saturating_sub(in_flight)).unwrap_or(usize::MAX);
        if room == 0 {
            return Err(ReceiveError::OverLimit { in_flight, limit });
        }
        let records_max = records_max.min(room);
        // Both hold for the whole look, in which little is added.
        let is_roomy = memory.ledger.has_room();
        let receives_max = definition.settings.receives_max.filter(|_| memory.ledger.buries());
        let until = later(now, wanted.visibility);
        let mut round = Round::default();
        for place in places {
            let Ok(bounds) = self.lane.bounds(place.owner) else { continue };
            let oldest = bounds.oldest.get();
            if memory.ledger.oldest(place.shard).is_some_and(|kept| kept < oldest) {
                // What was too old has gone. Later events follow this one.
                let event = Event::Purged { below: oldest };
                let event = ShardEvent::Of { shard: place.shard, side: Side::Live, event };
                memory.ledger.apply(&event);
                round.written.push(self.write(memory, &event));
            }
            let messages_max = records_max - round.picked.len();
            if messages_max == 0 {
                break;
            }
            let ask = Ask { now, until, messages_max, receives_max };
            memory.ahead(place.shard, turn);
            let Memory { ledger, tails, .. } = &mut *memory;
            let at_hand = tails.get(&place.shard).map_or(&[][..], |ahead| ahead.tail.heads());
            let count = at_hand.len();
            let taken = match wanted.side {
                Side::Live => ledger.receive(place.shard, &ask, if is_roomy { at_hand } else { &[] }),
                Side::Dead => {
                    let buried =
                        receives_max.and_then(|max| ledger.bury(place.shard, now, max, messages_max));
                    if let Some(event) = buried {
                        round.written.push(self.write(memory, &event));
                    }
                    memory.ledger.receive_dead(place.shard, &ask)
                }
            };
            if let Some(event) = taken.event {
                round.written.push(self.write(memory, &event));
            }
            round.is_more |= taken.is_more || !taken.picked.is_empty();
            let tail = memory.tails.get(&place.shard).map(|ahead| &ahead.tail);
            round.picked.extend(taken.picked.into_iter().map(|pick| {
                let record = tail.and_then(|tail| tail.record(pick.sequence)).cloned();
                Picked { place: *place, pick, received: now, record }
            }));
            // All that was at hand may have been too old.
            let tail = memory.ahead(place.shard, turn);
            round.is_more |= count > 0 && tail.heads().is_empty() && tail.next() < bounds.next.get();
        }
        Ok(Some(round))
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
                Some(record) => Some(record),
                // Others are not to wait for one that cannot be read.
                None => match self.record(&place, sequence).await {
                    Ok(record) => record,
                    Err(error) => {
                        tracing::error!(%queue, shard = %place.shard, sequence, %error, "a record cannot be read");
                        unreadable = Some(error);
                        continue;
                    }
                },
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

    /// A record that is not at hand. Nothing if it has gone.
    async fn record(&self, place: &Place, sequence: u64) -> Result<Option<Written>, Unreadable> {
        match records::read(&self.lane, place.owner, sequence, 1).await {
            Ok(stretch) => Ok(stretch.records.into_iter().find(|record| record.sequence == sequence)),
            Err(Unreadable::Deleted) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// As many of the first records as have about [`READ_BYTES`], and where the next ones begin. What is left out is not kept in memory by those that are not: a batch may
/// have been much smaller in the log.
fn bounded(mut records: Vec<Written>, next: u64) -> (Vec<Written>, u64) {
    let mut bytes = 0;
    let is_within = |record: &Written| {
        bytes += record.key.len() + record.data.len();
        bytes <= READ_BYTES
    };
    let count = records.iter().map(is_within).take_while(|is_within| *is_within).count().max(1);
    let Some(left) = records.get(count).map(|record| record.sequence) else { return (records, next) };
    records.truncate(count);
    for record in &mut records {
        record.key = Bytes::copy_from_slice(&record.key);
        record.data = Bytes::copy_from_slice(&record.data);
    }
    (records, left)
}
