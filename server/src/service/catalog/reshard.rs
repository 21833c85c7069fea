//! Pure decisions about a change of a stream's shards: which are closed, and which go on with their keys.
//!
//! A shard that is closed has children with greater indexes, so the greatest index is always that of an open one, and counting on from it gives no
//! index twice (`tests::indexes_and_owners_are_never_given_twice`). A child has two parents at most. Where scaling makes one shard of more, others lie between that are
//! closed as soon as they are opened: they hold nothing, and tell readers the way.

use std::collections::BTreeMap;

use tidemill_wire::limits::STREAM_SHARDS_MAX;
use tidemill_wire::routing::{HashKey, HashKeyRange};
use tidemill_wire::{LaneId, OwnerId, SequenceNumber, ShardIndex, StreamId, Timestamp};

use super::entity::Stream;
use super::error::ReshardError;
use super::rules::{Limits, millis};
use super::{Shard, ShardEnd};

/// What is to become of a stream's shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardChange {
    /// One becomes two, of which the second begins at a hash key.
    Split {
        /// Which.
        shard: ShardIndex,
        /// The first key of the second.
        at: HashKey,
    },
    /// Two neighbours become one.
    Merge {
        /// The one.
        shard: ShardIndex,
        /// The other.
        adjacent: ShardIndex,
    },
    /// So many shards divide the keys evenly.
    Scale {
        /// How many.
        shards: u32,
    },
}

/// Where the shards end that a change closes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    /// When the change is; not before any record of those shards was appended.
    pub at: Timestamp,
    /// The number after the last record of each.
    pub ends: BTreeMap<ShardIndex, SequenceNumber>,
}

/// A planned change: everything is decided but the ends of the shards that are closed.
#[derive(Debug, Clone)]
pub struct Reshard {
    stream: Stream,
    parents: Vec<ShardIndex>,
    children: Vec<Child>,
}

#[derive(Debug, Clone)]
struct Child {
    shard: Shard,
    /// It is closed as soon as it is opened.
    is_passing: bool,
}

impl Reshard {
    /// The stream.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        self.stream.id
    }

    /// The shards that are closed, none if everything is already as it is to be.
    #[must_use]
    pub fn parents(&self) -> &[ShardIndex] {
        &self.parents
    }

    /// The stream after the change. Every parent has its end. A clock that was set back closes no shard before it was opened, so a parent is never over
    /// later than its children (`tests::no_shard_is_over_before_its_parents`).
    pub(super) fn into_stream(self, ends: &Ends) -> Stream {
        let Self { mut stream, parents, children } = self;
        let closing = |shard: &&mut Shard| parents.contains(&shard.index);
        let mut shards = stream.shards.to_vec();
        let at = shards.iter_mut().filter(closing).map(|shard| shard.opened).fold(ends.at, Ord::max);
        for shard in shards.iter_mut().filter(closing) {
            let next = ends.ends.get(&shard.index).expect("whoever carries out a change gives every end");
            shard.closed = Some(ShardEnd { at, next: *next });
        }
        shards.extend(children.into_iter().map(|Child { shard, is_passing }| {
            let closed = is_passing.then_some(ShardEnd { at, next: SequenceNumber(0) });
            Shard { opened: at, closed, ..shard }
        }));
        stream.shards = shards.into();
        stream.map_version = stream.map_version.saturating_add(1);
        stream
    }
}

/// Plans a change. `load` has the open shards of each lane, and at least one lane.
pub(super) fn plan(
    stream: &Stream,
    change: ShardChange,
    limits: Limits,
    next_owner: OwnerId,
    load: &[u64],
) -> Result<Reshard, ReshardError> {
    let mut planner = Planner::new(stream, next_owner, load);
    match change {
        ShardChange::Split { shard, at } => planner.split(shard, at)?,
        ShardChange::Merge { shard, adjacent } => planner.merge(shard, adjacent)?,
        ShardChange::Scale { shards } => planner.scale(shards)?,
    }
    planner.end(limits)
}

/// The stream without the closed shards whose records are all over, if it has some.
pub(super) fn expire(stream: &Stream, now: Timestamp) -> Option<Stream> {
    let age = millis(stream.retention.age);
    let is_over = |shard: &Shard| {
        shard
            .closed
            .is_some_and(|closed| closed.at.get().checked_add(age).is_some_and(|over| over < now.get()))
    };
    stream.shards.iter().any(is_over).then(|| {
        let mut left = stream.clone();
        left.shards = stream.shards.iter().filter(|shard| !is_over(shard)).copied().collect();
        left.map_version = left.map_version.saturating_add(1);
        left
    })
}

/// A change as it is put together.
struct Planner<'a> {
    stream: &'a Stream,
    next_index: u32,
    next_owner: u64,
    load: Vec<u64>,
    parents: Vec<ShardIndex>,
    children: Vec<Child>,
}

impl<'a> Planner<'a> {
    fn new(stream: &'a Stream, next_owner: OwnerId, load: &[u64]) -> Self {
        let next_index = stream.next_shard().get();
        let (parents, children) = (Vec::new(), Vec::new());
        Self { stream, next_index, next_owner: next_owner.get(), load: load.to_vec(), parents, children }
    }

    fn split(&mut self, index: ShardIndex, at: HashKey) -> Result<(), ReshardError> {
        let Shard { range, .. } = self.open(index)?;
        if at <= range.start || at > range.end {
            return Err(ReshardError::Key { at, range });
        }
        self.close(index);
        self.child(HashKeyRange { end: HashKey(at.0 - 1), ..range }, (index, None), false);
        self.child(HashKeyRange { start: at, ..range }, (index, None), false);
        Ok(())
    }

