//! What a receive reads before it picks: records that are back, and those behind the cursors.
//!
//! Invariant: what is at hand for one receive is bounded by bytes, not by records alone (`tests::a_receive_is_bounded_by_the_bytes_of_its_records`). A batch is read once for all of
//! its records that a receive is to get, and what is kept of it does not keep the rest in memory.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_lite::future::yield_now;
use tidemill_storage::Env;
use tidemill_wire::{ShardIndex, Timestamp};

use super::StreamPartition;
use super::receive::Wanted;
use crate::service::queue::log::{Stretch, Written};
use crate::service::queue::operation::Unreadable;
use crate::service::queue::over_stream::Side;
use crate::service::queue::over_stream::records;
use crate::service::queue::over_stream::source::Place;
use crate::service::queue::state::Head;

/// Bytes of records that one receive gives, but for a first one that is larger.
pub(super) const GIVEN_BYTES_MAX: usize = 10 << 20;
/// Bytes of a shard's log that are read at once.
const READ_BYTES: usize = 256 << 10;
/// Records of a shard that are at hand before a receive looks at them.
const AT_HAND_MIN: usize = 32;

/// What became of a record that is back.
pub(super) enum Found {
    Record(Written),
    /// It is over, or was compacted away.
    Gone,
    Unreadable(Unreadable),
}

/// What was read for one receive.
#[derive(Default)]
pub(super) struct Gathered {
    /// Records that are back.
    pub(super) back: BTreeMap<(ShardIndex, u64), Found>,
    /// Why records behind a cursor are not at hand.
    pub(super) unreadable: Option<Unreadable>,
}

impl Found {
    /// Bytes of the record.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Record(record) => bytes_of(record),
            Self::Gone | Self::Unreadable(_) => 0,
        }
    }
}

impl<E: Env> StreamPartition<E> {
    /// Brings in what a receive may get, of one shard after the other, until there is enough. Tells of a shard that cannot be read; others go on.
    pub(super) async fn gather(
        &self,
        places: &[Place],
        wanted: &Wanted,
        receives_max: Option<u32>,
    ) -> Gathered {
        let mut gathered = Gathered::default();
        let (mut at_hand, mut bytes) = (0, 0);
        for place in places {
            let Some(left) = wanted.records_max.checked_sub(at_hand).filter(|left| *left > 0) else { break };
            let ready = {
                let memory = self.recorder.memory.borrow();
                let Some(memory) = &*memory else { break };
                memory.ledger.first_ready(wanted.side, place.shard, receives_max, left)
            };
            at_hand += ready.len();
            for (sequence, found) in
                self.read_back(place, &ready, GIVEN_BYTES_MAX.saturating_sub(bytes)).await
            {
                bytes += found.bytes();
                gathered.back.insert((place.shard, sequence), found);
            }
            if bytes > GIVEN_BYTES_MAX {
                break;
            }
            if wanted.side == Side::Dead || at_hand >= wanted.records_max {
                continue;
            }
            if let Err(error) = self.fill_shard(place).await {
                tracing::error!(shard = %place.shard, %error, "records of a shard cannot be read");
                gathered.unreadable = gathered.unreadable.or(Some(error));
            }
            if let Some(memory) = &mut *self.recorder.memory.borrow_mut() {
                at_hand += memory.ahead(place.shard, self.receives.get()).heads().len();
            }
        }
        gathered
    }

    /// Reads records of a shard, named in their order, until they have more than so many bytes. Each batch is read once, and others have their turn between two of them.
    pub(super) async fn read_back(
        &self,
        place: &Place,
        sequences: &[u64],
        bytes_max: usize,
    ) -> Vec<(u64, Found)> {
        let (mut found, mut bytes) = (Vec::with_capacity(sequences.len()), 0);
        let mut left = sequences;
        while let Some(first) = left.first().copied().filter(|_| bytes <= bytes_max) {
            if !found.is_empty() {
                yield_now().await;
            }
            self.tally.reads.increment();
            let stretch = records::read(&self.lane, place.owner, first, 1).await;
            let Stretch { records, next } = match stretch {
                Ok(stretch) => stretch,
                Err(Unreadable::Deleted) => Stretch { records: Vec::new(), next: u64::MAX },
                Err(error) => {
                    // Others are not to wait for one that cannot be read.
                    tracing::error!(shard = %place.shard, sequence = first, %error, "a record cannot be read");
                    found.push((first, Found::Unreadable(error)));
                    left = left.get(1..).unwrap_or_default();
                    continue;
                }
            };
            // What was asked for is not read again, whatever came of it.
            let count = left.partition_point(|sequence| *sequence < next).max(1);
            let (here, rest) = left.split_at(count);
            for sequence in here {
                let at = records.binary_search_by_key(sequence, |record| record.sequence);
                let record = at.ok().and_then(|at| records.get(at));
                let record = record.map_or(Found::Gone, |record| Found::Record(apart(record)));
                bytes += record.bytes();
                found.push((*sequence, record));
                if bytes > bytes_max {
                    return found;
                }
            }
            left = rest;
        }
        found
    }

    async fn fill_shard(&self, place: &Place) -> Result<(), Unreadable> {
        let read = self.receives.get();
        // Who keeps its turn until all is given is not to have more, or others would never have theirs.
        let at_hand_min = if self.turns.is_kept(place.shard) { 1 } else { AT_HAND_MIN };
        loop {
            let wanted = || {
                let mut memory = self.recorder.memory.borrow_mut();
                let tail = memory.as_mut()?.ahead(place.shard, read);
                let end = self.lane.bounds(place.owner).ok()?.next.get();
                (tail.heads().len() < at_hand_min && tail.next() < end).then(|| tail.next())
            };
            let Some(from) = wanted() else { return Ok(()) };
            self.tally.reads.increment();
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
                let tail = memory.ahead(place.shard, read);
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

    pub(super) fn head(&self, record: &Written) -> Head {
        let over = match self.source.borrow().retention_ms {
            0 => u64::MAX,
            retention_ms => record.at.0.saturating_add(retention_ms),
        };
        let (sequence, due) = (record.sequence, Timestamp(0));
        Head { sequence, due, is_out_of_order: false, group: 0, over: Timestamp(over) }
    }
}

pub(super) fn bytes_of(record: &Written) -> usize {
    record.key.len() + record.data.len()
}

/// A record that keeps nothing in memory but itself.
fn apart(record: &Written) -> Written {
    let (key, data) = (Bytes::copy_from_slice(&record.key), Bytes::copy_from_slice(&record.data));
    Written { key, data, ..*record }
}

/// As many of the first records as have about [`READ_BYTES`], and where the next ones begin. What is left out is not kept in memory by those that are not: a batch may
/// have been much smaller in the log.
fn bounded(mut records: Vec<Written>, next: u64) -> (Vec<Written>, u64) {
    let mut bytes = 0;
    let is_within = |record: &Written| {
        bytes += bytes_of(record);
        bytes <= READ_BYTES
    };
    let count = records.iter().map(is_within).take_while(|is_within| *is_within).count().max(1);
    let Some(left) = records.get(count).map(|record| record.sequence) else { return (records, next) };
    records.truncate(count);
    records.iter_mut().for_each(|record| *record = apart(record));
    (records, left)
}