    fn merge(&mut self, shard: ShardIndex, adjacent: ShardIndex) -> Result<(), ReshardError> {
        let (one, other) = (self.open(shard)?.range, self.open(adjacent)?.range);
        let follows =
            |first: HashKeyRange, second: HashKeyRange| first.end.0.checked_add(1) == Some(second.start.0);
        if !follows(one, other) && !follows(other, one) {
            return Err(ReshardError::NotAdjacent { shard, adjacent });
        }
        self.close(shard);
        self.close(adjacent);
        let range = HashKeyRange { start: one.start.min(other.start), end: one.end.max(other.end) };
        self.child(range, (shard, Some(adjacent)), false);
        Ok(())
    }

    /// Cuts the open shards where the new ones begin and joins the pieces of each.
    fn scale(&mut self, target: u32) -> Result<(), ReshardError> {
        let mut open: Vec<Shard> =
            self.stream.shards.iter().filter(|shard| shard.is_open()).copied().collect();
        open.sort_unstable_by_key(|shard| shard.range.start);
        let count = u32::try_from(open.len()).unwrap_or(u32::MAX);
        if target == 0 || target > count.saturating_mul(2) || target.saturating_mul(2) < count {
            return Err(ReshardError::Scale { open: count, target });
        }
        for range in HashKeyRange::split_evenly(target) {
            let first = open.partition_point(|shard| shard.range.end < range.start);
            let pieces = open.iter().skip(first).take_while(|shard| shard.range.start <= range.end);
            let pieces: Vec<Shard> = pieces.copied().collect();
            self.join(range, &pieces);
        }
        Ok(())
    }

    /// Makes one shard of the parts of others that lie in its range; there is at least one.
    fn join(&mut self, range: HashKeyRange, pieces: &[Shard]) {
        match pieces {
            [same] if same.range == range => {}
            [whole] => {
                self.close(whole.index);
                self.child(range, (whole.index, None), false);
            }
            _ => {
                let mut joined: Option<(ShardIndex, HashKeyRange)> = None;
                for (place, piece) in (1..).zip(pieces) {
                    let (index, part) = self.piece(range, piece);
                    joined = Some(match joined {
                        None => (index, part),
                        Some((before, so_far)) => {
                            let range = HashKeyRange { start: so_far.start, end: part.end };
                            (self.child(range, (before, Some(index)), place < pieces.len()), range)
                        }
                    });
                }
            }
        }
    }

    /// The part of a shard that lies in a range: the shard itself, or a new one that only passes its readers on.
    fn piece(&mut self, range: HashKeyRange, shard: &Shard) -> (ShardIndex, HashKeyRange) {
        self.close(shard.index);
        let part =
            HashKeyRange { start: shard.range.start.max(range.start), end: shard.range.end.min(range.end) };
        if part == shard.range {
            (shard.index, part)
        } else {
            (self.child(part, (shard.index, None), true), part)
        }
    }

    fn open(&self, index: ShardIndex) -> Result<Shard, ReshardError> {
        let found = self.stream.shards.iter().find(|shard| shard.index == index);
        let found = found.ok_or(ReshardError::UnknownShard { shard: index })?;
        if found.is_open() { Ok(*found) } else { Err(ReshardError::Closed { shard: index }) }
    }

    fn close(&mut self, index: ShardIndex) {
        if self.parents.contains(&index) {
            return;
        }
        self.parents.push(index);
        if let Some(shard) = self.stream.shards.iter().find(|shard| shard.index == index)
            && let Some(load) = self.load.get_mut(shard.lane.get() as usize)
        {
            *load = load.saturating_sub(1);
        }
    }

    /// Adds a shard, on the lane with the fewest open ones.
    fn child(
        &mut self,
        range: HashKeyRange,
        (parent, adjacent_parent): (ShardIndex, Option<ShardIndex>),
        is_passing: bool,
    ) -> ShardIndex {
        let lane = self.load.iter().enumerate().min_by_key(|(_, open)| **open).map_or(0, |(lane, _)| lane);
        if let Some(load) = self.load.get_mut(lane).filter(|_| !is_passing) {
            *load += 1;
        }
        let index = ShardIndex(self.next_index);
        let shard = Shard {
            index,
            owner: OwnerId(self.next_owner),
            lane: LaneId(u32::try_from(lane).expect("lanes are counted in 32 bits")),
            range,
            opened: self.stream.created,
            closed: None,
            parent: Some(parent),
            adjacent_parent,
        };
        self.children.push(Child { shard, is_passing });
        (self.next_index, self.next_owner) = (self.next_index.saturating_add(1), self.next_owner + 1);
        index
    }

    fn end(self, limits: Limits) -> Result<Reshard, ReshardError> {
        let before = self.stream.shards.iter().filter(|shard| shard.is_open()).count();
        let opened = self.children.iter().filter(|child| !child.is_passing).count();
        let open = u32::try_from(before + opened - self.parents.len()).unwrap_or(u32::MAX);
        // A stream that has more since before the bound was lowered may have fewer.
        if open > limits.shards_per_stream && opened > self.parents.len() {
            return Err(ReshardError::TooManyOpen { found: open, limit: limits.shards_per_stream });
        }
        let (found, limit) = (self.stream.shards.len() + self.children.len(), STREAM_SHARDS_MAX as usize);
        if found > limit && !self.children.is_empty() {
            return Err(ReshardError::TooMany { found, limit });
        }
        Ok(Reshard { stream: self.stream.clone(), parents: self.parents, children: self.children })
    }
}

#[cfg(test)]
mod tests;
